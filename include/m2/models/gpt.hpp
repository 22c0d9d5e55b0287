#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "m2/nn/layer_norm.hpp"
#include "m2/nn/linear.hpp"
#include "m2/nn/mixer_block.hpp"
#include "m2/ops/embedding.hpp"
#include "m2/ops/softmax_cross_entropy.hpp"

namespace m2 {

struct GptOptions {
  Index vocabulary = 256;  ///< 256: bytes
  Index length = 256;      ///< the longest sequence
  Index channels = 128;
  Index layers = 4;
  Index expansion = 4;  ///< inner width of the MLPs over channels
  Index blocks = 4;     ///< of the MLPs' factors
  ChannelMixing channel_mixing = ChannelMixing::block_diagonal;
  double dropout = 0.0;  ///< of both branches of every block
  /// Of the long convolutions. They start smoother than the reference's (frequency 10): text is learned faster so.
  ImplicitFilterOptions filter = {.width = 32, .frequency = 1.0, .deviation = 0.05};
  /// causal_monarch: learned triangular Monarch matrices around the long convolutions, which start as the identity.
  ConvolutionOptions convolution = {};
  bool position_embedding = false;  ///< a learned vector for each position; the convolutions know positions without it
  bool tied_head = false;           ///< the token embedding is the output matrix, too
};

/// Sequences of token ids and the id to predict after each, both (batch, length).
template <class Batch, class B>
concept TokenSequences = requires(const Batch& batch) {
  { batch.inputs } -> std::convertible_to<View<const std::int32_t, 2, B>>;
  { batch.targets } -> std::convertible_to<View<const std::int32_t, 2, B>>;
};

namespace detail {

/// Copies ids of any strides into contiguous memory, as embedding and cross entropy take them.
template <Backend B>
void copy_ids(B& be, View<const std::int32_t, 2, B> from, View<std::int32_t, 2, B> to) {
  const Index length = from.extent(1);
  be.for_each(from.size(), [=] M2_HD(Index i) { to(i / length, i % length) = from(i / length, i % length); });
}

}  // namespace detail

/// A causal language model of Monarch Mixer blocks: token embedding, blocks, final norm, output matrix. Position t sees
/// tokens <= t only.
///
/// It keeps the working memory of the last shapes it was used with, so that a training step allocates nothing after the
/// first one; one Gpt is therefore not for two threads at once.
///
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 5 (M2-GPT); math.md E4
template <Scalar T, Backend B>
class Gpt {
 public:
  using Scalar = T;
  using Backend = B;

  /// Everything between the token ids and the loss for one shape.
  struct Cache {
    Tensor<std::int32_t, 2, B> ids, targets;  // (batch, length)
    std::vector<Tensor<T, 3, B>> states;      // (batch, length, channels): before each block and after the last
    std::vector<typename MixerBlock<T, B>::Cache> blocks;
    typename LayerNorm<T, B>::Cache norm;
    typename Linear<T, B>::Cache head;
    Tensor<T, 3, B> normal, logits;           // norm of the last state; (batch, length, vocabulary)
    Tensor<T, 1, B> losses, log_normalizers;  // (batch length)
    Tensor<T, 3, B> dlogits;
    std::array<Tensor<T, 3, B>, 2> dstates;  // of the states on both sides of the block at work
  };

  explicit Gpt(const GptOptions& options)
      : options_(options),
        embedding_({options.vocabulary, options.channels}, normal_start()),
        norm_(options.channels),
        head_(options.channels, options.vocabulary, {.bias = false, .deviation = deviation}) {
    M2_REQUIRE(options.layers >= 1 && options.expansion >= 1, "gpt: ", options.layers, " layers with expansion ",
               options.expansion, ", at least 1 of each is needed");
    constexpr Index widest = Index{1} << 48;  // as far as a parameter goes
    M2_REQUIRE(options.expansion <= widest / options.channels, "gpt: expansion ", options.expansion, " of ",
               options.channels, " channels is too wide");
    if (options.position_embedding) position_ = {{options.length, options.channels}, normal_start()};
    for (Index i = 0; i < options.layers; ++i) {
      blocks_.emplace_back(options.channels, MixerBlockOptions{.mixer = {.max_length = options.length,
                                                                         .filter = options.filter,
                                                                         .convolution = options.convolution},
                                                               .mlp = {.inner = options.expansion * options.channels,
                                                                       .mixing = options.channel_mixing,
                                                                       .blocks = options.blocks},
                                                               .dropout = options.dropout});
    }
  }

  const GptOptions& options() const { return options_; }

  Cache make_cache(B& be, Index batch, Index length) const {
    M2_REQUIRE(batch >= 1 && length >= 1 && length <= options_.length, "gpt: tokens are (", batch, ", ", length,
               "), the model takes (batch, <= ", options_.length, ")");
    const Extents<3> state{batch, length, options_.channels}, scores{batch, length, options_.vocabulary};
    Cache cache;
    cache.ids = Tensor<std::int32_t, 2, B>(be, {batch, length});
    cache.targets = Tensor<std::int32_t, 2, B>(be, {batch, length});
    for (const auto& block : blocks_) {
      cache.states.emplace_back(be, state);
      cache.blocks.push_back(block.make_cache(be, state));
    }
    cache.states.emplace_back(be, state);
    cache.norm = norm_.make_cache(be, state);
    cache.normal = Tensor<T, 3, B>(be, state);
    cache.logits = Tensor<T, 3, B>(be, scores);
    cache.losses = Tensor<T, 1, B>(be, {batch * length});
    cache.log_normalizers = Tensor<T, 1, B>(be, {batch * length});
    cache.dlogits = Tensor<T, 3, B>(be, scores);
    for (auto& tensor : cache.dstates) tensor = Tensor<T, 3, B>(be, state);
    return cache;
  }

  /// The score of every token of the vocabulary to be the next one, after each token.
  ///
  /// Shapes   tokens (batch, length), out (batch, length, vocabulary), length <= options().length
  /// Writes   out
  /// Errors   m2::Error if a shape does not fit
  void logits(B& be, View<const std::int32_t, 2, B> tokens, View<T, 3, B> out) {
    detail::require_extents("gpt: logits", out.extents(), {tokens.extent(0), tokens.extent(1), options_.vocabulary});
    forward(be, tokens, out, cache_for(be, tokens));
  }

  /// The mean cross entropy, in nats, over the targets that are not ignored_target.
  ///
  /// Shapes   batch.inputs, batch.targets (batch, length)
  /// Errors   m2::Error if the shapes differ or no target is scored
  template <TokenSequences<B> Batch>
  double loss(B& be, const Batch& batch) {
    return loss_in(be, batch, cache_for(be, batch.inputs));
  }

  /// The loss, and adds scale times its gradient to the parameters' gradients.
  template <TokenSequences<B> Batch>
  double loss_and_gradients(B& be, const Batch& batch, double scale) {
    Cache& cache = cache_for(be, batch.inputs);
    const double loss = loss_in(be, batch, cache);
    softmax_cross_entropy_vjp(be, cache.logits.cview().merge(0), cache.targets.cview().merge(0), ignored_target,
                              cache.log_normalizers.cview(), scale, cache.dlogits.view().merge(0));
    backward(be, cache);
    return loss;
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("embedding", embedding_);
    if (options_.position_embedding) visitor("position", position_);
    for (std::size_t i = 0; i < blocks_.size(); ++i) visitor("blocks." + std::to_string(i), blocks_[i]);
    visitor("norm", norm_);
    if (!options_.tied_head) visitor("head", head_);
  }

 private:
  static constexpr double deviation = 0.02;      // of embedding and output matrix at the start, as in GPT-2
  static constexpr std::size_t kept_caches = 2;  // training and evaluation

  static Initializer<T> normal_start() { return m2::normal<T>(deviation); }

  Cache& cache_for(B& be, View<const std::int32_t, 2, B> tokens) {
    for (auto it = caches_.begin(); it != caches_.end(); ++it) {
      if (it->ids.extents() == tokens.extents()) {
        caches_.splice(caches_.begin(), caches_, it);  // the one used last comes first
        return caches_.front();
      }
    }
    if (caches_.size() == kept_caches) caches_.pop_back();
    caches_.push_front(make_cache(be, tokens.extent(0), tokens.extent(1)));
    return caches_.front();
  }

  void forward(B& be, View<const std::int32_t, 2, B> tokens, View<T, 3, B> out, Cache& cache) const {
    detail::copy_ids(be, tokens, cache.ids.view());
    embedding(be, embedding_.template value<2>(), cache.ids.cview().merge(0), cache.states[0].view().merge(0));
    if (options_.position_embedding) {
      const View<T, 3, B> first = cache.states[0].view();
      accumulate(be,
                 View<const T, 3, B>(position_.template value<2>().data(), first.extents(), {0, first.extent(2), 1}),
                 first);
    }
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      blocks_[i].forward(be, cache.states[i].cview(), cache.states[i + 1].view(), cache.blocks[i]);
    }
    norm_.forward(be, cache.states.back().cview(), cache.normal.view(), cache.norm);
    if (options_.tied_head) {
      const View<const T, 2, B> table = embedding_.template value<2>();
      detail::for_row_blocks(
          [&](Index, View<const T, 2, B> x, View<T, 2, B> y) { gemm(be, x, table.transpose(0, 1), y); },
          cache.normal.cview(), out);
    } else {
      head_.forward(be, cache.normal.cview(), out, cache.head);
    }
  }

  template <class Batch>
  double loss_in(B& be, const Batch& batch, Cache& cache) const {
    detail::require_extents("gpt: targets", View<const std::int32_t, 2, B>(batch.targets).extents(),
                            cache.ids.extents());
    forward(be, batch.inputs, cache.logits.view(), cache);
    detail::copy_ids<B>(be, batch.targets, cache.targets.view());
    return softmax_cross_entropy(be, cache.logits.cview().merge(0), cache.targets.cview().merge(0), ignored_target,
                                 cache.losses.view(), cache.log_normalizers.view());
  }

  void backward(B& be, Cache& cache) {
    View<T, 3, B> dstate = cache.dstates[0].view(), other = cache.dstates[1].view();
    if (options_.tied_head) {
      const View<const T, 2, B> dlogits = cache.dlogits.cview().merge(0);
      gemm(be, dlogits.transpose(0, 1), cache.normal.cview().merge(0), embedding_.template gradient<2>(), true);
      gemm(be, dlogits, embedding_.template value<2>(), other.merge(0));
    } else {
      head_.backward(be, cache.normal.cview(), cache.dlogits.cview(), cache.head, other);
    }
    norm_.backward(be, cache.states.back().cview(), other, cache.norm, dstate);
    for (std::size_t i = blocks_.size(); i-- > 0;) {
      blocks_[i].backward(be, cache.states[i].cview(), dstate, cache.blocks[i], other);
      std::swap(dstate, other);
    }
    embedding_vjp(be, cache.ids.cview().merge(0), dstate.merge(0), embedding_.template gradient<2>());
    if (options_.position_embedding) {
      const View<T, 2, B> dposition = position_.template gradient<2>().slice(0, 0, dstate.extent(1));
      for (Index sample = 0; sample < dstate.extent(0); ++sample) accumulate(be, dstate.select(0, sample), dposition);
    }
  }

  GptOptions options_;
  Parameter<T, B> embedding_, position_;
  std::vector<MixerBlock<T, B>> blocks_;
  LayerNorm<T, B> norm_;
  Linear<T, B> head_;  // not visited, and without memory, when tied
  std::list<Cache> caches_;
};

}  // namespace m2
