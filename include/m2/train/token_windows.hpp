#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "m2/ops/random.hpp"
#include "m2/train/batch_source.hpp"

namespace m2 {

/// The shape of the batches that a source makes.
struct BatchShape {
  Index batch = 8;     ///< sequences
  Index length = 256;  ///< tokens a sequence
};

/// The bytes of a text as tokens. The text must outlive the result.
inline std::span<const std::uint8_t> byte_tokens(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The first token of the held-out part when the last `fraction` of `size` tokens is held out.
///
/// Errors   m2::Error unless 0 <= fraction < 1
inline Index held_out_begin(Index size, double fraction) {
  M2_REQUIRE(fraction >= 0 && fraction < 1, "held_out_begin: the fraction is ", fraction, ", it must be in [0, 1)");
  return size - static_cast<Index>(std::floor(static_cast<double>(size) * fraction));
}

namespace detail {

/// Host and backend memory of one batch of tokens.
template <class B>
class TokenBatchStorage {
 public:
  TokenBatchStorage(B& be, const BatchShape& shape)
      : inputs_(be, {shape.batch, shape.length}),
        targets_(be, {shape.batch, shape.length}),
        host_inputs_(static_cast<std::size_t>(inputs_.size())),
        host_targets_(static_cast<std::size_t>(targets_.size())),
        batch_{inputs_.cview(), targets_.cview(), 0} {}

  std::int32_t* inputs(Index row) { return host_inputs_.data() + row * inputs_.extent(1); }
  std::int32_t* targets(Index row) { return host_targets_.data() + row * inputs_.extent(1); }

  const TokenBatch<B>& upload(B& be, Index counted) {
    be.upload(host_inputs_.data(), inputs_.data(), inputs_.size());
    be.upload(host_targets_.data(), targets_.data(), targets_.size());
    be.synchronize();  // the host arrays are written again for the next batch
    batch_.counted = counted;
    return batch_;
  }

 private:
  Tensor<std::int32_t, 2, B> inputs_, targets_;
  std::vector<std::int32_t> host_inputs_, host_targets_;
  TokenBatch<B> batch_;
};

inline const BatchShape& checked(const BatchShape& shape) {
  M2_REQUIRE(shape.batch >= 1 && shape.length >= 1, "token windows: a batch of ", shape.batch, " sequences of ",
             shape.length, " tokens is empty");
  return shape;
}

/// The shape, where one sequence and its last target fit into the text: before any memory for batches is asked for.
inline const BatchShape& checked_for(Index text_size, const BatchShape& shape) {
  M2_REQUIRE(text_size > checked(shape).length, "random windows: the text has ", text_size,
             " tokens, one sequence needs ", static_cast<std::uint64_t>(shape.length) + 1, " (", shape.length,
             " inputs and the last target)");
  return shape;
}

}  // namespace detail

/// Windows of length + 1 tokens at random places of a text: the first `length` are inputs, the last `length` targets.
/// Places are drawn with replacement from a counter-based sequence, so that the position is one number.
/// The text must outlive the source.
template <Backend B, std::integral Token = std::uint8_t>
class RandomWindows {
 public:
  using Batch = TokenBatch<B>;

  /// Errors   m2::Error if the text is shorter than one sequence and its last target
  RandomWindows(B& be, std::span<const Token> text, const BatchShape& shape, std::uint64_t seed)
      : text_(text),
        shape_(detail::checked_for(std::ssize(text), shape)),
        rng_(Rng(seed).split(0x57494E444F5753)),
        storage_(be, shape_) {}

  const Batch& next(B& be) {
    for (Index row = 0; row < shape_.batch; ++row) {
      const Index begin = rng_.below(std::ssize(text_) - shape_.length);
      const Token* const window = text_.data() + begin;
      std::int32_t* const inputs = storage_.inputs(row);
      std::int32_t* const targets = storage_.targets(row);
      for (Index t = 0; t < shape_.length; ++t) {
        inputs[t] = static_cast<std::int32_t>(window[t]);
        targets[t] = static_cast<std::int32_t>(window[t + 1]);
      }
    }
    return storage_.upload(be, shape_.batch * shape_.length);
  }

  std::uint64_t position() const { return rng_.position(); }
  void seek(std::uint64_t position) { rng_.seek(position); }
  const BatchShape& shape() const { return shape_; }

 private:
  std::span<const Token> text_;
  BatchShape shape_;
  Rng rng_;
  detail::TokenBatchStorage<B> storage_;
};

/// A text from `begin` to its end in order, in windows that do not overlap, so that every token in it is a target
/// exactly once. The token before `begin` is the first input; with begin = 0 there is none, and the first token is not
/// scored. What the last window and the last batch do not fill has input 0 and ignored targets. The text must outlive
/// the source.
template <Backend B, std::integral Token = std::uint8_t>
class SequentialWindows {
 public:
  using Batch = TokenBatch<B>;

  /// Errors   m2::Error if there is no token to score
  SequentialWindows(B& be, std::span<const Token> text, Index begin, const BatchShape& shape)
      : text_(text), begin_(std::max<Index>(begin, 1)), shape_(detail::checked(shape)), storage_(be, shape_) {
    M2_REQUIRE(begin >= 0 && begin_ < std::ssize(text), "sequential windows: from token ", begin, " on, a text of ",
               text.size(), " tokens has nothing to predict");
  }

  /// Targets in one pass.
  Index counted() const { return std::ssize(text_) - begin_; }
  /// Batches in one pass.
  Index batches() const {
    const Index tokens = shape_.batch * shape_.length;
    return (counted() + tokens - 1) / tokens;
  }

  /// Errors   m2::Error after the last batch
  const Batch& next(B& be) {
    M2_REQUIRE(position_ < batches(), "sequential windows: all ", batches(),
               " batches have been read; seek(0) starts again");
    const Index first = begin_ + position_ * shape_.batch * shape_.length;
    Index scored = 0;
    for (Index row = 0; row < shape_.batch; ++row) {
      std::int32_t* const inputs = storage_.inputs(row);
      std::int32_t* const targets = storage_.targets(row);
      const Index target = first + row * shape_.length;
      const Index present = std::clamp<Index>(std::ssize(text_) - target, 0, shape_.length);
      for (Index t = 0; t < present; ++t) {
        inputs[t] = static_cast<std::int32_t>(text_[static_cast<std::size_t>(target + t - 1)]);
        targets[t] = static_cast<std::int32_t>(text_[static_cast<std::size_t>(target + t)]);
      }
      std::fill(inputs + present, inputs + shape_.length, 0);
      std::fill(targets + present, targets + shape_.length, ignored_target);
      scored += present;
    }
    ++position_;
    return storage_.upload(be, scored);
  }

  std::uint64_t position() const { return static_cast<std::uint64_t>(position_); }
  /// Errors   m2::Error if the position is past the end
  void seek(std::uint64_t position) {
    M2_REQUIRE(position <= static_cast<std::uint64_t>(batches()), "sequential windows: there are ", batches(),
               " batches, ", position, " is past the end");
    position_ = static_cast<Index>(position);
  }
  const BatchShape& shape() const { return shape_; }

 private:
  std::span<const Token> text_;
  Index begin_;
  BatchShape shape_;
  Index position_ = 0;
  detail::TokenBatchStorage<B> storage_;
};

}  // namespace m2
