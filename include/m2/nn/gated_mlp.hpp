#pragma once

#include "m2/nn/channel_linear.hpp"
#include "m2/nn/dropout.hpp"
#include "m2/ops/activations.hpp"

namespace m2 {

struct GatedMlpOptions {
  Index inner = 0;  ///< width between the two layers; 0 means 4 times the channels
  ChannelMixing mixing = ChannelMixing::block_diagonal;
  Index blocks = 4;
  double dropout = 0.0;  ///< of the inner activations
};

/// The gated MLP of M2: (h1, h2) = W_in x, y = W_out drop(gelu(h1) . h2) + b.
///
/// Shapes   x, y (batch, length, channels); parameters "in" (channels to 2 inner, no bias), "out" (inner to channels)
/// Writes   y; backward: dx (overwritten), parameter gradients (accumulated)
/// Errors   m2::Error if x has another number of channels
/// Cost     6 batch length channels inner flops for dense mixing, a `blocks`-th of it for block-diagonal; the cache
///          holds 6 inner numbers a position
/// Source   Fu et al. 2023 (arXiv:2310.12109); m2-reference section 3.3
template <Scalar T, Backend B>
class GatedMlp {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {
    Tensor<T, 3, B> hidden, gated;    // (batch, length, 2 inner), (batch, length, inner)
    Tensor<T, 3, B> dhidden, dgated;  // the same
    typename ChannelLinear<T, B>::Cache in, out;
    typename Dropout<T, B>::Cache dropout;
  };

  explicit GatedMlp(Index channels, GatedMlpOptions options = {})
      : inner_(options.inner == 0 ? detail::checked_product("gated_mlp", 4, channels) : options.inner),
        in_(channels, detail::checked_product("gated_mlp", 2, inner_),
            {.mixing = options.mixing, .blocks = options.blocks, .bias = false}),
        out_(inner_, channels, {.mixing = options.mixing, .blocks = options.blocks}),
        dropout_(options.dropout) {}

  Extents<3> output_extents(Extents<3> x) const {
    in_.output_extents(x);
    return x;
  }
  Cache make_cache(B& be, Extents<3> x) const {
    output_extents(x);
    const Extents<3> wide{x[0], x[1], 2 * inner_}, narrow{x[0], x[1], inner_};
    return {Tensor<T, 3, B>(be, wide),
            Tensor<T, 3, B>(be, narrow),
            Tensor<T, 3, B>(be, wide),
            Tensor<T, 3, B>(be, narrow),
            {},
            {},
            {}};
  }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache& cache) const {
    detail::require_extents("gated_mlp: y", y.extents(), output_extents(x.extents()));
    in_.forward(be, x, cache.hidden.view(), cache.in);
    const View<const T, 3, B> hidden = cache.hidden.cview();
    gated_gelu(be, hidden.slice(2, 0, inner_), hidden.slice(2, inner_, inner_), cache.gated.view());
    dropout_.forward(be, cache.gated.cview(), cache.gated.view(), cache.dropout);
    out_.forward(be, cache.gated.cview(), y, cache.out);
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache& cache, View<T, 3, B> dx) {
    out_.backward(be, cache.gated.cview(), dy, cache.out, cache.dgated.view());
    dropout_.backward(be, cache.gated.cview(), cache.dgated.cview(), cache.dropout, cache.dgated.view());
    const View<const T, 3, B> hidden = cache.hidden.cview();
    const View<T, 3, B> dhidden = cache.dhidden.view();
    gated_gelu_vjp(be, hidden.slice(2, 0, inner_), hidden.slice(2, inner_, inner_), cache.dgated.cview(),
                   dhidden.slice(2, 0, inner_), dhidden.slice(2, inner_, inner_));
    in_.backward(be, x, dhidden, cache.in, dx);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("in", in_);
    visitor("out", out_);
    visitor("dropout", dropout_);
  }

 private:
  Index inner_;
  ChannelLinear<T, B> in_, out_;
  Dropout<T, B> dropout_;
};

}  // namespace m2
