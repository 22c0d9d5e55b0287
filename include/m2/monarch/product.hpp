#pragma once

#include <numeric>
#include <utility>

#include "m2/monarch/monarch.hpp"

/// Products of Monarch matrices: as one chain of factors, with factors merged, or lazily, one after the other.
namespace m2 {

namespace detail {

template <std::size_t P, std::size_t Q>
std::array<FactorShape, P + Q> joined(const std::array<FactorShape, P>& first, const std::array<FactorShape, Q>& then) {
  std::array<FactorShape, P + Q> all{};
  std::copy(first.begin(), first.end(), all.begin());
  std::copy(then.begin(), then.end(), all.begin() + P);
  return all;
}

/// The factor that does what `first` and then `then` do, with as many blocks as possible.
inline FactorShape merged(const FactorShape& first, const FactorShape& then) {
  const Index outer = std::gcd(first.outer, then.outer), inner = std::gcd(first.inner, then.inner);
  return {outer, first.in_size() / (outer * inner), then.out_size() / (outer * inner), inner};
}

/// The weights of that factor: for input D and output E of a block, the sum over the outputs m of first's block that
/// holds D, as far as they lie in then's block that holds E.
template <Element T, Backend B>
void merge_weights(B& be, const FactorShape& first, const T* w1, const FactorShape& then, const T* w2,
                   const FactorShape& whole, T* to) {
  const FactorShape a = first, b = then, c = whole;
  be.for_each(c.weight_count(), [=] M2_HD(Index at) {
    const Index block = at / (c.in * c.out), o = block / c.inner, i = block % c.inner;
    const Index input = (o * c.in + at % c.in) * c.inner + i;
    const Index output = (o * c.out + at / c.in % c.out) * c.inner + i;
    const Index i1 = input % a.inner, d1 = input / a.inner % a.in, o1 = input / a.inner / a.in;
    const Index i2 = output % b.inner, e2 = output / b.inner % b.out, o2 = output / b.inner / b.out;
    SumOf<T> sum(0);
    for (Index e1 = 0; e1 < a.out; ++e1) {
      const Index middle = (o1 * a.out + e1) * a.inner + i1;
      if (middle % b.inner != i2 || middle / b.inner / b.in != o2) continue;
      const T left = w2[((o2 * b.inner + i2) * b.out + e2) * b.in + middle / b.inner % b.in];
      const T right = w1[((o1 * a.inner + i1) * a.out + e1) * a.in + d1];
      sum += element_cast<SumOf<T>>(left) * element_cast<SumOf<T>>(right);
    }
    to[at] = element_cast<T>(sum);
  });
}

}  // namespace detail

/// A B as one Monarch matrix of order p + q: the factors of B, then those of A. Where B is cut and A is padded at the
/// same size, weights that only reach what is cut become zero. Factors on the same digit can then become one
/// (merge_factors).
///
/// Errors   m2::Error if A.cols() != B.rows(), or if the padded sizes in the middle differ: use lazy_product then
/// Cost     a copy of the weights; a multiply by the result costs what multiplies by B and by A cost
template <int P, int Q, Element T, Backend B>
Monarch<P + Q, T, B> multiply(B& be, const Monarch<P, T, B>& left, const Monarch<Q, T, B>& right) {
  const MonarchShape<P>& a = left.shape();
  const MonarchShape<Q>& b = right.shape();
  M2_REQUIRE(a.in_features() == b.out_features(), "product of Monarch matrices: A is ", a, ", B is ", b);
  M2_REQUIRE(a.padded_in() == b.padded_out(), "product of Monarch matrices: the factors of B give ", b.padded_out(),
             " values, those of A take ", a.padded_in(),
             ", so that A B is no chain of factors; use lazy_product(A, B)");
  const MonarchShape<P + Q> shape(detail::joined(b.factors(), a.factors()), b.in_features(), a.out_features());
  Monarch<P + Q, T, B> result(shape, be);
  const auto all = result.view();
  MonarchView<Q, T, B> first{b, {}};
  MonarchView<P, T, B> then{a, {}};
  std::copy_n(all.factors.begin(), Q, first.factors.begin());
  std::copy_n(all.factors.begin() + Q, P, then.factors.begin());
  monarch_cast(be, right.view(), first);
  monarch_cast(be, left.view(), then);
  detail::clear_padding(be, first, false, true);
  be.synchronize();
  return result;
}
template <int P, int Q, Element T, Backend B>
Monarch<P + Q, T, B> operator*(const Monarch<P, T, B>& left, const Monarch<Q, T, B>& right) {
  B be;
  return multiply(be, left, right);
}

/// M with factors F and F + 1 made into one. On the same digit this is a product of blocks and saves work: A B of
/// orders p and q becomes one of order p + q - 1. On different digits the new blocks act on all that lies between the
/// outermost and innermost of both, so that two neighbouring digits become one radix; it is the way to a lower order.
///
/// Cost     weights of the new factor times the middle digit, multiply-adds
template <int F, int Order, Element T, Backend B>
Monarch<Order - 1, T, B> merge_factors(B& be, const Monarch<Order, T, B>& m) {
  static_assert(F >= 0 && F + 1 < Order, "merge_factors<F> merges factors F and F + 1: F + 1 < Order.");
  const MonarchShape<Order>& shape = m.shape();
  std::array<FactorShape, static_cast<std::size_t>(Order - 1)> factors{};
  for (int f = 0; f < Order - 1; ++f)
    factors[static_cast<std::size_t>(f)] = f == F  ? detail::merged(shape.factor(F), shape.factor(F + 1))
                                           : f < F ? shape.factor(f)
                                                   : shape.factor(f + 1);
  Monarch<Order - 1, T, B> result(MonarchShape<Order - 1>(factors, shape.in_features(), shape.out_features()), be);
  const auto from = m.view();
  const auto to = result.view();
  for (int f = 0; f < Order - 1; ++f) {
    const auto at = static_cast<std::size_t>(f);
    if (f == F) {
      detail::merge_weights<T>(be, shape.factor(F), from.factors[at], shape.factor(F + 1), from.factors[at + 1],
                               factors[at], to.factors[at]);
    } else {
      detail::convert(be, from.factors[f < F ? at : at + 1], to.factors[at], factors[at].weight_count());
    }
  }
  be.synchronize();
  return result;
}
template <int F, int Order, Element T, Backend B>
Monarch<Order - 1, T, B> merge_factors(const Monarch<Order, T, B>& m) {
  B be;
  return merge_factors<F>(be, m);
}

/// A B that is never formed: B is applied, then A, each a Monarch matrix or a product itself. It owns both. This holds
/// for any sizes that fit, where operator* of two Monarch matrices needs padded sizes that fit.
template <class Left, class Right>
class MonarchProduct {
 public:
  using value_type = typename Left::value_type;
  using backend_type = typename Left::backend_type;
  static constexpr int order = Left::order + Right::order;
  static_assert(std::same_as<value_type, typename Right::value_type> &&
                    std::same_as<backend_type, typename Right::backend_type>,
                "lazy_product: both matrices must have the same element type and backend; use cast<T>().");

 private:
  using T = value_type;
  using B = backend_type;

 public:
  MonarchProduct(Left left, Right right) : left_(std::move(left)), right_(std::move(right)) {
    M2_REQUIRE(left_.cols() == right_.rows(), "lazy_product: A is ", left_.rows(), " x ", left_.cols(), ", B is ",
               right_.rows(), " x ", right_.cols());
  }

  const Left& left() const { return left_; }
  const Right& right() const { return right_; }
  Index rows() const { return left_.rows(); }
  Index cols() const { return right_.cols(); }
  Index parameter_count() const { return left_.parameter_count() + right_.parameter_count(); }

  /// y = A (B x) for every row of x; an array between the two is allocated, with the batch contiguous.
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const {
    Tensor<T, 2, B> between(be, {left_.cols(), x.extent(0)});
    right_.multiply(be, x, between.view().transpose(0, 1));
    left_.multiply(be, between.view().transpose(0, 1), y);
  }
  /// y = B^-1 (A^-1 x) for every row of x; both must be square.
  void solve(B& be, Input<T, 2, B> x, View<T, 2, B> y) const {
    Tensor<T, 2, B> between(be, {left_.cols(), x.extent(0)});
    left_.solve(be, x, between.view().transpose(0, 1));
    right_.solve(be, between.view().transpose(0, 1), y);
  }
  template <class Derived, class Self = MonarchProduct>
  auto solve(const Derived& x) const {
    return eigen_solve(static_cast<const Self&>(*this), x);
  }

  auto transpose() const { return product(right_.transpose(), left_.transpose()); }
  auto adjoint() const { return product(right_.adjoint(), left_.adjoint()); }
  auto inverse() const { return product(right_.inverse(), left_.inverse()); }
  MonarchProduct conjugate() const { return {left_.conjugate(), right_.conjugate()}; }
  MonarchProduct clone() const { return {left_.clone(), right_.clone()}; }
  template <Element U>
  auto cast(B& be) const {
    return product(left_.template cast<U>(be), right_.template cast<U>(be));
  }

  /// det A det B; both must be square.
  LogDeterminant<T> log_determinant() const {
    const LogDeterminant<T> a = left_.log_determinant(), b = right_.log_determinant();
    return {a.sign * b.sign, a.log_abs + b.log_abs};
  }
  WideOf<T> determinant() const { return log_determinant().determinant(); }

  /// The Frobenius norm, column by column: cols() multiplies in double precision.
  double norm() const {
    B be;
    const auto wide = cast<WideOf<T>>(be);
    return std::sqrt(detail::squared_columns<WideOf<T>>(be, wide));
  }

  /// True if this and another matrix, a Monarch matrix or a product of them, are the same up to `tolerance` times its
  /// norm: monarch_equivalent. The default allows for the rounding of every weight, as that of Monarch::equivalent.
  template <class Other>
  bool equivalent(const Other& other, double tolerance = 2.0 * order * epsilon_of<T>()) const {
    B be;
    return monarch_equivalent(be, *this, other, tolerance);
  }

  /// As an Eigen matrix; Cpu only, with m2/monarch.hpp.
  template <class Self = MonarchProduct>
  auto to_dense() const {
    return eigen_dense(static_cast<const Self&>(*this));
  }

 private:
  template <class L, class R>
  static MonarchProduct<L, R> product(L left, R right) {
    return {std::move(left), std::move(right)};
  }

  Left left_;
  Right right_;
};

/// A B, lazily. Matrices are moved in; pass a.clone() to keep one.
template <class Left, class Right>
MonarchProduct<Left, Right> lazy_product(Left left, Right right) {
  return {std::move(left), std::move(right)};
}

}  // namespace m2
