#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "m2/backend/concept.hpp"

namespace m2 {

namespace detail {

/// Ten rounds of Philox on a counter c and a key k. Plain numbers and no loop, so that loops over counters become SIMD
/// code.
M2_HD constexpr void philox_rounds(std::uint32_t& c0, std::uint32_t& c1, std::uint32_t& c2, std::uint32_t& c3,
                                   std::uint32_t k0, std::uint32_t k1) {
  const auto round = [&] {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  };
  round(), round(), round(), round(), round();
  round(), round(), round(), round(), round();
}

}  // namespace detail

/// Philox4x32-10, a counter-based generator: 128 random bits as a pure function of a counter and a key.
///
/// Source   Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (SC11)
M2_HD constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                    std::array<std::uint32_t, 2> key) {
  detail::philox_rounds(counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
  return counter;
}

/// 128 random bits for position `index` of stream `stream` of a seed.
M2_HD constexpr std::array<std::uint32_t, 4> random_bits(std::uint64_t seed, std::uint64_t stream,
                                                         std::uint64_t index) {
  return philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                 static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}

/// A number in [0, 1) from random bits: 24 bits for float, 53 for double.
template <Scalar T>
M2_HD constexpr T unit_interval(std::uint32_t high, std::uint32_t low) {
  if constexpr (std::same_as<T, float>) {
    return static_cast<float>(high >> 8) * 0x1p-24F;
  } else {
    return static_cast<double>(((std::uint64_t{high} << 32) | low) >> 11) * 0x1p-53;
  }
}

/// A host-side sequence of random numbers: the state is (seed, stream, position), so it can be stored, resumed and
/// split.
class Rng {
 public:
  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  /// An independent sequence of the same seed. Two streams of one parent are the same with a probability of 2^-64.
  Rng split(std::uint64_t id) const {
    const auto bits = random_bits(seed_ ^ 0x9E3779B97F4A7C15ULL, stream_, id);
    return Rng(seed_, (std::uint64_t{bits[0]} << 32) | bits[1]);
  }

  /// 128 random bits; the position moves by one.
  std::array<std::uint32_t, 4> bits() { return random_bits(seed_, stream_, position_++); }

  template <Scalar T>
  T uniform(T low = 0, T high = 1) {
    const auto b = bits();
    return low + (high - low) * unit_interval<T>(b[0], b[1]);
  }

  /// Normally distributed, by the Box-Muller transform.
  template <Scalar T>
  T normal(T mean = 0, T deviation = 1) {
    const auto b = bits();
    const double radius = std::sqrt(-2.0 * std::log(1.0 - unit_interval<double>(b[0], b[1])));
    return mean +
           deviation * static_cast<T>(radius * std::cos(2.0 * std::numbers::pi * unit_interval<double>(b[2], b[3])));
  }

  /// A whole number in [0, bound), bound >= 1.
  Index below(Index bound) {
    M2_REQUIRE(bound >= 1, "below: the bound is ", bound, ", at least 1 is needed");
    const auto range = static_cast<std::uint64_t>(bound);
    const std::uint64_t limit = std::numeric_limits<std::uint64_t>::max() / range * range;
    for (;;) {
      const auto b = bits();
      const std::uint64_t value = (std::uint64_t{b[0]} << 32) | b[1];
      if (value < limit) return static_cast<Index>(value % range);
    }
  }

  std::uint64_t seed() const { return seed_; }
  std::uint64_t stream() const { return stream_; }
  std::uint64_t position() const { return position_; }
  void seek(std::uint64_t position) { position_ = position; }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
};

}  // namespace m2
