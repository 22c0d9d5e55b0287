#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "m2/monarch/multiply.hpp"
#include "m2/ops/random.hpp"

namespace m2 {

/// An order-p Monarch matrix that owns its weights: the product of p block-diagonal factors and the permutations
/// between them, out_features x in_features, at a cost of O(p N^(1 + 1/p)) instead of N^2. Copies are explicit (clone).
///
/// Order  number of factors, at least 1 (1: block-diagonal)
/// T      element type: float, double, complex of either, or a 16-bit type of the backend (sums are float)
/// B      backend; m2/monarch.hpp makes Cpu the default
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

  Monarch clone() const {
    B be;
    return clone(be);
  }
  Monarch clone(B& be) const {
    Monarch copy(shape_, be);
    const T* from = weights_.data();
    T* to = copy.weights_.data();
    be.for_each(weights_.size(), [=] M2_HD(Index i) { to[i] = from[i]; });
    be.synchronize();
    return copy;
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

  /// The same matrix as a dense array.  // (out_features, in_features)
  Tensor<T, 2, B> dense_tensor(B& be) const {
    Tensor<T, 2, B> identity(be, {cols(), cols()}), dense(be, {rows(), cols()});
    const View<T, 2, B> ones = identity.view();
    be.for_each(cols(), [=] M2_HD(Index i) { ones(i, i) = T(1); });
    monarch_multiply(be, view(), identity.view(), dense.view().transpose(0, 1));
    return dense;
  }

  /// The same matrix as an Eigen matrix; Cpu only, with m2/monarch.hpp.
  template <class Self = Monarch>
  auto to_dense() const {
    return eigen_dense(static_cast<const Self&>(*this));  // found by argument-dependent lookup: monarch/eigen.hpp
  }

 private:
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
