#pragma once

#include "m2/nn/module.hpp"
#include "m2/nn/rows.hpp"
#include "m2/ops/layer_norm.hpp"

namespace m2 {

struct LayerNormOptions {
  double epsilon = 1e-5;  ///< added to the variance
};

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta over the channels of every position.
///
/// Shapes   x, y (batch, length, channels); parameters weight = gamma and bias = beta (channels)
/// Writes   y; backward: dx (overwritten, may be dy), gradients of weight and bias (accumulated)
/// Errors   m2::Error if x has another number of channels
/// Cost     a few passes over x, mean and deviation of each position kept in the cache
template <Scalar T, Backend B>
class LayerNorm {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {
    Tensor<T, 1, B> mean, inverse_deviation;  // (batch length)
  };

  explicit LayerNorm(Index channels, LayerNormOptions options = {})
      : channels_(channels),
        epsilon_(options.epsilon),
        weight_({channels}, constant<T>(1), {.weight_decay = false}),
        bias_({channels}, constant<T>(0), {.weight_decay = false}) {}

  Extents<3> output_extents(Extents<3> x) const {
    M2_REQUIRE(x[2] == channels_, "layer_norm: x is ", x, ", gamma is (", channels_, ")");
    return x;
  }
  Cache make_cache(B& be, Extents<3> x) const {
    output_extents(x);
    return {Tensor<T, 1, B>(be, {x[0] * x[1]}), Tensor<T, 1, B>(be, {x[0] * x[1]})};
  }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache& cache) const {
    detail::require_extents("layer_norm: y", y.extents(), output_extents(x.extents()));
    require_cache(x, cache);
    detail::for_row_blocks(
        [&](Index first, View<const T, 2, B> x_rows, View<T, 2, B> y_rows) {
          const Index rows = x_rows.extent(0);
          m2::layer_norm(be, x_rows, weight_.template value<1>(), bias_.template value<1>(), epsilon_, y_rows,
                         cache.mean.view().slice(0, first, rows), cache.inverse_deviation.view().slice(0, first, rows));
        },
        x, y);
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache& cache, View<T, 3, B> dx) {
    detail::require_extents("layer_norm: dy", dy.extents(), output_extents(x.extents()));
    detail::require_extents("layer_norm: dx", dx.extents(), x.extents());
    require_cache(x, cache);
    detail::for_row_blocks(
        [&](Index first, View<const T, 2, B> x_rows, View<const T, 2, B> dy_rows, View<T, 2, B> dx_rows) {
          const Index rows = x_rows.extent(0);
          layer_norm_vjp(be, x_rows, weight_.template value<1>(), cache.mean.cview().slice(0, first, rows),
                         cache.inverse_deviation.cview().slice(0, first, rows), dy_rows, dx_rows,
                         weight_.template gradient<1>(), bias_.template gradient<1>());
        },
        x, dy, dx);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("weight", weight_);
    visitor("bias", bias_);
  }

 private:
  static void require_cache(View<const T, 3, B> x, const Cache& cache) {
    M2_REQUIRE(cache.mean.extent(0) == x.extent(0) * x.extent(1), "layer_norm: x is ", x.extents(),
               ", the cache has room for ", cache.mean.extent(0), " positions");
  }

  Index channels_;
  double epsilon_;
  Parameter<T, B> weight_, bias_;
};

}  // namespace m2
