#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "m2/backend/cpu/block.hpp"
#include "m2/backend/cpu/lines_ahead.hpp"
#include "m2/backend/cpu/register_tile.hpp"
#include "m2/backend/cpu/spread_product.hpp"
#include "m2/backend/cpu/transpose.hpp"

/// The products of a Monarch factor's blocks with a batch whose vectors lie along the lanes.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The largest register tile of V registers side by side: 24 of 32 registers of sums, or 12 of 16. A complex number
/// takes two registers. Tiles one register wide have 8 rows, enough to hide the latency of a sum, where there are few
/// registers.
inline constexpr Index tile_columns = 2;
template <class T, Index V = tile_columns>
inline constexpr Index tile_rows = std::min<Index>((register_bytes == 64 ? 24 : 12) / planes_of<T> / V,
                                                   V == 1 && (register_bytes < 64 || planes_of<T> == 2) ? 8 : 12);

/// The rows of the largest one to use, where tiles have fewer sums than registers would hold.
template <class T, Index V>
Index most_tile_rows() {
  return std::min(tile_rows<T, V>, tile_sums() / planes_of<T> / V);
}

/// The tile of so many rows, and V registers, whose left operand is a number.
template <class T, Index V>
RegisterTile<T> number_tile(Index rows) {
  return register_tiles<T, Left::number, V, tile_rows<T, V>>[static_cast<std::size_t>(rows - 1)];
}

/// The registers side by side in the widest tile whose left operand is a number.
template <class T>
inline constexpr Index widest_columns = register_bytes == 64 ? 4 / planes_of<T> : tile_columns;

/// sums(e, d) += sum over k of left(k, e) right(k, d) for `rows` numbers e and `columns` numbers d, whole registers of
/// them, at most Widest registers side by side: the gradient of the weights of a block. before_tile() is called before
/// each register tile.
template <class T, Index Widest, class Before>
void accumulate_products(Index rows, Index columns, Index terms, const TileOperand<T>& left,
                         const TileOperand<T>& right, const TileResult<RealOf<T>>& sums, Before&& before_tile) {
  constexpr Index lanes = Lanes<T>::count;
  const auto panel = [&]<Index V>(std::integral_constant<Index, V>, Index d) {
    TileOperand<T> numbers{left.data, left.step, left.row, left.plane};
    const TileOperand<T> registers{right.data + d, right.step, lanes, right.plane};
    TileResult<RealOf<T>> to{sums.data, sums.row, lanes, sums.plane, sums.far, false, true};
    for_row_tiles(rows, most_tile_rows<T, V>(), [&](Index size, Index e) {
      before_tile();
      numbers.data = left.data + e * left.row;
      to.data = sums.data + e * sums.row + d;
      number_tile<T, V>(size)(terms, numbers, registers, to);
    });
  };
  constexpr Index side = tile_columns;
  Index d = 0;
  if constexpr (Widest > side) {
    for (; d + Widest * lanes <= columns; d += Widest * lanes) panel(std::integral_constant<Index, Widest>{}, d);
  }
  for (; d + side * lanes <= columns; d += side * lanes) panel(std::integral_constant<Index, side>{}, d);
  if (d < columns) panel(std::integral_constant<Index, 1>{}, d);
}

/// What is asked for before each register tile of a factor: some of the vectors that are needed soon, and the places of
/// the results that lie `results` numbers behind the tile's own, both if they are not 0.
template <class R>
struct NeededSoon {
  LinesAhead<R>* vectors;
  Index results;

  /// Before `rows` results from `to` on, so many registers wide. Two factors write twice as many registers as the
  /// vectors have that their next group reads.
  void ask(const R* to, Index stride, Index rows, Index columns) const {
    if (vectors != nullptr) vectors->ask((rows * columns + 1) / 2);
    for (Index j = 0; results != 0 && j < rows; ++j, to += stride)
      for (Index v = 0; v < columns; ++v) prefetch_far(to + results + v * Lanes<R>::count);
  }
};

/// Where the vectors of the block that comes next lie, seen from this one, whether its weights follow on these, and
/// what else is needed soon, if anything.
template <class R>
struct NextBlock {
  bool weights;
  Index vectors;
  const NeededSoon<R>* soon;

  /// After this panel comes the next one of this block; after the last one, the first of the next block.
  NextBlock after_panel(Index b, Index step, Index batch) const {
    return b + step < batch ? NextBlock{false, step, soon} : NextBlock{weights, vectors == 0 ? 0 : vectors - b, soon};
  }
  /// How far ahead of the vectors those lie that the tile from this row on prefetches; 0: it does not. The tiles below
  /// the first one ask again where several registers side by side ask for many lines at once: a busy machine drops
  /// some. AVX2 loses by it.
  Index before_tile(Index row, const R* to, Index stride, Index rows, Index columns) const {
    if (soon != nullptr) soon->ask(to, stride, rows, columns);
    return row == 0 || (columns > 1 && narrow_machine()) ? vectors : 0;
  }
};

/// Bytes of the largest block whose weights are asked for while the block before it meets its last vectors; of larger
/// ones, a tile asks for the next tile's.
inline constexpr Index near_block = Index{1} << 13;

/// Fewer weights than this make a small block: a call for each tile counts for much, and storing many sums at once for
/// more.
inline constexpr Index small_block = 256;

/// True if tiles of one register of vectors are better than wider ones: where sums are stored a few at a time. Not if a
/// block is so small that calls are the limit, nor if its weights, which each tile reads, leave little of the
/// first-level cache, or digits a multiple of 4 KiB apart share one of its sets; nor if results bypass the caches,
/// which takes a longer piece of memory at a time; nor, in a VJP, if they are far and of short sums.
template <class T>
bool narrow_tiles(const BlockWeights<T>& w, BlockVectors<const RealOf<T>> x, BlockVectors<RealOf<T>> y) {
  if (!narrow_machine() || planes_of<T> == 2 || y.streamed) return false;
  constexpr Index size = sizeof(T);
  const Index weights = w.rows * w.columns;
  return weights >= small_block && weights * size <= Index{1} << 14 && (w.columns > 16 || !y.far) &&
         (w.columns <= 32 || x.stride * size % 4096 != 0);
}

/// Products y = W x of blocks that have their sizes and strides in common. What register tiles are told is made once
/// and then updated: made anew for every block of 16 x 16, it would cost a sixth of the time.
template <class T>
class BlockProducts {
  using R = RealOf<T>;

 public:
  /// For blocks like this one.
  BlockProducts(const BlockWeights<T>& w, const BlockVectors<const R>& x, const BlockVectors<R>& y)
      : rows_(w.rows),
        terms_(w.columns),
        small_(w.rows * w.columns < small_block),
        narrow_(narrow_tiles(w, x, y)),
        left_{nullptr, w.column_stride * planes, w.row_stride * planes, 1},
        right_{nullptr, x.stride, Lanes<T>::count, x.plane},
        sums_{nullptr, y.stride, Lanes<T>::count, y.plane, y.far, y.streamed} {
    const Index size = w.rows * left_.row;
    whole_ = size * static_cast<Index>(sizeof(R)) <= near_block ? size : 0;
  }

  /// The product of one of them with `batch` vectors, a multiple of a register's lanes; `next` prefetches what comes
  /// next. Inlined: a small block costs less than passing all these arguments through memory.
  template <class Next>
  M2_INLINE void operator()(const T* weights, const R* x, R* y, Index batch, Next&& next) {
    Index b = 0;
    if constexpr (spreads_numbers<T>) {
      constexpr Index step = tile_columns * Lanes<T>::count;
      if (batch >= least_spread_batch<T>) {
        b = batch / step * step;
        spread_block_product<T>({weights, rows_, terms_, left_.row, left_.step}, {x, right_.step, 0},
                                {y, sums_.row, 0, sums_.far}, b, next.before_tile(0, y, sums_.row, 0, 0));
      }
    }
    const auto* numbers = reinterpret_cast<const R*>(weights);
    if constexpr (!spreads_numbers<T>) {
      if (!narrow_) {
        if constexpr (widest_columns < T >> 2) panels<widest_columns<T>>(numbers, x, y, batch, next, b);
        panels<2>(numbers, x, y, batch, next, b);
      }
    }
    panels<1>(numbers, x, y, batch, next, b);
  }

 private:
  static constexpr Index planes = planes_of<T>;

  /// The panels of V registers from vector b on, as many as there are.
  template <Index V, class Next>
  M2_INLINE void panels(const R* weights, const R* x, R* y, Index batch, Next& next, Index& b) {
    constexpr Index step = V * Lanes<T>::count;
    for (; b + step <= batch; b += step) panel<V>(weights, x + b, y + b, next.after_panel(b, step, batch));
  }

  /// All rows of the product for V registers of vectors.
  template <Index V, class Next>
  M2_INLINE void panel(const R* weights, const R* x, R* y, Next&& next) {
    const Index largest = small_ ? most_tile_rows<T, V>() : tile_rows<T, V>;
    right_.data = x;
    for_row_tiles(rows_, largest, [&](Index rows, Index row) {
      left_.data = weights + row * left_.row;
      left_.ahead = !next.weights ? 0 : whole_ != 0 ? whole_ : rows * left_.row;
      sums_.data = y + row * sums_.row;
      right_.ahead = next.before_tile(row, sums_.data, sums_.row, rows, V);
      number_tile<T, V>(rows)(terms_, left_, right_, sums_);
    });
  }

  Index rows_, terms_, whole_;
  bool small_, narrow_;
  TileOperand<T> left_, right_;
  TileResult<R> sums_;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
