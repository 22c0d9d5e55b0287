#pragma once

#include <algorithm>
#include <array>
#include <complex>
#include <vector>

#include "m2/core/root_of_unity.hpp"
#include "m2/monarch/monarch.hpp"

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

/// Where the polynomials of a basis are evaluated.
///
/// roots_of_unity   Z at the N-th roots of unity: products are those of polynomials in Z, modulo Z^N - 1
/// grid             X_a at the n_a-th roots of unity, independently of each other: products modulo every X_a^{n_a} - 1,
///                  where carries from one digit to the next are lost
enum class Nodes { roots_of_unity, grid };

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

/// The root of unity, as its exponent E < N, at which row `position` of an evaluation stands, when the top digit is
/// evaluated at top_points points: digit e_a of the position counts n_0 .. n_{a-1}. The rows are in digit-reversed
/// order.
///
/// Errors   m2::Error if there are no such radices, or the position is not in [0, N)
template <int Order>
Index evaluation_exponent(std::array<Index, static_cast<std::size_t>(Order)> radices, Index top_points,
                          Index position) {
  radices[0] = top_points;
  Index weight = 1, step = 1, exponent = 0;
  for (const Index n : radices) weight = detail::checked_product(weight, n);
  M2_REQUIRE(position >= 0 && position < weight, "evaluation_exponent: there is no row ", position, " of ", weight);
  for (const Index n : radices) {
    weight /= n;
    exponent += position / weight % n * step;
    step *= n;
  }
  return exponent;
}

namespace detail {

/// Where digit a of an evaluation stands, and the powers of its nodes: N_a = outer points, and for row e of a block
/// with upper digits o the node is w_{N_a}^E, E = exponents[o] + outer e.
template <int Order, Scalar T>
struct EvaluationFactor {
  using Complex = std::complex<double>;

  EvaluationFactor(const PolynomialBasis<Order, T>& basis, int a, Index top_points, Nodes nodes)
      : points(a == 0 ? top_points : basis.radix(a)), inner(basis.weight(a)) {
    for (int b = 0; b < a; ++b) outer *= b == 0 ? top_points : basis.radix(b);
    for (Index o = 0; o < outer; ++o) {  // the digits above a, already transformed: E_{a+1} of math.md
      Index rest = o, step = outer, exponent = 0;
      for (int b = a - 1; b >= 0; --b) {
        const Index n = b == 0 ? top_points : basis.radix(b);
        step /= n;
        exponent += rest % n * step;
        rest /= n;
      }
      exponents.push_back(nodes == Nodes::grid ? 0 : exponent);
    }
    const Index size = outer * points;
    for (Index t = 0; t < size; ++t) roots.push_back(root_of_unity(size, t));
  }

  /// The node of row e of a block with these upper digits, to the power d.
  Complex node_power(Index o, Index e, Index d) const {
    const Index exponent = exponents[static_cast<std::size_t>(o)] + outer * e;
    return roots[static_cast<std::size_t>(exponent * d % (outer * points))];
  }

  Index points, inner, outer = 1;
  std::vector<Index> exponents;
  std::vector<Complex> roots;
};

template <int Order, Scalar T, Backend B>
Monarch<Order, std::complex<T>, B> upload_monarch(B& be, const MonarchShape<Order>& shape,
                                                  const std::vector<std::complex<T>>& weights) {
  Monarch<Order, std::complex<T>, B> m(shape, be);
  be.upload(weights.data(), m.weights().data(), shape.parameter_count());
  be.synchronize();
  return m;
}

template <int Order, Scalar T>
Index checked_points(const char* op, const PolynomialBasis<Order, T>& basis, Index top_points) {
  const Index points = top_points == 0 ? basis.radix(0) : top_points;
  M2_REQUIRE(points >= 1, op, ": the top digit has ", top_points, " points, at least 1 is needed");
  auto all = basis.radices();
  all[0] = points;
  MonarchShape<Order>::rectangular(all, basis.radices());  // checks, before anything of that size is computed
  return points;
}

/// values *= factors.
template <ComplexScalar T, Backend B>
void multiply_complex(B& be, Index n, const T* factors, T* values) {
  be.for_each(n, [=] M2_HD(Index i) {
    const T a = values[i], b = factors[i];
    values[i] = T(a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real());
  });
}

}  // namespace detail

/// The matrix M[i, j] = q_j(w_N^E(i)), w_N = exp(-2 pi i / N), E = evaluation_exponent: M u are the values of the
/// polynomial sum_j u_j q_j at all N-th roots of unity. With the monomials as basis it is the DFT, rows in
/// digit-reversed order. Blocks of digit a are F_{r_a} diag(tau^d) C^(a)_c, tau the twiddle of the digits above.
///
/// top_points   n_0, the number of values of the top digit: N = n_0 r_1 .. r_{p-1}; 0 means r_0. More than r_0 of them
///              are zero padding without the zeros: M is rectangular
/// features     columns that matter, the first ones of r_0 .. r_{p-1}; 0 means all
///
/// Errors   m2::Error if the sizes do not fit
/// Cost     N sum of r_a^2 complex multiplications on the host, once
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 4, Thm. 1; math.md D3
template <int Order, Scalar T, Backend B>
Monarch<Order, std::complex<T>, B> evaluation(B& be, const PolynomialBasis<Order, T>& basis, Index top_points = 0,
                                              Index features = 0, Nodes nodes = Nodes::roots_of_unity) {
  top_points = detail::checked_points("evaluation", basis, top_points);
  std::array<FactorShape, static_cast<std::size_t>(Order)> factors;
  std::vector<std::complex<T>> weights;
  for (int a = 0; a < Order; ++a) {  // the top digit first
    const detail::EvaluationFactor<Order, T> f(basis, a, top_points, nodes);
    factors[static_cast<std::size_t>(a)] = {f.outer, basis.radix(a), f.points, f.inner};
    for (Index o = 0; o < f.outer; ++o)
      for (Index c = 0; c < f.inner; ++c)
        for (Index e = 0; e < f.points; ++e)
          for (Index column = 0; column < basis.radix(a); ++column) {
            std::complex<double> sum = 0;
            for (Index d = 0; d < basis.radix(a); ++d)
              sum += f.node_power(o, e, d) * static_cast<double>(basis.coefficient(a, c, d, column));
            weights.push_back(element_cast<std::complex<T>>(sum));
          }
  }
  return detail::upload_monarch(be, MonarchShape<Order>(factors, features), weights);
}

/// The inverse of evaluation: from values at the N-th roots of unity to the coordinates in a basis, given by the
/// inverses of its coefficient blocks. Blocks of digit a are C^-1 diag(conj(tau)^d) F^H / n_a, the lowest digit first.
/// Coefficients of the top digit at or above r_0 are dropped, which changes nothing below if the blocks are lower
/// triangular.
///
/// Arguments, Errors, Cost   as evaluation; inverse is PolynomialBasis::inverse() or was learned as it is
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 4, Thm. 2; math.md D3, D5
template <int Order, Scalar T, Backend B>
Monarch<Order, std::complex<T>, B> interpolation(B& be, const PolynomialBasis<Order, T>& inverse, Index top_points = 0,
                                                 Index features = 0, Nodes nodes = Nodes::roots_of_unity) {
  top_points = detail::checked_points("interpolation", inverse, top_points);
  std::array<FactorShape, static_cast<std::size_t>(Order)> factors;
  std::vector<std::complex<T>> weights;
  for (int a = Order - 1; a >= 0; --a) {  // the lowest digit first
    const detail::EvaluationFactor<Order, T> f(inverse, a, top_points, nodes);
    factors[static_cast<std::size_t>(Order - 1 - a)] = {f.outer, f.points, inverse.radix(a), f.inner};
    const double scale = 1 / static_cast<double>(f.points);
    for (Index o = 0; o < f.outer; ++o)
      for (Index c = 0; c < f.inner; ++c)
        for (Index row = 0; row < inverse.radix(a); ++row)
          for (Index e = 0; e < f.points; ++e) {
            std::complex<double> sum = 0;
            for (Index d = 0; d < std::min(inverse.radix(a), f.points); ++d)
              sum += std::conj(f.node_power(o, e, d)) * static_cast<double>(inverse.coefficient(a, c, row, d));
            weights.push_back(element_cast<std::complex<T>>(scale * sum));
          }
  }
  return detail::upload_monarch(be, MonarchShape<Order>(factors, 0, features), weights);
}

/// y = M0^-1 ((M1 k) . (M2 u)) for every row: the coordinates, in the basis of M0, of the product of the polynomials
/// that k and u stand for. It is a product modulo Z^N - 1, and the plain one if its degree is below N.
///
/// Shapes   k (rows, m1.cols()), u (rows, m2.cols()), y (rows, inverse.rows()); m1, m2 and inverse have N points
/// Writes   y (overwritten); y must not overlap k or u
/// Errors   m2::Error if a shape does not fit
/// Cost     three Monarch products; allocates two (rows, N) arrays
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 4, Thm. 2; math.md B6, D4
template <int Order, ComplexScalar T, Backend B>
void polynomial_product(B& be, const Monarch<Order, T, B>& m1, Input<T, 2, B> k, const Monarch<Order, T, B>& m2,
                        Input<T, 2, B> u, const Monarch<Order, T, B>& inverse, View<T, 2, B> y) {
  M2_REQUIRE(m1.rows() == m2.rows() && inverse.cols() == m1.rows(), "polynomial_product: the matrices have ", m1.rows(),
             ", ", m2.rows(), " and ", inverse.cols(), " points");
  M2_REQUIRE(k.extent(0) == u.extent(0), "polynomial_product: k is ", k.extents(), ", u is ", u.extents());
  const Index rows = u.extent(0), points = m1.rows();
  Tensor<T, 2, B> product(be, {rows, points}), other(be, {rows, points});
  monarch_multiply(be, m1.view(), k, other.view());
  monarch_multiply(be, m2.view(), u, product.view());
  detail::multiply_complex(be, rows * points, other.data(), product.data());
  monarch_multiply(be, inverse.view(), product.cview(), y);
}

}  // namespace m2
