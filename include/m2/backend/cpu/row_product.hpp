#pragma once

#include <algorithm>
#include <type_traits>

#include "m2/backend/cpu/block_product.hpp"
#include "m2/backend/cpu/lines_ahead.hpp"
#include "m2/backend/cpu/row_vector.hpp"

/// The products of a Monarch factor with vectors whose features are contiguous. No element is moved: where blocks read
/// digits that are neighbours (inner = 1), a number of the vector meets registers of outputs; where they do not, the
/// lanes are neighbouring blocks, and registers of the vector meet registers of weights.
namespace m2::detail {

/// Vectors one after the other, features contiguous; `far` if they are not in the second-level cache,
/// `streamed` if they need not be in any when they are written.
template <class R>
struct VectorRows {
  R* data;
  Index pitch;
  bool far = false, streamed = false;
};

template <class R>
VectorRows<const R> as_input(VectorRows<R> rows) {
  return {rows.data, rows.pitch, rows.far};
}

/// From one vector of a tile to the next: an odd number of registers, to use all cache sets.
template <class R>
Index row_pitch(Index features) {
  constexpr Index lanes = Lanes<R>::count;
  return ((features + lanes - 1) / lanes | 1) * lanes;
}

/// More terms than this are summed in several passes: weights of a tile, that many registers of them for each output,
/// have to stay in the first-level cache.
inline constexpr Index lane_terms = 64, number_terms = 256;

/// The largest tile whose left operand is a register: with its V + 1 operands it fills the registers.
inline constexpr Index lane_rows = register_bytes == 64 ? 4 : 3, lane_columns = register_bytes == 64 ? 6 : 3;

/// The largest one to use: 3 x 4 where registers would suffice for more, but tiles have 12 sums.
inline Index most_lane_rows() { return std::min(tile_sums() / 4, lane_rows); }
inline Index most_lane_columns() { return std::min(tile_sums() / 3, lane_columns); }

/// The tile of so many rows and columns whose operands are registers.
template <class R>
RegisterTile<R> lanes_tile(Index rows, Index columns) {
  static constexpr auto tiles = []<Index... V>(std::integer_sequence<Index, V...>) {
    return std::array{register_tiles<R, Left::lanes, tile_rows_within(V + 1), lane_rows>...};
  }
  (std::make_integer_sequence<Index, lane_columns>{});
  return tiles[static_cast<std::size_t>(columns - 1)][static_cast<std::size_t>(rows - 1)];
}

/// y = W x for blocks along the lanes: term k of vector b is the register at x + b * pitch + k * x_stride, output e
/// goes to y + b * pitch + e * y_stride.
template <class R>
void lanes_product(const PackedBlock<R>& w, VectorRows<const R> x, Index x_stride, VectorRows<R> y, Index y_stride,
                   Index batch, Index next, LinesAhead<R>& soon) {
  for_row_tiles(w.outputs, most_lane_columns(), [&](Index columns, Index e) {
    for (Index k = 0; k < w.terms; k += lane_terms) {
      const Index terms = std::min(lane_terms, w.terms - k);
      TileOperand<R> left{x.data, x_stride, x.pitch, 0, x.far && e == 0 ? next : 0};
      const TileOperand<R> right{w.data + k * w.term + e * w.output, w.term, w.output};
      TileResult<R> sums{y.data, y.pitch, y_stride, 0, k == 0 && y.far, y.streamed && w.terms <= lane_terms, k > 0};
      for_row_tiles(batch, most_lane_rows(), [&](Index rows, Index b) {
        left.data = x.data + b * x.pitch + k * x_stride;
        sums.data = y.data + b * y.pitch + e * y_stride;
        soon.ask(rows * columns);
        lanes_tile<R>(rows, columns)(terms, left, right, sums);
      });
    }
  });
}

/// y = W x for one block whose digits are neighbours: numbers of x, outputs along the lanes. The digits of the next
/// block are `next` numbers behind those of this one.
template <class R>
void numbers_product(const PackedBlock<R>& w, VectorRows<const R> x, VectorRows<R> y, Index batch, Index next,
                     LinesAhead<R>& soon) {
  constexpr Index lanes = Lanes<R>::count;
  // Where tiles have 12 sums, eight vectors meet one register of outputs: more would share a set of the first-level
  // cache if they lie a multiple of 4 KiB apart. Tiles of two registers cannot stream.
  const bool narrow = register_bytes == 64 && tile_sums() == 12;
  const auto columns = [&]<Index V>(std::integral_constant<Index, V>, Index e) {
    const bool streamed = y.streamed && (V == 4 || (V == 1 && narrow && w.terms <= number_terms));
    const Index largest = V == 1 && narrow ? 8 : std::min<Index>(most_tile_rows<R, V>(), V == 4 ? 4 : 12);
    for (Index k = 0; k < w.terms; k += number_terms) {
      const Index terms = std::min(number_terms, w.terms - k);
      TileOperand<R> left{x.data, 1, x.pitch, 0, e > 0 ? 0 : next};
      const TileOperand<R> right{w.data + k * w.term + e, w.term, lanes};
      TileResult<R> sums{y.data, y.pitch, lanes, 0, k == 0 && y.far, streamed, k > 0};
      for_row_tiles(batch, largest, [&](Index rows, Index b) {
        left.data = x.data + b * x.pitch + k;
        if (V == 4 && e == 0) left.ahead = rows * x.pitch;
        sums.data = y.data + b * y.pitch + e;
        soon.ask(rows * V);
        number_tile<R, V>(rows)(terms, left, right, sums);
      });
    }
  };
  Index e = 0;
  if constexpr (register_bytes == 64) {
    const bool wide = w.terms <= lane_terms && (!narrow || w.terms > 32 || y.streamed);
    for (; wide && e + 4 * lanes <= w.outputs; e += 4 * lanes) columns(std::integral_constant<Index, 4>{}, e);
  }
  for (; !narrow && e + 2 * lanes <= w.outputs; e += 2 * lanes) columns(std::integral_constant<Index, 2>{}, e);
  for (; e < w.outputs; e += lanes) columns(std::integral_constant<Index, 1>{}, e);
}

/// y = W x for one factor, or with Transposed y = W^T x, so that in and out change places. The weights are packed, but
/// where digits are neighbours W^T is read as it lies, since the inputs of a block are contiguous then. The part of the
/// blocks, or groups of blocks, that `part` of `parts` stands for. Vectors that the factors after it write are asked
/// for where digits are neighbours, those that are read after it where they are not.
template <bool Transposed, class R>
void rows_product(const FactorShape& f, const R* weights, VectorRows<const R> x, VectorRows<R> y, Index batch,
                  Index part, Index parts, LinesAhead<R>& soon) {
  constexpr Index lanes = Lanes<R>::count;
  if constexpr (!Transposed) {
    if (batch == 1) return vector_product(f, weights, x.data, y.data, part, parts);
  }
  const Index in = Transposed ? f.out : f.in, out = Transposed ? f.in : f.out;
  if (f.inner == 1) {
    for (Index o = f.outer * part / parts; o < f.outer * (part + 1) / parts; ++o)
      numbers_product<R>({weights + o * in * out, in, out, out, 1}, {x.data + o * in, x.pitch},
                         {y.data + o * out, y.pitch, y.far, y.streamed}, batch, o + 1 < f.outer ? in : 0, soon);
    return;
  }
  const Index pitch = packed_pitch<R>(f), term = Transposed ? pitch : lanes, output = Transposed ? lanes : pitch;
  const Index groups = f.inner / lanes, all = f.outer * groups;
  for (Index g = all * part / parts; g < all * (part + 1) / parts; ++g) {
    const Index o = g / groups, i = g % groups * lanes;
    const Index next = i + lanes < f.inner ? lanes : o + 1 < f.outer ? in * f.inner - i : 0;
    lanes_product<R>({weights + g * packed_group<R>(f), in, out, term, output},
                     {x.data + o * in * f.inner + i, x.pitch, x.far}, f.inner,
                     {y.data + o * out * f.inner + i, y.pitch, y.far, y.streamed}, f.inner, batch, next, soon);
  }
}

/// The same where nothing else is needed soon.
template <bool Transposed, class R>
void rows_product(const FactorShape& f, const R* weights, VectorRows<const R> x, VectorRows<R> y, Index batch,
                  Index part, Index parts) {
  LinesAhead<R> nothing;
  rows_product<Transposed, R>(f, weights, x, y, batch, part, parts, nothing);
}

/// True if two factors can be applied group by group of the second one's outer digit: a group of the second reads
/// nothing but what one group of the first writes.
inline bool nested(const FactorShape& first, const FactorShape& second) {
  return second.outer > 1 && first.outer % second.outer == 0;
}

/// A factor's part in one of so many groups.
inline FactorShape group_of(const FactorShape& f, Index groups) { return {f.outer / groups, f.in, f.out, f.inner}; }

struct GroupScratch;

/// Two nested factors, for a few vectors and one group at a time: what is between them stays in the first-level cache.
/// `packed` holds both, one behind the other. The part of the groups that `part` of `parts` stands for.
template <class R>
void rows_product_of_two(const FactorShape& first, const FactorShape& second, const R* packed, VectorRows<const R> x,
                         VectorRows<R> y, Index batch, Index part, Index parts) {
  constexpr Index vectors = 16;
  const FactorShape f = group_of(first, second.outer), s = group_of(second, second.outer);
  const R* const packed_second = packed + packed_size<R>(first);
  const Index pitch = row_pitch<R>(s.in_size());
  R* const between = thread_scratch<GroupScratch, R>(vectors * pitch);
  for (Index o = second.outer * part / parts; o < second.outer * (part + 1) / parts; ++o)
    for (Index b = 0; b < batch; b += vectors) {
      const Index count = std::min(vectors, batch - b);
      rows_product<false, R>(f, packed + o * packed_size<R>(f),
                             {x.data + b * x.pitch + o * f.in_size(), x.pitch, x.far}, {between, pitch}, count, 0, 1);
      rows_product<false, R>(s, packed_second + o * packed_size<R>(s), {between, pitch},
                             {y.data + b * y.pitch + o * s.out_size(), y.pitch, y.far}, count, 0, 1);
    }
}

}  // namespace m2::detail
