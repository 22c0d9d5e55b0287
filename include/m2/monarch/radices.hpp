#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>

#include "m2/core/error.hpp"
#include "m2/core/index.hpp"

namespace m2 {

namespace detail {

/// Fills radices[at ..] with factors of n, none above `largest`, of the least sum; that sum, or -1 if there are none.
template <std::size_t Order>
Index least_sum_radices(Index n, Index largest, std::size_t at, std::array<Index, Order>& radices) {
  if (at + 1 == Order) {
    radices[at] = n;
    return n <= largest ? n : -1;
  }
  Index best = -1;
  std::array<Index, Order> trial = radices, found = radices;
  const auto consider = [&](Index divisor) {
    if (divisor > largest) return;
    trial[at] = divisor;
    const Index rest = least_sum_radices<Order>(n / divisor, divisor, at + 1, trial);
    if (rest >= 0 && (best < 0 || divisor + rest < best)) best = divisor + rest, found = trial;
  };
  for (Index d = 1; d <= n / d; ++d)
    if (n % d == 0) {
      consider(d);
      if (d != n / d) consider(n / d);
    }
  radices = found;
  return best;
}

}  // namespace detail

/// The factorisation n = r0 r1 .. r_{p-1} with the least sum, which is the cheapest Monarch matrix of this size and
/// order; the largest radix first. A prime n becomes (n, 1, .., 1).
///
/// Errors   m2::Error if n is not in [1, 2^40]
template <int Order>
std::array<Index, static_cast<std::size_t>(Order)> balanced_radices(Index n) {
  M2_REQUIRE(n >= 1 && n <= Index{1} << 40, "balanced_radices: the size ", n, " is not in [1, 2^40]");
  std::array<Index, static_cast<std::size_t>(Order)> radices{};
  detail::least_sum_radices(n, n, 0, radices);
  return radices;
}

/// Nearly equal radices whose product is at least n and little more: the size of a Monarch matrix to embed n into.
///
/// Errors   m2::Error if n is not in [1, 2^40]
template <int Order>
std::array<Index, static_cast<std::size_t>(Order)> covering_radices(Index n) {
  M2_REQUIRE(n >= 1 && n <= Index{1} << 40, "covering_radices: the size ", n, " is not in [1, 2^40]");
  std::array<Index, static_cast<std::size_t>(Order)> radices{};
  Index rest = n;
  for (std::size_t a = 0; a < radices.size(); ++a) {
    const double root = std::pow(static_cast<double>(rest), 1.0 / static_cast<double>(radices.size() - a));
    radices[a] = std::max<Index>(1, static_cast<Index>(std::ceil(root - 1e-9)));
    rest = (rest + radices[a] - 1) / radices[a];
  }
  return radices;
}

/// The size of a transform and the radices that it is made of: `4096` stands for balanced_radices<Order>(4096), `{16,
/// 256}` for itself.
template <int Order>
struct TransformSize {
  using Radices = std::array<Index, static_cast<std::size_t>(Order)>;

  TransformSize(Index n) requires(Order > 1) : radices(balanced_radices<Order>(n)) {}  // NOLINT: implicit on purpose
  TransformSize(const Radices& values) : radices(values) {}                            // NOLINT
  template <std::convertible_to<Index>... R>
  requires(sizeof...(R) == Order) TransformSize(R... values)  // NOLINT
      : radices{static_cast<Index>(values)...} {}

  Radices radices;
};

}  // namespace m2
