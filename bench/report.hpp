#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/measure.hpp"
#include "m2/core/index.hpp"

namespace m2::bench {

enum class Layout { row, column };  ///< the features of a vector contiguous; the batch contiguous
inline const char* name_of(Layout layout) { return layout == Layout::row ? "row" : "column"; }
inline constexpr Layout layouts[] = {Layout::row, Layout::column};

/// A quantity with a target, measured on one or more cases.
struct Measure {
  const char* key;   ///< name of the counters in the JSON file
  const char* text;  ///< what the table calls it
  enum Kind { at_least, at_most } kind;
  double target;                         ///< NaN: none
  enum Summary { worst, mean } summary;  ///< what meets the target: the worst case, or the geometric mean
  const char* unit;
};

/// All of them, in the order of the table.
const std::vector<Measure>& measures();

/// One square product of order 2 in float, as the plot shows it: rates as shares of the FMA peak.
struct PlotPoint {
  Index n, batch;
  Layout layout;
  double ours, eigen_blocks, torch, dense;
};

/// What a benchmark found; goes to its counters (the JSON file) and to the table.
class Findings {
 public:
  explicit Findings(benchmark::State& state, std::string name) : state_(state), name_(std::move(name)) {}

  /// A value of a measure for this case, and what a model of the machine says it can be (NaN: no model). A value that
  /// is not a number was not available and is left out.
  void add(const char* measure, double value, double prediction = not_a_number);

  /// A number beside the measures.
  void note(const char* key, double value) {
    if (!std::isnan(value)) state_.counters[key] = value;
  }

 private:
  benchmark::State& state_;
  std::string name_;
};

void add_plot_point(const PlotPoint& point);

/// A sentence on a peer that is not there or on what it is, printed below the table.
void add_remark(const std::string& sentence);

/// The Markdown table of all measures; measures without a case are marked as not available.
std::string table();

/// Every value of every case as a Markdown table.
std::string case_table();

/// Rates of square order-2 products over N.
std::string plot_svg();

/// Registers a benchmark that runs its body once; the body measures in rounds of its own.
template <class Body>
void register_case(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [name, body](benchmark::State& state) {
                                 for (auto _ : state) {
                                   Findings findings(state, name);
                                   body(findings);
                                 }
                               })
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

/// Registered by one source file each.
void register_multiply_cases(const Effort& effort);
void register_vjp_cases(const Effort& effort);
void register_thread_cases(const Effort& effort);
void register_convolution_cases(const Effort& effort);
void register_simd_cases(const Effort& effort);
void register_program_cases(const Effort& effort);

}  // namespace m2::bench
