#pragma once

#include <algorithm>
#include <initializer_list>

#include "m2/backend/cpu/dft_stages.hpp"
#include "m2/backend/cpu/lanes.hpp"
#include "m2/core/dft_plan.hpp"
#include "m2/core/view.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// How activations (batch, length, channels) are signals of a long convolution, and where these lie in memory.
///
/// Signals are tiles of channels, one SIMD register wide, of one batch row; engines work on two at a time. A group is
/// what shares prepared kernels: two tiles, whose rows are the pairs of signals; or, for a tile that has no other, two
/// rows at a time. Units of work (group, pair) are numbered pair fastest. Signals are read and written in place where a
/// tile is whole registers of memory, and copied elsewhere.
template <class T, class B>
class ConvolutionTiles {
 protected:
  using V = Lanes<T>;
  static constexpr Index lanes = V::count;

  ConvolutionTiles() = default;
  explicit ConvolutionTiles(const LongConvolutionShape& shape) : shape_(shape) {}

  /// One tile of one row.
  struct Signal {
    Index row, tile;
  };

  Index tiles() const { return (shape_.channels + lanes - 1) / lanes; }
  Index channels_of(Index tile) const { return std::min(lanes, shape_.channels - tile * lanes); }

  /// Groups: tile pairs first, then single tiles.
  Index groups() const { return tiles() - tile_pairs_; }
  Index first_unit(Index group, Index batch) const {
    const Index pairs = std::min(group, tile_pairs_);
    return pairs * batch + (group - pairs) * ((batch + 1) / 2);
  }
  Index group_of(Index unit, Index batch) const {
    const Index single = unit - tile_pairs_ * batch;
    return single < 0 ? unit / batch : tile_pairs_ + single / ((batch + 1) / 2);
  }
  /// Signal s (0 or 1) of a pair; it may lie behind the last row.
  Signal signal(Index group, Index pair, Index s) const {
    return group < tile_pairs_ ? Signal{pair, 2 * group + s} : Signal{2 * pair + s, group + tile_pairs_};
  }

  /// One position of a tile from or to memory; whole contiguous registers, the usual case, in one move.
  static void gather(const T* from, Index stride, Index count, T* to) {
    if (stride == 1 && count == lanes) return V::load(from).store(to);
    for (Index c = 0; c < count; ++c) to[c] = from[c * stride];
  }
  static void accumulate(const T* from, Index count, T* to, Index stride) {
    if (stride == 1 && count == lanes) return (V::load(to) + V::load(from)).store(to);
    for (Index c = 0; c < count; ++c) to[c * stride] += from[c];
  }

  /// The signals of a pair where they lie, or a copy of them when a register cannot be read from there.
  TileRows<const T> read_rows(View<const T, 3, B> x, Index group, Index pair, T* copy) const {
    TileRows<const T> rows{};
    for (Index s = 0; s < 2; ++s) {
      const auto [b, tile] = signal(group, pair, s);
      rows.data[s] = zero_register<T>();
      if (b >= x.extent(0)) continue;
      const Index count = channels_of(tile), c0 = tile * lanes;
      rows.data[s] = &x(b, 0, c0);
      rows.stride[s] = x.stride(1);
      if (x.stride(2) == 1 && count == lanes) continue;
      T* const to = copy + s * shape_.length * lanes;
      for (Index t = 0; t < shape_.length; ++t) {
        std::fill_n(to + t * lanes, lanes, T{});
        gather(&x(b, t, c0), x.stride(2), count, to + t * lanes);
      }
      rows.data[s] = to;
      rows.stride[s] = lanes;
    }
    return rows;
  }

  /// Where the signals of a pair lie.
  RowsAhead<T> rows_ahead(std::initializer_list<View<const T, 3, B>> arrays, Index group, Index pair) const {
    RowsAhead<T> ahead;
    for (const View<const T, 3, B>& x : arrays) {
      TileRows<const T>& rows = ahead.rows[ahead.count++];
      rows = {{zero_register<T>(), zero_register<T>()}, {0, 0}};
      for (Index s = 0; s < 2; ++s) {
        const auto [b, tile] = signal(group, pair, s);
        if (b < x.extent(0)) rows.data[s] = &x(b, 0, tile * lanes), rows.stride[s] = x.stride(1);
      }
    }
    return ahead;
  }

  /// Where to write the signals: in place, or to a copy that put_rows distributes.
  TileRows<T> write_rows(View<T, 3, B> y, Index group, Index pair, T* copy, T* scratch) const {
    TileRows<T> rows{};
    bool streamed = y.stride(0) % lanes == 0 && streams(y.data(), y.stride(1), y.size());
    for (Index s = 0; s < 2; ++s) {
      const auto [b, tile] = signal(group, pair, s);
      if (b >= y.extent(0)) {
        rows.data[s] = scratch;
        streamed = false;
        continue;
      }
      const bool in_place = y.stride(2) == 1 && channels_of(tile) == lanes;
      streamed = streamed && in_place;
      rows.data[s] = in_place ? &y(b, 0, tile * lanes) : copy + s * shape_.length * lanes;
      rows.stride[s] = in_place ? y.stride(1) : lanes;
    }
    if (streamed) rows.store = RowStore::streamed;
    return rows;
  }
  void put_rows(View<T, 3, B> y, Index group, Index pair, const T* copy) const {
    for (Index s = 0; s < 2; ++s) {
      const auto [b, tile] = signal(group, pair, s);
      const Index count = channels_of(tile), c0 = tile * lanes;
      if (b >= y.extent(0) || (y.stride(2) == 1 && count == lanes)) continue;
      for (Index t = 0; t < shape_.length; ++t)
        for (Index c = 0; c < count; ++c) y(b, t, c0 + c) = copy[(s * shape_.length + t) * lanes + c];
    }
  }

  LongConvolutionShape shape_;
  Index tile_pairs_ = 0;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
