#pragma once

#include <array>
#include <complex>
#include <vector>

#include "m2/core/scalar.hpp"
#include "m2/monarch/shape.hpp"

/// Monarch matrices as polynomials. Radices r_0, .., r_{p-1} split an index j into digits j_0, .., j_{p-1}, the last
/// one contiguous (lowest), W_a = r_{a+1} .. r_{p-1} the weight of digit a. Column j of a Monarch matrix is a
/// polynomial in one variable for every digit,
///
///   q_j(X_0, .., X_{p-1}) = prod_a c^(a)_{j_a ; j mod W_a}(X_a),   c^(a)_{j_a ; c}(Y) = sum_d C^(a)_c[d, j_a] Y^d,
///
/// d < r_a, and X_a = Z^{W_a} (Kronecker's substitution) makes it one polynomial in Z of degree < r_0 .. r_{p-1}: no
/// two terms meet, so its coefficients are the products of those of the c^(a). Rows are the values of all q_j at the
/// roots of unity: evaluation is M u, interpolation M^-1 y, and a product of polynomials is M0^-1 ((M1 k) . (M2 u)).
///
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 4, Thm. 1 and 2; math.md C, D1 to D3
namespace m2 {

/// The basis polynomials q_j of an order-p Monarch matrix, by their coefficient blocks, in host memory. It starts as
/// the monomials, q_j = Z^j: every block the identity.
///
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 4; math.md D2
template <int Order, Scalar T>
class PolynomialBasis {
 public:
  using Radices = typename MonarchShape<Order>::Radices;
  using Complex = std::complex<double>;

  /// Errors   m2::Error if a radix is below 1, or the sizes do not fit 64 bits
  explicit PolynomialBasis(const Radices& radices) : radices_(radices) {
    MonarchShape<Order>::square(radices);  // checks
    for (int a = 0; a < Order; ++a) {
      const Index r = radix(a);
      auto& blocks = blocks_[static_cast<std::size_t>(a)];
      blocks.assign(static_cast<std::size_t>(weight(a) * r * r), T{0});
      for (Index c = 0; c < weight(a); ++c)
        for (Index d = 0; d < r; ++d) coefficient(a, c, d, d) = T{1};
    }
  }

  const Radices& radices() const { return radices_; }
  Index radix(int a) const { return radices_[static_cast<std::size_t>(a)]; }
  /// W_a, the weight of digit a: the number of its contexts, the values c of the lower digits.
  Index weight(int a) const {
    Index w = 1;
    for (int lower = a + 1; lower < Order; ++lower) w *= radix(lower);
    return w;
  }
  /// The number of polynomials, and the bound of their degrees.
  Index size() const { return weight(0) * radix(0); }
  Index digit(Index j, int a) const { return j / weight(a) % radix(a); }

  /// C^(a)_context[degree, column]: the coefficient of Y^degree in c^(a)_{column ; context}.
  T& coefficient(int a, Index context, Index degree, Index column) {
    return blocks_[static_cast<std::size_t>(a)][at(a, context, degree, column)];
  }
  T coefficient(int a, Index context, Index degree, Index column) const {
    return blocks_[static_cast<std::size_t>(a)][at(a, context, degree, column)];
  }

  /// Q[degree, j], the coefficient of Z^degree in q_j.
  double coefficient(Index degree, Index j) const {
    double product = 1;
    for (int a = 0; a < Order; ++a)
      product *= static_cast<double>(coefficient(a, j % weight(a), digit(degree, a), digit(j, a)));
    return product;
  }

  /// The coefficients of q_j as a polynomial in Z, lowest degree first.
  std::vector<double> polynomial(Index j) const {
    std::vector<double> result;
    for (Index degree = 0; degree < size(); ++degree) result.push_back(coefficient(degree, j));
    return result;
  }

  /// q_j(X_0, .., X_{p-1}) at any complex point.
  Complex evaluate(Index j, const std::array<Complex, static_cast<std::size_t>(Order)>& x) const {
    Complex product = 1;
    for (int a = 0; a < Order; ++a) {
      Complex value = 0;  // Horner
      for (Index d = radix(a) - 1; d >= 0; --d)
        value =
            value * x[static_cast<std::size_t>(a)] + static_cast<double>(coefficient(a, j % weight(a), d, digit(j, a)));
      product *= value;
    }
    return product;
  }
  /// q_j(Z): X_a = Z^{W_a}.
  Complex evaluate(Index j, Complex z) const {
    std::array<Complex, static_cast<std::size_t>(Order)> x;
    for (int a = Order - 1; a >= 0; --a) {
      x[static_cast<std::size_t>(a)] = z;
      Complex power = 1;
      for (Index i = 0; i < radix(a); ++i) power *= z;
      z = power;
    }
    return evaluate(j, x);
  }

  /// True if q_j has no term below Z^j, for every j: all blocks are lower triangular.
  bool lower_triangular() const {
    for (int a = 0; a < Order; ++a)
      for (Index c = 0; c < weight(a); ++c)
        for (Index column = 1; column < radix(a); ++column)
          for (Index d = 0; d < column; ++d)
            if (coefficient(a, c, d, column) != T{0}) return false;
    return true;
  }

  /// Every block inverted, by forward substitution: what interpolation() needs of lower triangular bases.
  ///
  /// Errors   m2::Error if the basis is not lower triangular or a diagonal element is 0
  /// Cost     N sum of r_a^2 / 6 multiplications
  PolynomialBasis inverse() const {
    M2_REQUIRE(lower_triangular(), "polynomial basis: only lower triangular blocks are inverted here");
    PolynomialBasis result(radices_);
    for (int a = 0; a < Order; ++a)
      for (Index c = 0; c < weight(a); ++c)
        for (Index column = 0; column < radix(a); ++column)
          for (Index row = column; row < radix(a); ++row) {
            const T diagonal = coefficient(a, c, row, row);
            M2_REQUIRE(diagonal != T{0}, "polynomial basis: block ", c, " of digit ", a, " has 0 at diagonal element ",
                       row);
            double sum = row == column ? 1 : 0;
            for (Index d = column; d < row; ++d)
              sum -= static_cast<double>(coefficient(a, c, row, d)) *
                     static_cast<double>(result.coefficient(a, c, d, column));
            result.coefficient(a, c, row, column) = static_cast<T>(sum / static_cast<double>(diagonal));
          }
    return result;
  }

 private:
  std::size_t at(int a, Index context, Index degree, Index column) const {
    return static_cast<std::size_t>((context * radix(a) + degree) * radix(a) + column);
  }

  Radices radices_;
  std::array<std::vector<T>, static_cast<std::size_t>(Order)> blocks_;  // (weight, degree, column)
};

}  // namespace m2
