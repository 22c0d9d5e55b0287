#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "m2/monarch/algebra.hpp"
#include "m2/monarch/inverse.hpp"
#include "m2/monarch/linear_map.hpp"
#include "m2/monarch/norm.hpp"
#include "m2/monarch/packed.hpp"
#include "m2/ops/random.hpp"

namespace m2 {

/// An order-p Monarch matrix that owns its weights: the product of p block-diagonal factors and the permutations
/// between them, out_features x in_features, at a cost of O(p N^(1 + 1/p)) instead of N^2. Copies are explicit (clone).
///
/// Order  number of factors, at least 1 (1: block-diagonal)
/// T      element type: float, double, complex of either, or a 16-bit type of the backend (sums are float)
/// B      backend; m2/monarch.hpp makes Cpu the default
///
/// Every member that computes has two forms: with a backend object to run on, and without, on one of its own.
///
/// Source   Dao et al. 2022 (arXiv:2204.00595) Def. 1; Fu et al. 2023 (arXiv:2310.12109) Sec. 3
template <int Order, Element T, Backend B>
class Monarch {
 public:
  using value_type = T;
  using backend_type = B;
  static constexpr int order = Order;

  /// All weights zero.
  explicit Monarch(const MonarchShape<Order>& shape) : Monarch(shape, B{}) {}
  Monarch(const MonarchShape<Order>& shape, B&& be) : Monarch(shape, be) {}
  Monarch(const MonarchShape<Order>& shape, B& be) : shape_(shape), weights_(be, {shape.parameter_count()}) {}

  /// Weights uniform in +-sqrt(3 / fan-in), fan-in the digits that an output of the factor sums over: the factors keep
  /// the variance of what passes through them. Complex weights share the variance among their two parts.
  static Monarch random(const MonarchShape<Order>& shape, Rng& rng) {
    B be;
    return random(shape, rng, be);
  }
  static Monarch random(const MonarchShape<Order>& shape, Rng& rng, B& be) {
    Monarch m(shape, be);
    std::vector<T> host;
    host.reserve(static_cast<std::size_t>(shape.parameter_count()));
    for (const FactorShape& f : shape.factors()) {
      const double bound = std::sqrt((ComplexScalar<T> ? 1.5 : 3.0) / static_cast<double>(f.in));
      for (Index i = 0; i < f.weight_count(); ++i) host.push_back(random_weight(rng, static_cast<RealOf<T>>(bound)));
    }
    be.upload(host.data(), m.weights_.data(), shape.parameter_count());
    be.synchronize();
    return m;
  }

  Monarch clone() const { return cast<T>(); }
  Monarch clone(B& be) const { return cast<T>(be); }

  /// The same matrix with elements of another type, rounded weight by weight; real becomes complex, never the reverse.
  template <Element U>
  Monarch<Order, U, B> cast() const {
    B be;
    return cast<U>(be);
  }
  template <Element U>
  Monarch<Order, U, B> cast(B& be) const {
    Monarch<Order, U, B> result(shape_, be);
    monarch_cast(be, view(), result.view());
    be.synchronize();
    return result;
  }

  const MonarchShape<Order>& shape() const { return shape_; }
  Index rows() const { return shape_.out_features(); }
  Index cols() const { return shape_.in_features(); }
  Index parameter_count() const { return shape_.parameter_count(); }

  /// The weights of factor f, in the order in which factors meet the input.  // (outer, inner, out, in)
  View<T, 4, B> factor(int f) { return view().factor(f); }
  View<const T, 4, B> factor(int f) const { return view().factor(f); }

  /// All weights, one factor after the other.
  View<T, 1, B> weights() { return weights_.view(); }
  View<const T, 1, B> weights() const { return weights_.view(); }

  MonarchView<Order, T, B> view() { return monarch_view(shape_, weights_.view()); }
  MonarchView<Order, const T, B> view() const { return monarch_view(shape_, weights_.view()); }

  /// y = M x for every row of x: monarch_multiply.
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const { monarch_multiply(be, view(), x, y); }

  /// A snapshot for many products by these weights: see PackedMonarch.
  PackedMonarch<Order, T, B> packed() const {
    B be;
    PackedMonarch<Order, T, B> result = packed(be);
    be.synchronize();
    return result;
  }
  PackedMonarch<Order, T, B> packed(B& be) const { return {be, view()}; }

  /// M^T, M^H and the complex conjugate of M; of real numbers M^H = M^T.
  Monarch transpose() const {
    B be;
    return transpose(be);
  }
  Monarch transpose(B& be) const { return transposed_monarch(be, false); }
  Monarch adjoint() const {
    B be;
    return adjoint(be);
  }
  Monarch adjoint(B& be) const { return transposed_monarch(be, true); }
  Monarch conjugate() const {
    B be;
    return conjugate(be);
  }
  Monarch conjugate(B& be) const {
    Monarch result(shape_, be);
    monarch_cast(be, view(), result.view(), true);
    be.synchronize();
    return result;
  }

  /// The LU decompositions of all blocks: keep them where one matrix meets many solves. See MonarchLu for errors.
  MonarchLu<Order, T, B> lu(B& be) const { return MonarchLu<Order, T, B>(be, view()); }

  /// M^-1, a Monarch matrix again, for square M whose blocks are square: block by block, factors in reverse order. Of
  /// 16-bit matrices it is computed in float and rounded once.
  ///
  /// Errors   m2::Error naming factor and block where M is singular; if M or its blocks are not square; if M has
  /// padding
  Monarch inverse() const {
    B be;
    return inverse(be);
  }
  Monarch inverse(B& be) const {
    const MonarchLu<Order, T, B> decomposition(be, view(), "monarch_inverse");
    Monarch result(transposed(shape_), be);
    decomposition.inverse(be, result.view());
    be.synchronize();
    return result;
  }

  /// y = M^-1 x for every row of x: monarch_solve, as dear as an inverse of the blocks and a multiply, and more exact.
  void solve(B& be, Input<T, 2, B> x, View<T, 2, B> y) const { monarch_solve(be, view(), x, y); }

  /// M^-1 X for an Eigen matrix X; Cpu only, with m2/monarch.hpp.
  template <class Derived, class Self = Monarch>
  auto solve(const Derived& x) const {
    return eigen_solve(static_cast<const Self&>(*this), x);
  }

  /// The determinant in double precision, and its sign and logarithm, which do not overflow.
  WideOf<T> determinant() const { return log_determinant().determinant(); }
  LogDeterminant<T> log_determinant() const {
    B be;
    return log_determinant(be);
  }
  LogDeterminant<T> log_determinant(B& be) const { return monarch_log_determinant(be, view()); }

  /// A bound of the condition number |M| |M^-1| in the maximum norm: the product over factors of |W| |W^-1|. A solve or
  /// an inverse loses no more than log10 of it in digits (and of norms, by equivalence, in others). It grows with the
  /// order even where M itself is harmless. Costs an inverse.
  double condition_bound() const {
    const Monarch other = inverse();
    double bound = 1;
    for (int f = 0; f < Order; ++f)
      bound *= detail::largest_row_sum<B>(factor(f)) * detail::largest_row_sum<B>(other.factor(Order - 1 - f));
    return bound;
  }

  /// The Frobenius norm: monarch_norm.
  double norm() const {
    B be;
    return norm(be);
  }
  double norm(B& be) const { return monarch_norm(be, view()); }

  /// M := diag(d) M and M := M diag(d).
  void scale_rows(B& be, Input<T, 1, B> d) { monarch_scale_rows(be, d, view()); }
  void scale_columns(B& be, Input<T, 1, B> d) { monarch_scale_columns(be, d, view()); }

  /// True if this and another Monarch matrix, of any order and factors, are the same matrix up to `tolerance` times its
  /// norm: monarch_equivalent. Factors that differ by scaling are equivalent. The default allows for the rounding of
  /// every weight.
  template <class Other>
  bool equivalent(const Other& other, double tolerance = default_tolerance()) const {
    B be;
    return monarch_equivalent(be, *this, other, tolerance);
  }

  /// The same matrix as a dense array.  // (out_features, in_features)
  Tensor<T, 2, B> dense_tensor(B& be) const {
    return detail::dense_form<T>(be, rows(), cols(),
                                 [&](View<const T, 2, B> x, View<T, 2, B> y) { multiply(be, x, y); });
  }

  /// The same matrix as an Eigen matrix; Cpu only, with m2/monarch.hpp.
  template <class Self = Monarch>
  auto to_dense() const {
    return eigen_dense(static_cast<const Self&>(*this));  // found by argument-dependent lookup: monarch/eigen.hpp
  }

 private:
  /// Twice what rounding of every weight, and of the scale that it is multiplied by, can change an entry by.
  static double default_tolerance() { return 2.0 * Order * epsilon_of<T>(); }

  Monarch transposed_monarch(B& be, bool conjugated) const {
    Monarch result(transposed(shape_), be);
    monarch_transpose(be, view(), result.view(), conjugated);
    be.synchronize();
    return result;
  }

  static T random_weight(Rng& rng, RealOf<T> bound) {
    const RealOf<T> first = rng.uniform<RealOf<T>>(-bound, bound);
    if constexpr (ComplexScalar<T>) {
      return T(first, rng.uniform<RealOf<T>>(-bound, bound));
    } else {
      return static_cast<T>(first);
    }
  }

  MonarchShape<Order> shape_;
  Tensor<T, 1, B> weights_;
};

}  // namespace m2
