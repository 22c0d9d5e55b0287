#pragma once

#include <algorithm>
#include <type_traits>

#include "m2/backend/cpu/scratch.hpp"
#include "m2/backend/cpu/threads.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The loops of one row. Iterations are independent, which is what `omp simd` tells the compiler. M2_HD, since nvcc
/// takes every body that calls them for one that might run on a GPU.
struct CpuTeam {
  Index width;

  template <class F>
  M2_HD void each(F&& f) const {
#ifdef _OPENMP
#pragma omp simd
#endif
    for (Index j = 0; j < width; ++j) f(j);
  }

  template <class F>
  M2_HD auto sum(F&& f) const {
    std::decay_t<decltype(f(Index{}))> total = 0;
#ifdef _OPENMP
#pragma omp simd reduction(+ : total)
#endif
    for (Index j = 0; j < width; ++j) total += f(j);
    return total;
  }

  template <class F>
  M2_HD auto max(F&& f) const {
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

#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed"  // clang warns where it finds no SIMD form; the plain loop is as right
#endif

// Each loop body is a function of its own (noinline) with all it calls inlined (flatten) and its data in local
// variables (f by value): so it becomes the same SIMD code in a program of any size. Left to the inliner's budget, one
// call that stays a call in a large program costs a factor of ten.

template <class F>
[[gnu::flatten, gnu::noinline]] void cpu_range(F f, Index begin, Index end) {
  CpuTeam{end - begin}.each([&](Index i) { f(begin + i); });
}

template <class F>
[[gnu::flatten, gnu::noinline]] double cpu_range_sum(F f, Index begin, Index end) {
  return CpuTeam{end - begin}.sum([&](Index i) { return static_cast<double>(f(begin + i)); });
}

template <class F>
[[gnu::flatten, gnu::noinline]] void cpu_row(F f, Index row, CpuTeam team) {
  f(row, team);
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif

template <class F>
void cpu_for_each(Index n, const F& f) {
  const int threads = n >= parallel_threshold ? available_threads() : 1;
  const Index parts = threads;
  parallel_parts(parts, threads,
                 [&](Index part) { cpu_range(f, part_begin(n, part, parts), part_begin(n, part + 1, parts)); });
}

/// depth: how many times the body loops over the row, which counts when threads are worth their price.
template <class F>
void cpu_for_rows(Index rows, Index width, const F& f, Index depth) {
  const int threads = rows * width * depth >= parallel_threshold ? available_threads() : 1;
  parallel_parts(rows, threads, [&](Index row) { cpu_row(f, row, CpuTeam{width}); });
}

struct SumScratch;

template <class F>
double cpu_sum(Index n, const F& f) {
  constexpr Index chunk = 4096;  // fixed, so that the order of additions does not depend on the number of threads
  const Index chunks = (n + chunk - 1) / chunk;
  double* const partial = thread_scratch<SumScratch, double>(chunks);
  parallel_parts(chunks, n >= parallel_threshold ? available_threads() : 1,
                 [&](Index c) { partial[c] = cpu_range_sum(f, c * chunk, std::min(n, (c + 1) * chunk)); });
  double total = 0;
  for (Index c = 0; c < chunks; ++c) total += partial[c];
  return total;
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
