#pragma once

#include <concepts>
#include <cstdint>

#include "m2/backend/concept.hpp"
#include "m2/ops/softmax_cross_entropy.hpp"  // ignored_target

namespace m2 {

/// Sequences of tokens and what should follow each of them. It owns nothing.
template <class B>
struct TokenBatch {
  View<const std::int32_t, 2, B> inputs;   // (batch, length)
  View<const std::int32_t, 2, B> targets;  // (batch, length), ignored_target where there is nothing to score
  Index counted = 0;                       ///< targets that are scored
};

/// Where batches come from.
///
/// S::Batch           what a model's loss takes; its member `counted` is the number of scored targets in it
/// next(be)           the next batch, a reference that is valid until the next call
/// position()         everything that the next batches depend on, beside how the source was made
/// seek(position)     continues from there
template <class S, class B>
concept BatchSource = requires(S& source, const S& constant, B& be, std::uint64_t position,
                               const typename S::Batch& batch) {
  { source.next(be) } -> std::convertible_to<const typename S::Batch&>;
  { constant.position() } -> std::convertible_to<std::uint64_t>;
  source.seek(position);
  { batch.counted } -> std::convertible_to<Index>;
};

/// A source that ends after batches() batches, counted from seek(0): what evaluation goes through.
template <class S, class B>
concept FiniteBatchSource = BatchSource<S, B> && requires(const S& source) {
  { source.batches() } -> std::convertible_to<Index>;
};

}  // namespace m2
