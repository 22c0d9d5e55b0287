#pragma once

#include <map>
#include <memory>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "bench/measure.hpp"
#include "m2/backend/cpu/lanes.hpp"

/// What the machine can do at most, as contestants beside those that try.
namespace m2::bench {

/// Multiply-adds on registers alone, an addition and a multiplication counting 2 floating-point operations. Without a
/// fused one, all multiplications of a step come before all additions, and several steps are one pass of the loop: in
/// the order that g++ chooses, Zen 4 does 12.5 to 15 operations a cycle of the 16 that it can do, depending on where
/// the linker puts the loop; so it does 16.
template <class T>
class FmaLoop {
  using Register = detail::Lanes<T>;
  static constexpr int chains = 12;  // hides a latency of 4 on 2 units, or of 3 + 3; fits 16 registers
  static constexpr int unrolled = 4;
  static constexpr long steps = 2000;
#if defined(__GNUC__) && !defined(__clang__) && defined(__SSE2__) && !defined(__FMA__)
  static constexpr bool fused = false;
#else
  static constexpr bool fused = true;
#endif

 public:
  static constexpr double flops = 2.0 * static_cast<double>(Register::count) * chains * steps;

  [[gnu::noinline, gnu::aligned(64)]] void operator()() const {
    Register sums[chains], factor = Register::zero(), term = Register::zero();
    for (Index i = 0; i < Register::count; ++i) factor.v[i] = T(0.999), term.v[i] = T(1e-3);
    asm volatile("" : "+m"(factor), "+m"(term));  // unknown to the compiler from here on
    M2_UNROLL
    for (int c = 0; c < chains; ++c) compute_here(sums[c] = term);  // equal sums would be one
    for (long step = 0; step < steps; step += unrolled) M2_UNROLL
    for (int u = 0; u < unrolled; ++u) {
      M2_UNROLL
      for (int c = 0; c < chains; ++c) {
        if constexpr (fused) {
          sums[c] = add_product(term, sums[c], factor);
        } else {
          compute_here(sums[c] = sums[c] * factor);
        }
      }
      M2_UNROLL
      for (int c = 0; !fused && c < chains; ++c) compute_here(sums[c] = sums[c] + term);
    }
    M2_UNROLL
    for (int c = 0; c < chains; ++c) compute_here(sums[c]);
  }

 private:
  /// The compiler must have this value in a register here, and knows no longer what it is.
  static M2_INLINE void compute_here(Register& value) {
#if defined(__AVX512F__)
    asm volatile("" : "+v"(value.v));
#elif defined(__SSE2__)
    asm volatile("" : "+x"(value.v));
#else
    asm volatile("" : "+m"(value.v));
#endif
  }
};

/// The FMA peak of one thread; a call is FmaLoop<T>::flops operations.
template <class T>
Contestant fma_peak() {
  return contestant(FmaLoop<T>{});
}

/// The same on every thread that a parallel region gets; a call is FmaLoop<T>::flops operations on each of them.
template <class T>
Contestant fma_peak_of_threads() {
  return [](long calls) {
    double slowest = 0;
#ifdef _OPENMP
#pragma omp parallel reduction(max : slowest)
#endif
    slowest = fma_peak<T>()(calls);
    return slowest;
  };
}

/// One reading of n elements, as fast as loads go: eight independent sums of whole registers.
template <class T>
T read_once(const T* data, Index n) {
  using Register = detail::Lanes<T>;
  constexpr Index at_once = 8;
  Register sums[std::size_t{at_once}];
  for (Register& sum : sums) sum = Register::zero();
  Index i = 0;
  for (; i + at_once * Register::count <= n; i += at_once * Register::count)
    for (Index k = 0; k < at_once; ++k) sums[k] = sums[k] + Register::load(data + i + k * Register::count);
  for (Index k = 1; k < at_once; ++k) sums[0] = sums[0] + sums[k];
  T total = T{0};
  for (Index k = 0; k < Register::count; ++k) total += sums[0].v[k];
  for (; i < n; ++i) total += data[i];
  return total;
}

/// Bytes per second that one thread reads from memory of `bytes` bytes, over and over: of the cache that holds them.
/// Measured once for each power of two.
inline double read_bandwidth(double bytes) {
  static std::map<int, double> known;
  const int bits = std::clamp(static_cast<int>(std::ceil(std::log2(bytes))), 14, 28);
  const auto found = known.find(bits);
  if (found != known.end()) return found->second;
  const std::vector<float> memory(std::size_t{1} << (bits - 2), 1.0F);
  const Rounds rounds({3, 0.005}, {contestant([&] {
                        float sum = read_once(memory.data(), static_cast<Index>(memory.size()));
                        touch(&sum);
                      })});
  return known[bits] = static_cast<double>(memory.size() * sizeof(float)) / rounds.seconds(0);
}

/// The roofline: the share of the FMA peak that work of so many flops can have when so many bytes must come from the
/// cache, or the memory, that holds them. Everything in the second-level cache counts as no limit.
inline double roofline(double flops, double bytes, double peak) {
  if (bytes <= 1 << 20) return 1;
  return std::min(1.0, flops / peak / (bytes / read_bandwidth(bytes)));
}

}  // namespace m2::bench
