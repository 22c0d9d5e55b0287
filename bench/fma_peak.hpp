#pragma once

#include <algorithm>
#include <chrono>

#ifdef _OPENMP
#include <omp.h>
#endif

/// The ceiling of arithmetic, measured: multiply-adds on registers alone.
namespace m2::bench {

/// The widest vector of the instruction set that this file is compiled for.
#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

/// Floating-point operations per second of one thread: independent multiply-adds on 12 vector registers, an addition
/// and a multiplication counting 2. The best of a few rounds of about a millisecond.
template <class T>
double fma_flops_one_thread() {
  typedef T Vector __attribute__((vector_size(vector_bytes)));
  constexpr int chains = 12;  // hides a latency of 4 on 2 units; fits 16 registers; is unrolled completely
  constexpr long rounds = 20000;
  constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));
  Vector sums[chains];
  for (auto& sum : sums) sum = Vector{} + T(1);
  Vector factor = Vector{} + T(0.999), term = Vector{} + T(1e-3);
  asm volatile("" : "+m"(factor), "+m"(term));  // unknown to the compiler from here on
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    for (long round = 0; round < rounds; ++round)
      for (auto& sum : sums) sum = sum * factor + term;
    for (auto& sum : sums) asm volatile("" : "+m"(sum));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * lanes * chains * static_cast<double>(rounds) / seconds.count());
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
