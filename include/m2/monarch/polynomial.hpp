#pragma once

#include <algorithm>
#include <array>
#include <complex>
#include <utility>
#include <vector>

#include "m2/core/root_of_unity.hpp"
#include "m2/monarch/monarch.hpp"
#include "m2/monarch/polynomial_basis.hpp"

/// Monarch matrices that evaluate and interpolate the polynomials of a basis (polynomial_basis.hpp), and products of
/// polynomials by them.
namespace m2 {

/// Where the polynomials of a basis are evaluated.
///
/// roots_of_unity   Z at the N-th roots of unity: products are those of polynomials in Z, modulo Z^N - 1
/// grid             X_a at the n_a-th roots of unity, independently of each other: products modulo every X_a^{n_a} - 1,
///                  where carries from one digit to the next are lost
enum class Nodes { roots_of_unity, grid };

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

/// The matrix from coordinates to values, factors of the top digit first, or from values to coordinates, those of the
/// lowest digit first. Its weights are weight(factor, digit, upper digits, context, row, column).
template <int Order, Scalar T, Backend B, class Weight>
Monarch<Order, std::complex<T>, B> matrix_at_nodes(B& be, const char* op, bool to_values,
                                                   const PolynomialBasis<Order, T>& basis, Index top_points,
                                                   Index features, Nodes nodes, Weight weight) {
  if (top_points == 0) top_points = basis.radix(0);
  M2_REQUIRE(top_points >= 1, op, ": the top digit has ", top_points, " points, at least 1 is needed");
  auto points = basis.radices();
  points[0] = top_points;
  MonarchShape<Order>::rectangular(points, basis.radices());  // checks, before anything of that size is computed
  std::array<FactorShape, static_cast<std::size_t>(Order)> factors;
  std::vector<std::complex<T>> weights;
  for (int step = 0; step < Order; ++step) {
    const int a = to_values ? step : Order - 1 - step;
    const EvaluationFactor<Order, T> f(basis, a, top_points, nodes);
    FactorShape& shape = factors[static_cast<std::size_t>(step)];
    shape = {f.outer, basis.radix(a), f.points, f.inner};
    if (!to_values) std::swap(shape.in, shape.out);
    for (Index o = 0; o < shape.outer; ++o)
      for (Index c = 0; c < shape.inner; ++c)
        for (Index row = 0; row < shape.out; ++row)
          for (Index column = 0; column < shape.in; ++column)
            weights.push_back(element_cast<std::complex<T>>(weight(f, a, o, c, row, column)));
  }
  const MonarchShape<Order> shape(factors, to_values ? features : 0, to_values ? 0 : features);
  Monarch<Order, std::complex<T>, B> m(shape, be);
  be.upload(weights.data(), m.weights().data(), shape.parameter_count());
  be.synchronize();
  return m;
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
  return detail::matrix_at_nodes(be, "evaluation", true, basis, top_points, features, nodes,
                                 [&](const auto& f, int a, Index o, Index c, Index e, Index column) {
                                   std::complex<double> sum = 0;
                                   for (Index d = 0; d < basis.radix(a); ++d)
                                     sum += f.node_power(o, e, d) *
                                            static_cast<double>(basis.coefficient(a, c, d, column));
                                   return sum;
                                 });
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
  return detail::matrix_at_nodes(be, "interpolation", false, inverse, top_points, features, nodes,
                                 [&](const auto& f, int a, Index o, Index c, Index row, Index e) {
                                   std::complex<double> sum = 0;
                                   for (Index d = 0; d < std::min(inverse.radix(a), f.points); ++d)
                                     sum += std::conj(f.node_power(o, e, d)) *
                                            static_cast<double>(inverse.coefficient(a, c, row, d));
                                   return sum / static_cast<double>(f.points);
                                 });
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
