#pragma once

#include <cmath>
#include <optional>

#include "m2/nn/module.hpp"
#include "m2/nn/rows.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

struct LinearOptions {
  bool bias = true;
  /// Standard deviation of a normal start of the weight, with a bias of 0. Without it weight and bias start uniform in
  /// +-1/sqrt(in_features), which is PyTorch's default.
  std::optional<double> deviation = {};
};

/// y = x W^T + b in every position, W dense.
///
/// Shapes   x (batch, length, in_features), y (batch, length, out_features); parameters weight (out, in), bias (out)
/// Writes   y; backward: dx (overwritten), gradients of weight and bias (accumulated)
/// Errors   m2::Error if the channels of x are not in_features
/// Cost     2 batch length in out flops, one GEMM over all positions; backward twice that
template <Scalar T, Backend B>
class Linear {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {};

  Linear(Index in_features, Index out_features, LinearOptions options = {})
      : in_(in_features), out_(out_features), has_bias_(options.bias) {
    M2_REQUIRE(in_ >= 1 && out_ >= 1, "linear: ", in_, " to ", out_, " features, at least 1 is needed on both sides");
    const double bound = 1.0 / std::sqrt(static_cast<double>(in_));
    weight_ = {{out_, in_}, options.deviation ? normal<T>(*options.deviation) : uniform<T>(bound)};
    if (has_bias_)
      bias_ = {{out_}, options.deviation ? constant<T>(0) : uniform<T>(bound), ParameterOptions{.weight_decay = false}};
  }

  Index in_features() const { return in_; }
  Index out_features() const { return out_; }
  Extents<3> output_extents(Extents<3> x) const {
    M2_REQUIRE(x[2] == in_, "linear: x is ", x, ", the weight is (", out_, ", ", in_, ")");
    return {x[0], x[1], out_};
  }
  Cache make_cache(B&, Extents<3> x) const {
    output_extents(x);
    return {};
  }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache&) const {
    detail::require_extents("linear: y", y.extents(), output_extents(x.extents()));
    const View<const T, 2, B> weight = weight_.template value<2>();
    detail::for_row_blocks(
        [&](Index, View<const T, 2, B> x_rows, View<T, 2, B> y_rows) {
          if (has_bias_) {  // the GEMM adds to the bias: no pass over y of its own
            const T* bias = bias_.template value<1>().data();
            copy(be, View<const T, 2, B>(bias, y_rows.extents(), {0, 1}), y_rows);
          }
          gemm(be, x_rows, weight.transpose(0, 1), y_rows, has_bias_);
        },
        x, y);
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache&, View<T, 3, B> dx) {
    detail::require_extents("linear: dy", dy.extents(), output_extents(x.extents()));
    detail::require_extents("linear: dx", dx.extents(), x.extents());
    const View<const T, 2, B> weight = weight_.template value<2>();
    detail::for_row_blocks(
        [&](Index, View<const T, 2, B> x_rows, View<const T, 2, B> dy_rows, View<T, 2, B> dx_rows) {
          gemm(be, dy_rows.transpose(0, 1), x_rows, weight_.template gradient<2>(), true);
          if (has_bias_) add_bias_vjp(be, dy_rows, bias_.template gradient<1>());
          gemm(be, dy_rows, weight, dx_rows);
        },
        x, dy, dx);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("weight", weight_);
    if (has_bias_) visitor("bias", bias_);
  }

 private:
  Index in_, out_;
  bool has_bias_;
  Parameter<T, B> weight_, bias_;
};

}  // namespace m2
