#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <tuple>

#include "bench/fma_peak.hpp"
#include "m2/monarch.hpp"

/// Monarch matrices against dense ones of the same size: N from 256 to 16384, orders 1 to 3, 1 to 1024 vectors,
/// features contiguous ("row") and batch contiguous ("column"). The dense product is Eigen's, the FMA peak is measured
/// after every benchmark, so that both ratios are of one machine state. After the runs a Markdown table is printed: the
/// README's.
namespace {

using m2::Index;
using T = float;

enum class Layout { row, column };
const char* name_of(Layout layout) { return layout == Layout::row ? "row" : "column"; }

constexpr Index sizes[] = {256, 1024, 4096, 16384};
constexpr Index batches[] = {1, 16, 256, 1024};
constexpr Layout layouts[] = {Layout::row, Layout::column};

/// Order 0 stands for the dense matrix.
struct Case {
  int order;
  Index n, batch;
  Layout layout;

  friend bool operator<(const Case& a, const Case& b) {
    return std::tie(a.n, a.batch, a.layout, a.order) < std::tie(b.n, b.batch, b.layout, b.order);
  }
  std::string name() const {
    return (order == 0 ? std::string("dense") : "monarch" + std::to_string(order)) + "/N:" + std::to_string(n) +
           "/B:" + std::to_string(batch) + "/" + name_of(layout);
  }
};

struct Result {
  double seconds, flops, bytes, peak;
};
std::map<Case, Result> results;

/// Vectors in the layout of a case: columns of a column-major (row layout) or row-major (column layout) matrix.
template <int Storage>
using Vectors = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Storage>;

template <int Storage, class Product>
void time_product(benchmark::State& state, const Case& c, double weights, Product&& product) {
  const Vectors<Storage> x = Vectors<Storage>::Random(c.n, c.batch);
  Vectors<Storage> y = Vectors<Storage>::Zero(c.n, c.batch);
  product(x, y);  // warm up: pages, working memory
  double total = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    product(x, y);
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    state.SetIterationTime(seconds);
    total += seconds;
  }
  const double seconds = total / static_cast<double>(state.iterations());
  const Result result{seconds, 2.0 * weights * static_cast<double>(c.batch),
                      sizeof(T) * (weights + 2.0 * static_cast<double>(c.n * c.batch)), m2::bench::fma_flops<T>()};
  results[c] = result;
  state.counters["GFLOP/s"] = result.flops / seconds * 1e-9;
  state.counters["GB/s"] = result.bytes / seconds * 1e-9;
  state.counters["of_peak"] = result.flops / seconds / result.peak;
}

template <int Storage>
void run_dense(benchmark::State& state, const Case& c) {
  // In the storage order of the vectors, which is the faster one. Kept from case to case: it is up to a gigabyte.
  static Vectors<Storage> matrix;
  if (matrix.rows() != c.n) matrix = Vectors<Storage>::Random(c.n, c.n);
  time_product<Storage>(state, c, static_cast<double>(c.n) * static_cast<double>(c.n),
                        [&](const auto& x, auto& y) { y.noalias() = matrix * x; });
}

/// A power of two as `Order` radices as equal as possible; for Order 1 a block-diagonal matrix of sqrt(N) blocks.
template <int Order>
m2::MonarchShape<Order> balanced_shape(Index n) {
  const int bits = static_cast<int>(std::lround(std::log2(static_cast<double>(n))));
  if constexpr (Order == 1) {
    return m2::MonarchShape<1>::block_diagonal(n, n, Index{1} << (bits / 2));
  } else {
    typename m2::MonarchShape<Order>::Radices radices{};
    for (int d = 0; d < Order; ++d) radices[static_cast<std::size_t>(d)] = Index{1} << ((bits + d) / Order);
    return m2::MonarchShape<Order>::square(radices);
  }
}

template <int Order, int Storage>
void run_monarch(benchmark::State& state, const Case& c) {
  m2::Rng rng(1);
  const auto m = m2::Monarch<Order, T>::random(balanced_shape<Order>(c.n), rng);
  m2::Cpu be;
  time_product<Storage>(state, c, static_cast<double>(m.parameter_count()), [&](const auto& x, auto& y) {
    m2::monarch_multiply(be, m.view(), m2::columns_of(x), m2::columns_of(y));
  });
}

template <int Storage>
void run(benchmark::State& state, const Case& c) {
  switch (c.order) {
    case 0:
      return run_dense<Storage>(state, c);
    case 1:
      return run_monarch<1, Storage>(state, c);
    case 2:
      return run_monarch<2, Storage>(state, c);
    default:
      return run_monarch<3, Storage>(state, c);
  }
}

void register_cases() {
  for (const Index n : sizes)
    for (const Index batch : batches)
      for (const Layout layout : layouts)
        for (const int order : {0, 1, 2, 3}) {
          const Case c{order, n, batch, layout};
          benchmark::RegisterBenchmark(c.name().c_str(),
                                       [c](benchmark::State& state) {
                                         c.layout == Layout::row ? run<Eigen::ColMajor>(state, c)
                                                                 : run<Eigen::RowMajor>(state, c);
                                       })
              ->UseManualTime()
              ->Unit(benchmark::kMicrosecond);
        }
}

/// The dense result of the same run, size and layout; null when it was filtered out.
const Result* dense_of(const Case& c) {
  const auto dense = results.find({0, c.n, c.batch, c.layout});
  return dense == results.end() ? nullptr : &dense->second;
}

/// Everything, one row a case.
void print_full_table() {
  std::printf(
      "\n| N | B | layout | order | dense us | Monarch us | times faster | GFLOP/s | GB/s | of FMA peak |"
      " dense of FMA peak |\n");
  std::printf("|--:|--:|:--|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const auto& [c, r] : results) {
    const Result* d = dense_of(c);
    if (c.order == 0 || d == nullptr) continue;
    std::printf("| %td | %td | %s | %d | %.1f | %.1f | %.1f | %.0f | %.1f | %.2f | %.2f |\n", c.n, c.batch,
                name_of(c.layout), c.order, d->seconds * 1e6, r.seconds * 1e6, d->seconds / r.seconds,
                r.flops / r.seconds * 1e-9, r.bytes / r.seconds * 1e-9, r.flops / r.seconds / r.peak,
                d->flops / d->seconds / d->peak);
  }
}

/// One row for each size, order and layout: how many times faster than dense for every number of vectors.
void print_summary_table() {
  std::printf("\n| N | order | layout |");
  for (const Index batch : batches) std::printf(" B = %td |", batch);
  std::printf(" GFLOP/s, B = 256 | of FMA peak | dense of FMA peak | GB/s, B = 1 |\n|--:|--:|:--|");
  for (std::size_t i = 0; i < std::size(batches) + 4; ++i) std::printf("--:|");
  std::printf("\n");
  for (const Index n : sizes)
    for (const int order : {1, 2, 3})
      for (const Layout layout : layouts) {
        const auto many = results.find({order, n, 256, layout}), one = results.find({order, n, 1, layout});
        if (many == results.end() || one == results.end()) continue;
        std::printf("| %td | %d | %s |", n, order, name_of(layout));
        for (const Index batch : batches) {
          const Case c{order, n, batch, layout};
          const auto r = results.find(c);
          const Result* d = dense_of(c);
          r == results.end() || d == nullptr ? std::printf(" |")
                                             : std::printf(" %.1fx |", d->seconds / r->second.seconds);
        }
        const Result& r = many->second;
        const Result* d = dense_of(many->first);
        std::printf(" %.0f | %.2f | %.2f | %.1f |\n", r.flops / r.seconds * 1e-9, r.flops / r.seconds / r.peak,
                    d == nullptr ? 0.0 : d->flops / d->seconds / d->peak,
                    one->second.bytes / one->second.seconds * 1e-9);
      }
}

}  // namespace

int main(int argc, char** argv) {
  register_cases();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  std::printf("threads: %d (OMP_NUM_THREADS)\n", m2::detail::available_threads());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  print_full_table();
  print_summary_table();
  return 0;
}
