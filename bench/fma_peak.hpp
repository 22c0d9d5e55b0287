#pragma once

#include <algorithm>
#include <chrono>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "m2/backend/cpu/lanes.hpp"

/// The ceiling of arithmetic, measured: multiply-adds on registers alone.
namespace m2::bench {

/// Floating-point operations per second of one thread: independent multiply-adds on 12 SIMD registers, an addition and
/// a multiplication counting 2. The best of a few rounds of about a millisecond.
template <class T>
double fma_flops_one_thread() {
  using Register = detail::Lanes<T>;
  constexpr int chains = 12;  // hides a latency of 4 on 2 units; fits 16 registers; is unrolled completely
  constexpr long rounds = 20000;
  Register sums[chains], factor = Register::zero(), term = Register::zero();
  for (Index i = 0; i < Register::count; ++i) factor.v[i] = T(0.999), term.v[i] = T(1e-3);
  for (Register& sum : sums) sum = term;
  asm volatile("" : "+m"(factor), "+m"(term));  // unknown to the compiler from here on
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    for (long round = 0; round < rounds; ++round)
      for (Register& sum : sums) sum = add_product(term, sum, factor);
    for (Register& sum : sums) asm volatile("" : "+m"(sum));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(
        best, 2.0 * static_cast<double>(Register::count * chains) * static_cast<double>(rounds) / seconds.count());
  }
  return best;
}

/// The same over all threads that a parallel region gets.
template <class T>
double fma_flops() {
  double total = 0;
#ifdef _OPENMP
#pragma omp parallel reduction(+ : total)
#endif
  total += fma_flops_one_thread<T>();
  return total;
}

}  // namespace m2::bench
