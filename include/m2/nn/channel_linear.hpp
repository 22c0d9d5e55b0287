#pragma once

#include <utility>
#include <variant>

#include "m2/nn/block_diagonal_linear.hpp"
#include "m2/nn/linear.hpp"
#include "m2/nn/monarch_linear.hpp"

namespace m2 {

/// The matrices that may mix channels: dense, one block-diagonal factor, two Monarch factors.
enum class ChannelMixing { dense, block_diagonal, monarch };

struct ChannelLinearOptions {
  ChannelMixing mixing = ChannelMixing::block_diagonal;
  Index blocks = 4;  ///< of the factors; dense mixing ignores it
  bool bias = true;
};

/// A linear layer whose kind of matrix is chosen at run time, so that a program can compare them with a flag.
/// Names, start and cost are those of the layer chosen.
template <Scalar T, Backend B>
class ChannelLinear {
  using Dense = Linear<T, B>;
  using Blocks = BlockDiagonalLinear<T, B>;
  using Factors = MonarchLinear<T, B>;

 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {};  // none of the three needs one

  ChannelLinear(Index in_features, Index out_features, ChannelLinearOptions options = {})
      : layer_(make(in_features, out_features, options)) {}

  Extents<3> output_extents(Extents<3> x) const {
    return std::visit([&](const auto& layer) { return layer.output_extents(x); }, layer_);
  }
  Cache make_cache(B&, Extents<3> x) const {
    output_extents(x);
    return {};
  }
  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache&) const {
    std::visit(
        [&]<class L>(const L& layer) {
          typename L::Cache none;
          layer.forward(be, x, y, none);
        },
        layer_);
  }
  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache&, View<T, 3, B> dx) {
    std::visit(
        [&]<class L>(L& layer) {
          typename L::Cache none;
          layer.backward(be, x, dy, none, dx);
        },
        layer_);
  }
  template <class Visitor>
  void visit(Visitor&& visitor) {
    std::visit([&](auto& layer) { layer.visit(visitor); }, layer_);
  }

 private:
  using Layer = std::variant<Dense, Blocks, Factors>;
  static Layer make(Index in, Index out, const ChannelLinearOptions& options) {
    if (options.mixing == ChannelMixing::dense) return Dense(in, out, {.bias = options.bias});
    const MonarchLinearOptions monarch{.blocks = options.blocks, .bias = options.bias};
    if (options.mixing == ChannelMixing::block_diagonal) return Blocks(in, out, monarch);
    return Factors(in, out, monarch);
  }

  Layer layer_;
};

}  // namespace m2
