#pragma once

#include <cmath>
#include <complex>
#include <numbers>
#include <utility>

#include "m2/core/error.hpp"
#include "m2/core/index.hpp"

namespace m2 {

/// w_n^k = exp(-2 pi i k / n), correct to about one unit in the last place for any k: the argument is reduced to an
/// eighth of the circle in whole numbers, so that no error grows with k or n.
///
/// Errors   m2::Error if n is not in [1, 2^60]
inline std::complex<double> root_of_unity(Index n, Index k) {
  M2_REQUIRE(n >= 1 && n <= Index{1} << 60, "root_of_unity: the order ", n, " is not in [1, 2^60]");
  k %= n;
  if (k < 0) k += n;
  Index angle = 4 * k;  // a quarter of the circle is n
  const bool below = angle > 2 * n;
  if (below) angle = 4 * n - angle;
  const bool left = angle > n;
  if (left) angle = 2 * n - angle;
  const bool steep = 2 * angle > n;
  if (steep) angle = n - angle;
  const double x = std::numbers::pi / 2 * (static_cast<double>(angle) / static_cast<double>(n));
  double cosine = std::cos(x), sine = std::sin(x);
  if (steep) std::swap(cosine, sine);
  if (2 * angle == n) cosine = sine = std::numbers::sqrt2 / 2;
  return {left ? -cosine : cosine, below ? sine : -sine};
}

}  // namespace m2
