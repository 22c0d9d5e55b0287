#pragma once

#include <cmath>
#include <optional>

#include "m2/nn/filtered_convolution.hpp"
#include "m2/nn/linear.hpp"
#include "m2/ops/elementwise.hpp"
#include "m2/ops/short_convolution.hpp"

namespace m2 {

struct SequenceMixerOptions {
  Index max_length = 0;                  ///< the longest sequence; must be given
  bool bidirectional = false;            ///< false: position t sees only positions <= t
  bool residual_convolution = false;     ///< add an ungated long convolution of the input
  ImplicitFilterOptions filter = {};     ///< `bidirectional` of the mixer holds for its filters
  ConvolutionOptions convolution = {};   ///< kind of both convolutions
  std::optional<double> deviation = {};  ///< normal start of the projections, see LinearOptions
};

/// The gated sequence mixer of M2:
///
///   (x1, x2, v) = short_convolution(W_in x + b_in),   y = W_out (x2 . conv(x1 . v) [+ conv'(x)]) + b_out,
///
/// conv a long convolution with skip term whose kernels come from an implicit filter, conv' (optional) another one; or,
/// by an option, the causal Monarch mixer that starts as that convolution.
///
/// Shapes   x, y (batch, length, channels), length <= max_length; parameters in, short, convolution, [residual,] out
/// Writes   y; backward: dx (overwritten), parameter gradients (accumulated)
/// Errors   m2::Error if x has other channels or is too long, or the options of the convolution do not fit
/// Cost     8 batch length channels^2 flops for the projections, and the long convolution; the cache holds 18
///          channels numbers a position, and those of the convolution
/// Source   Fu et al. 2023 (arXiv:2310.12109); m2-reference section 2.1
template <Scalar T, Backend B>
class SequenceMixer {
  static constexpr Index taps = 3;  // of the short convolution

 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {
    Tensor<T, 3, B> projected, convolved;     // (batch, length, 3 channels), before and after the short convolution
    Tensor<T, 3, B> gated, filtered, output;  // (batch, length, channels): v . x1, its long convolution, W_out's input
    Tensor<T, 3, B> dprojected, dconvolved, dgated, dfiltered, doutput;
    typename detail::FilteredConvolution<T, B>::Cache convolution, residual;
    typename Linear<T, B>::Cache in, out;
  };

  SequenceMixer(Index channels, SequenceMixerOptions options)
      : channels_(channels),
        options_(options),
        in_(channels, projected(channels), {.deviation = options.deviation}),
        out_(channels, channels, {.deviation = options.deviation}),
        short_weight_({projected(channels), taps}, uniform<T>(1.0 / std::sqrt(static_cast<double>(taps)))),
        short_bias_({projected(channels)}, uniform<T>(1.0 / std::sqrt(static_cast<double>(taps))),
                    {.weight_decay = false}),
        convolution_(channels, options.max_length, filter(options), options.convolution) {
    if (options.residual_convolution)
      residual_.emplace(channels, options.max_length, filter(options), options.convolution);
  }

  Extents<3> output_extents(Extents<3> x) const {
    M2_REQUIRE(x[2] == channels_ && x[1] <= options_.max_length, "sequence_mixer: x is ", x,
               ", (batch, <= ", options_.max_length, ", ", channels_, ") is needed");
    return x;
  }

  Cache make_cache(B& be, Extents<3> x) const {
    output_extents(x);
    const Extents<3> wide{x[0], x[1], 3 * channels_};
    Cache cache;
    for (Tensor<T, 3, B>* tensor : {&cache.projected, &cache.convolved, &cache.dprojected, &cache.dconvolved}) {
      *tensor = Tensor<T, 3, B>(be, wide);
    }
    for (Tensor<T, 3, B>* tensor :
         {&cache.gated, &cache.filtered, &cache.output, &cache.dgated, &cache.dfiltered, &cache.doutput}) {
      *tensor = Tensor<T, 3, B>(be, x);
    }
    cache.convolution = convolution_.make_cache(be, x);
    if (residual_) cache.residual = residual_->make_cache(be, x);
    return cache;
  }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache& cache) const {
    detail::require_extents("sequence_mixer: y", y.extents(), output_extents(x.extents()));
    detail::require_extents("sequence_mixer: x, by its cache,", x.extents(), cache.gated.extents());
    in_.forward(be, x, cache.projected.view(), cache.in);
    short_convolution(be, cache.projected.cview(), short_weight_.template value<2>(), short_bias_.template value<1>(),
                      cache.convolved.view());
    const View<const T, 3, B> convolved = cache.convolved.cview();
    const View<T, 3, B> output = cache.output.view();
    multiply(be, part(convolved, 2), part(convolved, 0), cache.gated.view());
    convolution_.forward(be, cache.gated.cview(), cache.filtered.view(), cache.convolution);
    if (residual_) {
      residual_->forward(be, x, output, cache.residual);
      // dgated is free before the backward pass
      multiply(be, cache.filtered.cview(), part(convolved, 1), cache.dgated.view());
      accumulate(be, cache.dgated.cview(), output);
    } else {
      multiply(be, cache.filtered.cview(), part(convolved, 1), output);
    }
    out_.forward(be, output, y, cache.out);
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache& cache, View<T, 3, B> dx) {
    detail::require_extents("sequence_mixer: x, by its cache,", x.extents(), cache.gated.extents());
    const View<const T, 3, B> convolved = cache.convolved.cview();
    const View<T, 3, B> dconvolved = cache.dconvolved.view();
    const View<const T, 3, B> doutput = cache.doutput.cview();
    out_.backward(be, cache.output.cview(), dy, cache.out, cache.doutput.view());
    multiply_vjp(be, cache.filtered.cview(), part(convolved, 1), doutput, cache.dfiltered.view(), part(dconvolved, 1));
    convolution_.backward(be, cache.gated.cview(), cache.dfiltered.cview(), cache.convolution, cache.dgated.view());
    multiply_vjp(be, part(convolved, 2), part(convolved, 0), cache.dgated.cview(), part(dconvolved, 2),
                 part(dconvolved, 0));
    short_convolution_vjp(be, cache.projected.cview(), short_weight_.template value<2>(), cache.dconvolved.cview(),
                          cache.dprojected.view(), short_weight_.template gradient<2>(),
                          short_bias_.template gradient<1>());
    in_.backward(be, x, cache.dprojected.cview(), cache.in, dx);
    if (residual_) {
      residual_->backward(be, x, doutput, cache.residual, cache.dgated.view());
      accumulate(be, cache.dgated.cview(), dx);
    }
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("in", in_);
    visitor("short.weight", short_weight_);
    visitor("short.bias", short_bias_);
    visitor("convolution", convolution_);
    if (residual_) visitor("residual", *residual_);
    visitor("out", out_);
  }

 private:
  static Index projected(Index channels) { return detail::checked_product("sequence_mixer", 3, channels); }

  static ImplicitFilterOptions filter(const SequenceMixerOptions& options) {
    ImplicitFilterOptions result = options.filter;
    result.bidirectional = options.bidirectional;
    return result;
  }

  /// A third of the channels: 0 is x1, 1 is x2, 2 is v.
  template <class U>
  View<U, 3, B> part(View<U, 3, B> wide, Index i) const {
    return wide.slice(2, i * channels_, channels_);
  }

  Index channels_;
  SequenceMixerOptions options_;
  Linear<T, B> in_, out_;
  Parameter<T, B> short_weight_, short_bias_;
  detail::FilteredConvolution<T, B> convolution_;
  std::optional<detail::FilteredConvolution<T, B>> residual_;
};

}  // namespace m2
