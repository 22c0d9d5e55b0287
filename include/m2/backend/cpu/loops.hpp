#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "m2/backend/cpu/threads.hpp"

namespace m2::detail {

/// The loops of one row. Iterations are independent, which is what `omp simd` tells the compiler; `flatten` inlines all
/// that the body calls, however large the program is: one call left over and the loop is no SIMD code.
struct CpuTeam {
  Index width;

  template <class F>
  [[gnu::flatten]] void each(F&& f) const {
#ifdef _OPENMP
#pragma omp simd
#endif
    for (Index j = 0; j < width; ++j) f(j);
  }

  template <class F>
  [[gnu::flatten]] auto sum(F&& f) const {
    std::decay_t<decltype(f(Index{}))> total = 0;
#ifdef _OPENMP
#pragma omp simd reduction(+ : total)
#endif
    for (Index j = 0; j < width; ++j) total += f(j);
    return total;
  }

  template <class F>
  [[gnu::flatten]] auto max(F&& f) const {
    auto best = f(Index{0});
#ifdef _OPENMP
#pragma omp simd reduction(max : best)
#endif
    for (Index j = 1; j < width; ++j) {
      const auto value = f(j);
      best = value > best ? value : best;
    }
    return best;
  }
};

/// Below this many elements a second thread costs more than it brings (waking one takes a few microseconds).
inline constexpr Index parallel_threshold = Index{1} << 14;

template <class F>
void cpu_for_each(Index n, F&& f) {
  const int threads = n >= parallel_threshold ? available_threads() : 1;
  const Index parts = threads;
  parallel_parts(parts, threads, [&](Index part) {
    const Index begin = n * part / parts, end = n * (part + 1) / parts;
    CpuTeam{end - begin}.each([&](Index i) { f(begin + i); });
  });
}

/// depth: how many times the body loops over the row, which counts when threads are worth their price.
template <class F>
void cpu_for_rows(Index rows, Index width, F&& f, Index depth) {
  const CpuTeam team{width};
  const int threads = rows * width * depth >= parallel_threshold ? available_threads() : 1;
  parallel_parts(rows, threads, [&](Index row) { f(row, team); });
}

template <class F>
double cpu_sum(Index n, F&& f) {
  constexpr Index chunk = 4096;  // fixed, so that the order of additions does not depend on the number of threads
  const Index chunks = (n + chunk - 1) / chunk;
  std::vector<double> partial(static_cast<std::size_t>(chunks));
  parallel_parts(chunks, n >= parallel_threshold ? available_threads() : 1, [&](Index c) {
    const Index begin = c * chunk;
    partial[static_cast<std::size_t>(c)] =
        CpuTeam{std::min(n - begin, chunk)}.sum([&](Index i) { return static_cast<double>(f(begin + i)); });
  });
  double total = 0;
  for (const double part : partial) total += part;
  return total;
}

}  // namespace m2::detail
