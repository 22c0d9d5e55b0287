#pragma once

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "m2/monarch/multiply.hpp"
#include "m2/nn/module.hpp"
#include "m2/nn/rows.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

/// The factors of a trainable Monarch matrix. Each is a parameter (outer inner, out, in), named "factor0", "factor1",
/// .. in the order of application, or "weight" when there is only one.
template <int Order, Scalar T, Backend B>
class MonarchParameters {
 public:
  /// initializer(shape) gives the start of a factor.
  template <class F>
  MonarchParameters(const MonarchShape<Order>& shape, F&& initializer) : shape_(shape) {
    for (std::size_t f = 0; f < factors_.size(); ++f) {
      const FactorShape& factor = shape.factors()[f];
      factors_[f] = {{factor.blocks(), factor.out, factor.in}, initializer(factor)};
    }
  }

  const MonarchShape<Order>& shape() const { return shape_; }
  MonarchView<Order, const T, B> value() const {
    MonarchView<Order, const T, B> view{shape_, {}};
    for (std::size_t f = 0; f < factors_.size(); ++f) view.factors[f] = factors_[f].flat_value().data();
    return view;
  }
  MonarchView<Order, T, B> gradient() {
    MonarchView<Order, T, B> view{shape_, {}};
    for (std::size_t f = 0; f < factors_.size(); ++f) view.factors[f] = factors_[f].flat_gradient().data();
    return view;
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    for (std::size_t f = 0; f < factors_.size(); ++f) {
      visitor(Order == 1 ? std::string("weight") : "factor" + std::to_string(f), factors_[f]);
    }
  }

 private:
  MonarchShape<Order> shape_;
  std::array<Parameter<T, B>, static_cast<std::size_t>(Order)> factors_;
};

struct MonarchLinearOptions {
  Index blocks = 4;
  bool bias = true;
};

/// y = M x + b in every position, M a Monarch matrix of one factor (block-diagonal) or two. Features that do not divide
/// into the blocks are padded with zeros on the right, and the output is cut.
///
/// A factor starts uniform in +-1/sqrt(its last extent), the bias uniform in +-1/sqrt(out_features).
///
/// Shapes   x (batch, length, in_features), y (batch, length, out_features); parameters as MonarchParameters, and bias
///          (out_features)
/// Writes   y; backward: dx (overwritten), gradients of factors and bias (accumulated)
/// Errors   m2::Error if the channels of x are not in_features
/// Cost     2 batch length parameter_count flops; backward three times that
/// Source   m2-reference section 1.3 (BlockdiagLinear, MonarchLinear)
template <int Order, Scalar T, Backend B>
class MonarchMap {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {};

  MonarchMap(Index in_features, Index out_features, MonarchLinearOptions options = {}) requires(Order <= 2)
      : MonarchMap(shape_of(in_features, out_features, options.blocks), options.bias) {}

  explicit MonarchMap(const MonarchShape<Order>& shape, bool bias = true)
      : has_bias_(bias), matrix_(shape, [](const FactorShape& factor) {
          return uniform<T>(1.0 / std::sqrt(static_cast<double>(factor.in)));
        }) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(shape.out_features()));
    if (bias) bias_ = {{shape.out_features()}, uniform<T>(bound), ParameterOptions{.weight_decay = false}};
  }

  const MonarchShape<Order>& shape() const { return matrix_.shape(); }
  Extents<3> output_extents(Extents<3> x) const {
    M2_REQUIRE(x[2] == shape().in_features(), "monarch linear: x is ", x, ", M is ", shape());
    return {x[0], x[1], shape().out_features()};
  }
  Cache make_cache(B&, Extents<3> x) const {
    output_extents(x);
    return {};
  }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache&) const {
    detail::require_extents("monarch linear: y", y.extents(), output_extents(x.extents()));
    detail::for_row_blocks(
        [&](Index, View<const T, 2, B> x_rows, View<T, 2, B> y_rows) {
          monarch_multiply(be, matrix_.value(), x_rows, y_rows);
          if (has_bias_) add_bias(be, bias_.template value<1>(), y_rows);
        },
        x, y);
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache&, View<T, 3, B> dx) {
    detail::require_extents("monarch linear: dy", dy.extents(), output_extents(x.extents()));
    detail::require_extents("monarch linear: dx", dx.extents(), x.extents());
    detail::for_row_blocks(
        [&](Index, View<const T, 2, B> x_rows, View<const T, 2, B> dy_rows, View<T, 2, B> dx_rows) {
          if (has_bias_) add_bias_vjp(be, dy_rows, bias_.template gradient<1>());
          monarch_multiply_vjp(be, matrix_.value(), x_rows, dy_rows, dx_rows, matrix_.gradient());
        },
        x, dy, dx);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    matrix_.visit(visitor);
    if (has_bias_) visitor("bias", bias_);
  }

 private:
  static MonarchShape<Order> shape_of(Index in_features, Index out_features, Index blocks) requires(Order <= 2) {
    if constexpr (Order == 1) {
      return MonarchShape<1>::block_diagonal(in_features, out_features, blocks);
    } else {
      return MonarchShape<2>::linear(in_features, out_features, blocks);
    }
  }

  bool has_bias_;
  MonarchParameters<Order, T, B> matrix_;
  Parameter<T, B> bias_;
};

/// The reference's two-factor linear layer: MonarchLinear<T, B>(in, out, {.blocks = 4}).
template <Scalar T, Backend B>
using MonarchLinear = MonarchMap<2, T, B>;

}  // namespace m2
