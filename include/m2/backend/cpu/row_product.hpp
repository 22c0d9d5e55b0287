#pragma once

#include <algorithm>
#include <type_traits>

#include "m2/backend/cpu/block_product.hpp"
#include "m2/backend/cpu/lines_ahead.hpp"
#include "m2/backend/cpu/row_vector.hpp"
#include "m2/backend/cpu/tiled_product.hpp"
#include "m2/backend/cpu/vector_rows.hpp"

/// The products of a Monarch factor with vectors whose features are contiguous. No element is moved: where blocks read
/// digits that are neighbours (inner = 1), a number of the vector meets registers of outputs; where they do not, the
/// lanes are neighbouring blocks, and registers of the vector meet registers of weights.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// More terms than this are summed in several passes: weights of a tile, that many registers of them for each output,
/// have to stay in the first-level cache.
inline constexpr Index lane_terms = register_bytes == 64 ? 64 : 32, number_terms = 256;

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

/// The tiles of products whose operands are registers; the left one a piece that is repeated, if `pieces`. Those are a
/// few sizes alone, with enough sums for all machines: 2 or 3 rows by 4 registers, or by 1 for what is left over.
template <class R>
struct LaneTiles {
  static constexpr bool full = register_bytes == 64;
  static constexpr Index piece_rows = full ? 3 : 6, piece_columns = full ? 4 : 2;
  bool pieces;
  Index rows = pieces ? piece_rows : most_lane_rows(), columns = pieces ? piece_columns : most_lane_columns();

  /// Calls f(rows, row) for tiles that cover so many rows, at least 2 if these are pieces.
  template <class F>
  M2_INLINE void for_rows(Index count, F&& f) const {
    for_row_tiles(count, rows, f);
  }
  /// The same for registers of the right operand.
  template <class F>
  M2_INLINE void for_columns(Index count, F&& f) const {
    for_row_tiles(count, columns, f, pieces);
  }
  RegisterTile<R> tile(Index of_rows, Index of_columns) const {
    if (!pieces) return lanes_tile<R>(of_rows, of_columns);
    using Rows =
        std::conditional_t<full, std::integer_sequence<Index, 1, 1, 2>, std::integer_sequence<Index, 1, 1, 2, 3, 3, 5>>;
    static constexpr auto single = tiles_of_rows<R, Left::piece, 1>(Rows{}),
                          whole = tiles_of_rows<R, Left::piece, piece_columns>(Rows{});
    return (of_columns == 1 ? single : whole)[static_cast<std::size_t>(of_rows - 1)];
  }
};

/// Asks for what a tile of `rows` vectors from vector b on stands for of `count` lines, `step` numbers apart: a few
/// before every tile of a batch, since all at once would stop the products until memory has answered.
template <class R>
M2_INLINE void prefetch_share(const R* data, Index step, Index count, Index b, Index rows, Index batch) {
  const Index begin = count * b / batch, end = count * (b + rows) / batch;
  for (Index k = begin; k < end; ++k) prefetch_far(data + k * step);
}

/// Vectors that meet all outputs of a group of blocks at a time, where they do not all at once: with the weights at
/// work, their digits fill the first-level cache.
inline constexpr Index near_vectors = 9;

/// True if so few vectors at a time are better than all: where registers are less than a cache line, each line of
/// vectors is read again by another group.
template <class R>
bool takes_few_vectors(const PackedBlock<R>& w) {
  return register_bytes < 64 && w.terms > 16;
}

/// True if the digits of these vectors are copied side by side first, because they lie so far apart that they would
/// share few cache sets. Where tiles have 24 sums the copies cost what they gain.
template <class R>
bool gathers_digits(const PackedBlock<R>& w, Index inner) {
  const Index distance = inner * static_cast<Index>(sizeof(R));
  const bool far_apart = takes_few_vectors(w) ? distance >= 256 : narrow_machine() && distance % 4096 == 0;
  return far_apart && w.terms > 8 && w.terms <= lane_terms && w.outputs >= w.terms;
}

struct GatheredDigits;

/// y = W x for groups `begin` to `end` of blocks along the lanes, `inner` blocks side by side, and where these are
/// fewer than lanes several outputs of each: `w` is the first group of all, `group` numbers before the next one. The
/// weights that lie `ahead` numbers behind those at work are prefetched, if it is not 0, and what is needed `soon` is
/// asked for, a part before each register tile.
template <class R>
void lanes_product(const PackedBlock<R>& w, Index group, Index inner, const VectorRows<const R>& x,
                   const VectorRows<R>& y, Index batch, Index begin, Index end, LinesAhead<R>& soon, Index ahead) {
  constexpr Index lanes = Lanes<R>::count;
  const bool gathers = x.digit == 0 && gathers_digits(w, inner), narrow = narrow_machine();
  // Pieces: no line is read by another group, and tiles have 2 rows at least, so that no vector may be left alone.
  const bool few = gathers || (inner >= lanes && takes_few_vectors(w));
  const Index most = few ? near_vectors : batch, pitch = (w.terms | 1) * lanes;
  R* const gathered = gathers ? thread_scratch<GatheredDigits, R>(most * pitch) : nullptr;
  TileOperand<R> left{x.data, gathers ? lanes : digit_step(x, inner), gathers ? pitch : x.pitch},
      right{w.data, w.term, w.output};
  const Index side = std::min(inner, lanes), output = std::max(inner, lanes);
  const LaneTiles<R> registers{inner < lanes};
  const Index most_terms = registers.pieces ? number_terms : lane_terms;
  TileResult<R> sums{y.data, y.pitch, output};
  const bool asks_results = narrow && y.remote && !y.streamed;
  Index o = begin / (inner / side), i = begin % (inner / side) * side;
  for (Index g = begin; g < end; ++g) {
    const R* const from = x.data + (x.digit != 0 ? g * w.terms * x.digit : o * w.terms * inner + i);
    R* const to = y.data + o * w.outputs * output + i;
    i += side;
    if (i == inner) i = 0, ++o;
    const Index next = x.far && g + 1 < end ? x.data + o * w.terms * inner + i - from : 0;
    // The first `count` vectors from `digits` to `results`.
    const auto tiles = [&](const R* digits, R* results, Index count, auto&& before_tile) {
      registers.for_columns(w.outputs, [&](Index columns, Index e) {
        left.ahead = e == 0 && !gathers ? next : 0;
        for (Index k = 0; k < w.terms; k += most_terms) {
          const Index terms = std::min(most_terms, w.terms - k);
          right.data = w.data + g * group + k * w.term + e * w.output;
          sums.far = k == 0 && narrow && y.far && !asks_results;
          sums.streamed = y.streamed && w.terms <= most_terms;
          sums.add = k > 0;
          registers.for_rows(count, [&](Index rows, Index b) {
            before_tile(columns, e, terms, rows, b);
            left.data = digits + b * left.row + k * left.step;
            sums.data = results + b * y.pitch + e * output;
            registers.tile(rows, columns)(terms, left, right, sums);
          });
        }
      });
    };
    if (most == batch && ahead == 0 && !asks_results) {
      tiles(from, to, batch, [&](Index columns, Index, Index, Index rows, Index) { soon.ask(rows * columns); });
      continue;
    }
    for (Index first = 0; first < batch; first += most) {
      const Index count = std::min(most, batch - first), behind = std::min(most, batch - first - count);
      for (Index b = 0; gathers && b < count; ++b)
        for (Index k = 0; k < w.terms; ++k)
          Lanes<R>::load(from + (first + b) * x.pitch + k * inner).store(gathered + b * pitch + k * lanes);
      // What is gathered next: of this group, or of the next one.
      const R* const next_digits = behind > 0 ? from + (first + count) * x.pitch : from + next;
      const Index next_count = !gathers || !x.far ? 0 : behind > 0 ? behind : next != 0 ? std::min(most, batch) : 0;
      const Index weights_ahead = behind > 0 ? 0 : ahead;
      R* const results = to + first * y.pitch;
      const R* const next_results = y.data + o * w.outputs * output + i + first * y.pitch;
      tiles(gathers ? gathered : from + first * x.pitch, results, count,
            [&](Index columns, Index e, Index terms, Index rows, Index b) {
              for (Index c = 0; weights_ahead != 0 && c < columns; ++c)
                prefetch_share(right.data + weights_ahead + c * w.output, w.term, terms, b, rows, count);
              for (Index r = b; r < std::min(b + rows, next_count); ++r)
                prefetch_share(next_digits + r * x.pitch, inner, w.terms, e, columns, w.outputs);
              // The results of the outputs that come next: a tile's own time is too short for them.
              const R* soon_written = e + columns < w.outputs ? results + (e + columns) * output : next_results;
              for (Index r = b; asks_results && r < b + rows; ++r)
                for (Index c = 0; c < columns; ++c) prefetch_far(soon_written + r * y.pitch + c * output);
              soon.ask(rows * columns);
            });
    }
  }
}

/// y = W x for blocks whose digits are neighbours, `w` the first one, and the others right behind it: numbers of x,
/// outputs along the lanes. `soon` and `ahead` as in lanes_product.
template <class R>
void numbers_product(const PackedBlock<R>& w, const VectorRows<const R>& x, const VectorRows<R>& y, Index batch,
                     Index blocks, LinesAhead<R>& soon, Index ahead) {
  constexpr Index lanes = Lanes<R>::count;
  // Where tiles have 12 sums, eight vectors meet one register of outputs: more would share a set of the first-level
  // cache if they lie a multiple of 4 KiB apart. Tiles of two registers cannot stream.
  const bool narrow = narrow_machine();
  // Made once for all blocks: copies of a structure that has just been written wait for all that was stored before.
  TileOperand<R> left{x.data, 1, x.pitch}, right{w.data, w.term, lanes};
  TileResult<R> sums{y.data, y.pitch, lanes};
  const R *weights = w.data, *from = x.data;
  R* to = y.data;
  for (Index block = 0; block < blocks; ++block, weights += w.terms * w.outputs, from += w.terms, to += w.outputs) {
    const auto columns = [&]<Index V>(std::integral_constant<Index, V>, Index e) {
      const Index largest = V == 1 && narrow ? 8
                            : V == 4         ? std::min<Index>(most_tile_rows<R, V>(), 4)
                                             : most_tile_rows<R, V>();
      left.ahead = e == 0 && block + 1 < blocks ? w.terms : 0;
      for (Index k = 0; k < w.terms; k += number_terms) {
        const Index terms = std::min(number_terms, w.terms - k);
        right.data = weights + k * w.term + e;
        sums.far = k == 0 && narrow && y.far;
        sums.streamed = y.streamed && (V == 4 || (V == 1 && narrow && w.terms <= number_terms));
        sums.add = k > 0;
        for_row_tiles(batch, largest, [&](Index rows, Index b) {
          if (ahead != 0) prefetch_share(right.data + ahead, w.term, terms, b, rows, batch);
          soon.ask(rows * V);
          left.data = from + b * x.pitch + k;
          if (V == 4 && e == 0) left.ahead = rows * x.pitch;
          sums.data = to + b * y.pitch + e;
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
}

/// y = W x for one factor by tiled weights; arguments as below.
template <bool Transposed, class R>
requires(tiled_weights && !Transposed) void rows_product(const FactorShape& f, const R* weights,
                                                         const VectorRows<const R>& x, const VectorRows<R>& y,
                                                         Index batch, Index part, Index parts, LinesAhead<R>&,
                                                         Index = 0) {
  tiled_product(f, weights, x, y, batch, part, parts);
}

/// y = W x for one factor, or with Transposed y = W^T x, so that in and out change places. The weights are packed, but
/// where digits are neighbours W^T is read as it lies, since the inputs of a block are contiguous then, and where a
/// register holds several outputs of a block it is W^T that is packed. The part of the
/// blocks, or groups of blocks, that `part` of `parts` stands for. `soon` and `ahead` as in lanes_product.
template <bool Transposed, class R>
void rows_product(const FactorShape& f, const R* weights, const VectorRows<const R>& x, const VectorRows<R>& y,
                  Index batch, Index part, Index parts, LinesAhead<R>& soon, Index ahead = 0) {
  constexpr Index lanes = Lanes<R>::count;
  if constexpr (!Transposed) {
    if (batch == 1) return vector_product(f, weights, x.data, y.data, part, parts);
  }
  if constexpr (Transposed) {
    if (holds_pieces<R>(f)) return rows_product<false>(transposed(f), weights, x, y, batch, part, parts, soon, ahead);
  }
  const Index in = Transposed ? f.out : f.in, out = Transposed ? f.in : f.out;
  if (f.inner == 1) {
    const Index begin = part_begin(f.outer, part, parts), end = part_begin(f.outer, part + 1, parts);
    return numbers_product<R>({weights + begin * in * out, in, out, out, 1}, {x.data + begin * in, x.pitch},
                              {y.data + begin * out, y.pitch, y.far, y.streamed}, batch, end - begin, soon, ahead);
  }
  const Index pitch = packed_pitch<R>(f), term = Transposed ? pitch : lanes, output = Transposed ? lanes : pitch;
  const Index groups = packed_groups<R>(f);
  lanes_product<R>({weights, in, out / outputs_in_register<R>(f), term, output}, packed_group<R>(f), f.inner, x, y,
                   batch, part_begin(groups, part, parts), part_begin(groups, part + 1, parts), soon, ahead);
}

/// All of y = W x where nothing else is needed soon.
template <class R>
void rows_product(const FactorShape& f, const R* weights, const VectorRows<const R>& x, const VectorRows<R>& y,
                  Index batch) {
  LinesAhead<R> nothing;
  rows_product<false, R>(f, weights, x, y, batch, 0, 1, nothing);
}

/// True if the weights of a factor, which every tile of vectors reads once, come from far behind the second-level
/// cache.
template <class R>
bool weights_outgrow_cache(const FactorShape& f) {
  return f.weight_count() * static_cast<Index>(sizeof(R)) > 2 * second_level_cache;
}

/// True if such weights are asked for a group ahead.
template <class R>
bool weights_are_far(const FactorShape& f) {
  return narrow_machine() && weights_outgrow_cache<R>(f);
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
/// Vectors that are far are asked for while those before them meet the first factor. `packed` holds both, one behind
/// the other. The part of the groups that `part` of `parts` stands for.
template <class R>
void rows_product_of_two(const FactorShape& first, const FactorShape& second, const R* packed, VectorRows<const R> x,
                         VectorRows<R> y, Index batch, Index part, Index parts) {
  const bool far_weights = weights_are_far<R>(first);  // and so those of the second, which are as many
  const bool asks = x.far && narrow_machine() && !far_weights;
  const Index vectors = far_weights ? 8 : 16;
  const FactorShape f = group_of(first, second.outer), s = group_of(second, second.outer);
  const R* const packed_second = packed + packed_size<R>(first);
  const Index pitch = row_pitch<R>(s.in_size());
  R* const memory = thread_scratch<GroupScratch, R>(size_between<R>(pitch, vectors));
  const VectorRows<R> between = between_factors(memory, pitch, f, s);
  for (Index o = part_begin(second.outer, part, parts); o < part_begin(second.outer, part + 1, parts); ++o)
    for (Index b = 0; b < batch; b += vectors) {
      const Index count = std::min(vectors, batch - b);
      const bool last = b + count == batch, ahead = far_weights && last;
      const Index next_group = last ? o + 1 : o, next = last ? 0 : b + count;
      LinesAhead<R> soon, nothing;
      if (asks && next_group < second.outer)
        soon = {x.data + next * x.pitch + next_group * f.in_size(), x.pitch, f.in_size(),
                std::min(vectors, batch - next), Soon::read};
      rows_product<false, R>(f, packed + o * packed_size<R>(f),
                             {x.data + b * x.pitch + o * f.in_size(), x.pitch, x.far}, between, count, 0, 1, soon,
                             ahead ? packed_size<R>(f) : 0);
      rows_product<false, R>(s, packed_second + o * packed_size<R>(s), as_input(between),
                             {y.data + b * y.pitch + o * s.out_size(), y.pitch, y.far}, count, 0, 1, nothing,
                             ahead ? packed_size<R>(s) : 0);
    }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
