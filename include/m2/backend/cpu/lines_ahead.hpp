#pragma once

#include "m2/backend/cpu/lanes.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Whether lines of memory will be read, and belong into the second-level cache, or written.
enum class Soon { read, written };

/// What is needed soon is asked for in so many lines before each tile of weight gradients.
inline constexpr Index lines_beside_gradient = 20;

/// Rows of numbers that are needed after the products at hand: some of their lines are asked for before each register
/// tile, so that all are on their way by the end of a factor. All at once they would stop the products until memory has
/// answered.
template <class R>
class LinesAhead {
 public:
  LinesAhead() = default;
  LinesAhead(const R* data, Index pitch, Index row, Index rows, Soon soon, Index rate = 1)
      : data_(data), pitch_(pitch), row_(row), rows_(rows), rate_(rate), soon_(soon) {}

  /// Asks for as many lines as so many registers take, or `rate` times as many.
  void ask(Index registers) {
    constexpr Index line = 64 / static_cast<Index>(sizeof(R));
    for (Index i = 0; i < rate_ * ((registers * register_bytes + 63) / 64) && rows_ > 0; ++i) {
      soon_ == Soon::read ? prefetch_far(data_ + at_) : prefetch_for_write(data_ + at_);
      at_ += line;
      if (at_ >= row_) at_ = 0, data_ += pitch_, --rows_;
    }
  }

 private:
  const R* data_ = nullptr;
  Index pitch_ = 0, row_ = 0, rows_ = 0, at_ = 0, rate_ = 1;
  Soon soon_ = Soon::read;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
