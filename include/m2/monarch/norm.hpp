#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "m2/monarch/algebra.hpp"
#include "m2/ops/random.hpp"

/// The Frobenius norm of Monarch matrices, and whether two of them are the same matrix, without a dense one.
namespace m2 {

/// True if at most one path leads through the factors from any input to any output, so that every entry of the matrix
/// is one product of weights: the digits of the factors lie in rising or in falling order and do not overlap. All
/// square and rectangular shapes have this form; the two-factor shapes have it where no slice has a rank above 1.
template <int Order>
bool has_single_paths(const MonarchShape<Order>& shape) {
  bool rising = true, falling = true;
  for (int f = 0; f + 1 < Order; ++f) {
    const FactorShape &a = shape.factor(f), &b = shape.factor(f + 1);
    rising = rising && b.inner % (a.inner * a.out) == 0;
    falling = falling && a.inner % (b.inner * b.in) == 0;
  }
  return rising || falling;
}

namespace detail {

/// |x|^2 in double precision.
template <class T>
M2_HD double squared_modulus(T x) {
  if constexpr (ComplexScalar<T>) {
    const double re = static_cast<double>(x.real()), im = static_cast<double>(x.imag());
    return re * re + im * im;
  } else {
    const double value = element_cast<double>(x);
    return value * value;
  }
}

template <class T, Backend B>
double squared_norm(B& be, const T* data, Index n) {
  return be.sum(n, [=] M2_HD(Index i) { return squared_modulus(data[i]); });
}

/// The maximum norm of a factor: the largest sum of |w| over a row of a block.
template <Backend B, class T>
double largest_row_sum(View<const T, 4, B> factor) {
  B be;
  std::vector<T> host(static_cast<std::size_t>(factor.size()));
  be.download(factor.data(), host.data(), factor.size());
  double largest = 0;
  const auto width = static_cast<std::size_t>(factor.extent(3));
  for (std::size_t row = 0; row < host.size(); row += width) {
    double sum = 0;
    for (std::size_t j = row; j < row + width; ++j) sum += std::sqrt(squared_modulus(host[j]));
    largest = std::max(largest, sum);
  }
  return largest;
}

/// |a - b|^2 of two arrays.
template <class T, Backend B>
double squared_distance(B& be, const T* a, const T* b, Index n) {
  return be.sum(n, [=] M2_HD(Index i) { return squared_modulus(a[i] - b[i]); });
}

/// Every entry is one product: the sum of squares is the chain of squared weights between vectors of ones.
template <int Order, class Wide, Backend B>
double single_path_squared_norm(B& be, const MonarchView<Order, const Wide, B>& m) {
  Tensor<double, 1, B> squares(be, {m.shape.parameter_count()});
  const auto chain = monarch_view(without_padding(m.shape), squares.view());
  for (std::size_t f = 0; f < m.factors.size(); ++f) {
    const Wide* from = m.factors[f];
    double* to = chain.factors[f];
    be.for_each(m.shape.factors()[f].weight_count(), [=] M2_HD(Index i) { to[i] = squared_modulus(from[i]); });
  }
  Tensor<double, 2, B> ones(be, {1, chain.shape.in_features()}), sums(be, {1, chain.shape.out_features()});
  double* one = ones.data();
  be.for_each(ones.size(), [=] M2_HD(Index i) { one[i] = 1; });
  monarch_multiply(be, chain, ones.view(), sums.view());
  const double* sum = sums.data();
  return be.sum(sums.size(), [=] M2_HD(Index i) { return sum[i]; });
}

/// Two factors: |B A|^2 = trace of (B^H B)(A A^H). Both are block-diagonal, up to their strides, so only pairs of
/// middle indices count that share a block of A and a block of B.
template <class Wide, Backend B>
double two_factor_squared_norm(B& be, const MonarchView<2, const Wide, B>& m) {
  const FactorShape a = m.shape.factor(0), b = m.shape.factor(1);
  Tensor<Wide, 1, B> conjugated(be, {m.shape.parameter_count()});
  const auto conjugates = monarch_view(m.shape, conjugated.view());
  monarch_cast(be, m, conjugates, true);
  Tensor<Wide, 4, B> after_a(be, {a.outer, a.inner, a.out, a.out}), before_b(be, {b.outer, b.inner, b.in, b.in});
  const MonarchView<2, const Wide, B> right = conjugates;
  be.gemm(m.factor(0), right.factor(0).transpose(2, 3), after_a.view(), false);
  be.gemm(right.factor(1).transpose(2, 3), m.factor(1), before_b.view(), false);
  const Wide *left = before_b.data(), *gram = after_a.data();
  return be.sum(a.out_size() * a.out, [=] M2_HD(Index at) {
    const Index first = at / a.out, e2 = at % a.out;  // middle indices: `first`, and e2 in the same block of A
    const Index i = first % a.inner, e1 = first / a.inner % a.out, o = first / a.inner / a.out;
    const Index second = (o * a.out + e2) * a.inner + i;
    const Index outer = first / b.inner / b.in, inner = first % b.inner;
    if (second / b.inner / b.in != outer || second % b.inner != inner) return 0.0;
    const Index d1 = first / b.inner % b.in, d2 = second / b.inner % b.in;
    const Wide product =
        left[((outer * b.inner + inner) * b.in + d1) * b.in + d2] * gram[((o * a.inner + i) * a.out + e2) * a.out + e1];
    if constexpr (ComplexScalar<Wide>) {
      return product.real();
    } else {
      return product;
    }
  });
}

/// x (columns, n) := the unit vectors `first`, `first + 1`, ..
template <class T, Backend B>
void set_unit_vectors(B& be, View<T, 2, B> x, Index first) {
  const Index n = x.extent(1);
  be.for_each(x.size(), [=] M2_HD(Index i) { x(i / n, i % n) = T(i / n + first == i % n ? 1 : 0); });
}

/// |A|^2 column by column, or |A - B|^2 with another matrix of the same size: anything with multiply(be, x, y).
template <class Wide, Backend B, class Left, class Right = Left>
double squared_columns(B& be, const Left& a, const Right* other = nullptr) {
  const Index panel = std::min<Index>(a.cols(), 128);
  double total = 0;
  for (Index first = 0; first < a.cols(); first += panel) {
    const Index count = std::min(panel, a.cols() - first);
    Tensor<Wide, 2, B> x(be, {a.cols(), count}), y(be, {a.rows(), count}), z(be, {other ? a.rows() : 0, count});
    set_unit_vectors(be, x.view().transpose(0, 1), first);
    a.multiply(be, x.view().transpose(0, 1), y.view().transpose(0, 1));
    if (other) other->multiply(be, x.view().transpose(0, 1), z.view().transpose(0, 1));
    total += other ? squared_distance(be, y.data(), z.data(), y.size()) : squared_norm(be, y.data(), y.size());
  }
  return total;
}

/// A matrix in memory that somebody else owns, as something with multiply(be, x, y).
template <class View>
struct Multiplication {
  const View& m;
  Index rows() const { return m.shape.out_features(); }
  Index cols() const { return m.shape.in_features(); }
  template <class B, class X, class Y>
  void multiply(B& be, X x, Y y) const {
    monarch_multiply(be, m, x, y);
  }
};

}  // namespace detail

/// The Frobenius norm of M, in double precision for every element type, without the dense matrix:
///
///   one path from any input to any output   |M|^2 = 1^T |W_p|^2 .. |W_1|^2 1, squares weight by weight
///   two factors                             |M|^2 = trace of (W_2^H W_2)(W_1 W_1^H), on the pairs that meet in a block
///   otherwise                               the columns of M, 128 at a time
///
/// Errors   none; sums of squares above 1e308 are infinite
/// Cost     a copy of the weights in double, and: one multiply by one vector; 2 sum_f(weights of f times its digit of
///          the middle vector) flops; in_features multiplies by one vector
template <int Order, class W, Backend B>
double monarch_norm(B& be, const MonarchView<Order, W, B>& m) {
  using Wide = WideOf<std::remove_const_t<W>>;
  Tensor<Wide, 1, B> weights(be, {m.shape.parameter_count()});
  const auto wide = monarch_view(m.shape, weights.view());
  monarch_cast(be, m, wide);
  detail::clear_padding(be, wide);
  const MonarchView<Order, const Wide, B> read = wide;
  double square = 0;
  if (Order == 1) {
    square = detail::squared_norm(be, weights.data(), weights.size());
  } else if (has_single_paths(m.shape)) {
    square = detail::single_path_squared_norm<Order, Wide>(be, read);
  } else if constexpr (Order == 2) {
    square = detail::two_factor_squared_norm<Wide>(be, read);
  } else {
    square = detail::squared_columns<Wide>(be, detail::Multiplication<MonarchView<Order, Wide, B>>{wide});
  }
  return std::sqrt(std::max(square, 0.0));
}

/// |A - B| in the Frobenius norm, exact up to rounding of single entries (no difference of squares). A and B may have
/// different orders and factors: Monarch matrices or lazy products of them.
///
/// Errors   m2::Error if the sizes differ
/// Cost     in_features multiplies by each, 128 vectors at a time; no dense matrix
template <class Left, class Right, Backend B>
double monarch_distance(B& be, const Left& a, const Right& b) {
  M2_REQUIRE(a.rows() == b.rows() && a.cols() == b.cols(), "monarch_distance: A is ", a.rows(), " x ", a.cols(),
             ", B is ", b.rows(), " x ", b.cols());
  using Wide = WideOf<typename Left::value_type>;
  const auto left = a.template cast<Wide>(be);
  const auto right = b.template cast<Wide>(be);
  return std::sqrt(detail::squared_columns<Wide>(be, left, &right));
}

/// True if A and B are the same matrix up to |A - B| <= tolerance max(|A|, |B|), Frobenius norms. Factors are only
/// unique up to scaling (and, where blocks of a slice share r paths, up to r x r transformations); this test does not
/// look at factors but at the matrix, so it covers every order, shape and padding, and A and B may differ in all of
/// them. The norms are estimated from 16 normal vectors z, the same on every call: the mean of |(A - B) z|^2 is
/// |A - B|^2. Whatever the matrices are, an estimate is below a tenth of the norm with a probability under 1e-12, and
/// equal matrices never differ by more than rounding. monarch_distance is the exact and much dearer way.
///
/// Errors   none: matrices of different sizes are different
/// Cost     16 multiplies by each, in double precision, and copies of the weights in it
/// Source   Freivalds, Probabilistic machines can use less running time, IFIP 1977
template <class Left, class Right, Backend B>
bool monarch_equivalent(B& be, const Left& a, const Right& b, double tolerance) {
  using Wide = WideOf<typename Left::value_type>;
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  constexpr Index probes = 16;
  Rng rng(0x6d32);
  std::vector<Wide> host(static_cast<std::size_t>(a.cols() * probes));
  for (Wide& z : host) {
    if constexpr (ComplexScalar<Wide>) {
      const double re = rng.normal<double>();
      z = Wide(re, rng.normal<double>());
    } else {
      z = rng.normal<double>();
    }
  }
  Tensor<Wide, 2, B> z(be, {a.cols(), probes}), ya(be, {a.rows(), probes}), yb(be, {a.rows(), probes});
  be.upload(host.data(), z.data(), z.size());
  const View<const Wide, 2, B> vectors = z.cview().transpose(0, 1);
  a.template cast<Wide>(be).multiply(be, vectors, ya.view().transpose(0, 1));
  b.template cast<Wide>(be).multiply(be, vectors, yb.view().transpose(0, 1));
  const double largest =
      std::max(detail::squared_norm(be, ya.data(), ya.size()), detail::squared_norm(be, yb.data(), yb.size()));
  return detail::squared_distance(be, ya.data(), yb.data(), ya.size()) <= tolerance * tolerance * largest;
}

}  // namespace m2
