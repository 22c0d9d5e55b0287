#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "bench/ceilings.hpp"
#include "bench/openblas.hpp"
#include "bench/report.hpp"
#include "bench/torch_peer.hpp"

/// All measures of the library on the CPU in one run: m2_bench [--effort=F] [--plot=FILE] [--cases] [--benchmark_..].
/// Prints a Markdown table with targets; Google Benchmark gives the filter (--benchmark_filter) and the JSON file
/// (--benchmark_out).

namespace {

/// The value of an argument "--name=value", which is taken out of argv; null if it is not there.
const char* take_argument(int& argc, char** argv, const char* name) {
  const std::size_t length = std::strlen(name);
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], name, length) != 0) continue;
    const char* const value = argv[i] + length;
    for (int j = i; j + 1 < argc; ++j) argv[j] = argv[j + 1];
    --argc;
    return value;
  }
  return nullptr;
}

/// One line for each case while it runs; the table comes at the end.
class Progress : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      std::fprintf(stderr, "%-48s", run.benchmark_name().c_str());
      if (run.error_occurred) std::fprintf(stderr, "  %s", run.error_message.c_str());
      for (const auto& [key, counter] : run.counters) std::fprintf(stderr, "  %s %.3g", key.c_str(), counter.value);
      std::fprintf(stderr, "\n");
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  using namespace m2::bench;
  const char* const effort_text = take_argument(argc, argv, "--effort=");
  const char* const plot = take_argument(argc, argv, "--plot=");
  const bool cases = take_argument(argc, argv, "--cases") != nullptr;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
#ifdef _OPENMP
  omp_set_num_threads(1);
#endif
  const double factor = effort_text == nullptr ? 1 : std::atof(effort_text);
  const Effort effort{factor > 1 ? 15 : 7, 0.003 * factor};

  const TorchPeer& torch = TorchPeer::get();
  const double peak = FmaLoop<float>::flops / Rounds({}, {fma_peak<float>()}).seconds(0) * 1e-9;
  add_remark("One thread unless said, float unless said; B vectors of N, in rows and in columns. FMA peak: " +
             std::to_string(std::lround(peak)) + " GFLOP/s; beside every case it is measured anew.");
  add_remark(
      "Products are by a PackedMonarch, made once, except where a row says otherwise, and in the VJP, which takes the "
      "weights as a training step has them. One vector: the bandwidth is that of reading the packed weights once.");
  add_remark(
      "Predicted: what the FMA peak, the bandwidth of the cache or memory that holds the data, and a peer's copies "
      "leave; for FFTW what a prototype reached. Bold: what has to meet the target.");
  add_remark("PyTorch: " + torch.description() + ".");
  benchmark::AddCustomContext("openblas", OpenBlas::get().description());
  benchmark::AddCustomContext("torch", torch.description());
  benchmark::AddCustomContext("fma_peak_GFLOP/s", std::to_string(peak));

  register_multiply_cases(effort);
  register_vjp_cases(effort);
  register_thread_cases(effort);
  register_convolution_cases(effort);
  register_simd_cases(effort);
  register_program_cases(effort);
  Progress progress;
  benchmark::RunSpecifiedBenchmarks(&progress);
  benchmark::Shutdown();
  const double shared = static_cast<double>(turns().shared) / static_cast<double>(turns().all);
  add_remark("A turn counts if the core was this program's alone before and after it. " +
             std::to_string(std::lround(100 * shared)) + "% of the turns never were, and are the fastest of several.");

  std::printf("%s%s", cases ? case_table().c_str() : "", table().c_str());
  if (plot != nullptr) std::ofstream(plot) << plot_svg();
  return 0;
}
