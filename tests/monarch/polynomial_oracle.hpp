#pragma once

#include <vector>

#include "m2/monarch/polynomial.hpp"
#include "tests/support.hpp"

namespace m2::test {

enum class Blocks { lower_triangular, full };

/// Random coefficient blocks, diagonals of size 0.6 to 1.4: their inverses stay of size 1 (math.md D5).
template <int Order, class T>
PolynomialBasis<Order, T> random_basis(const std::array<Index, static_cast<std::size_t>(Order)>& radices, Rng& rng,
                                       Blocks blocks = Blocks::lower_triangular) {
  PolynomialBasis<Order, T> basis(radices);
  for (int a = 0; a < Order; ++a)
    for (Index c = 0; c < basis.weight(a); ++c)
      for (Index degree = 0; degree < basis.radix(a); ++degree)
        for (Index column = 0; column < basis.radix(a); ++column) {
          if (column > degree && blocks == Blocks::lower_triangular) continue;
          const double sign = rng.uniform<double>() < 0.5 ? -1 : 1;
          const double size = degree == column ? rng.uniform(0.6, 1.4) : rng.uniform(0.1, 0.3);
          basis.coefficient(a, c, degree, column) = static_cast<T>(sign * size);
        }
  return basis;
}

/// The coefficients of prod_a c^(a)(Z^{W_a}), polynomials multiplied one after the other.
template <int Order, class T>
std::vector<double> multiply_factors(const PolynomialBasis<Order, T>& basis, Index j) {
  std::vector<double> result{1};
  for (int a = 0; a < Order; ++a) {
    std::vector<double> next(result.size() + static_cast<std::size_t>(basis.weight(a) * (basis.radix(a) - 1)));
    for (std::size_t i = 0; i < result.size(); ++i)
      for (Index d = 0; d < basis.radix(a); ++d)
        next[i + static_cast<std::size_t>(d * basis.weight(a))] +=
            result[i] * static_cast<double>(basis.coefficient(a, j % basis.weight(a), d, basis.digit(j, a)));
    result = next;
  }
  return result;
}

}  // namespace m2::test
