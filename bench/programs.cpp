#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/report.hpp"

/// What takes a program of its own: the portable build, and the compiler.
namespace m2::bench {

namespace {

void portable_case(Findings& found, Layout layout) {
  const std::string command = std::string(M2_BENCH_PORTABLE) + " " + name_of(layout);
  std::FILE* const line = popen(command.c_str(), "r");
  if (line == nullptr) return;
  double share = not_a_number, peak = not_a_number;
  if (std::fscanf(line, "%lf %lf", &share, &peak) == 2) {
    found.add("portable", share, 1);
    found.note("peak_GFLOP/s", peak);
  }
  pclose(line);
}

double compile_seconds(const std::string& source) {
  const std::string command =
      std::string("printf '%s' '") + source + "' | " + M2_BENCH_COMPILER + " -std=c++20 -O2 -c -x c++ -o /dev/null -";
  bool failed = false;
  const Rounds rounds({3, 0}, {contestant([&] { failed = failed || std::system(command.c_str()) != 0; })});
  return failed ? not_a_number : rounds.fastest(0);
}

/// The prediction is what Eigen's core alone takes.
void compile_case(Findings& found) {
  const double ours = compile_seconds(
      "#include <m2/monarch.hpp>\n"
      "Eigen::MatrixXf product(const m2::Monarch<2, float>& m, const Eigen::MatrixXf& x) { return m * x; }\n");
  found.add("compile", ours, compile_seconds("#include <Eigen/Core>\n"));
}

}  // namespace

void register_program_cases(const Effort&) {
  for (const Layout layout : layouts)
    register_case(std::string("portable/N:1024/B:256/") + name_of(layout),
                  [=](Findings& found) { portable_case(found, layout); });
  register_case("compile_time", compile_case);
}

}  // namespace m2::bench
