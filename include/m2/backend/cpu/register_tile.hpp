#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "m2/backend/cpu/lanes.hpp"
#include "m2/core/scalar.hpp"

/// The one arithmetic loop of the Monarch multiply and of its VJP: a tile of J x V registers of sums that stay in
/// registers while J numbers, or J registers, of one operand meet V registers of the other. What lies along the lanes
/// (vectors of the batch, outputs of a block, blocks) and what is summed over is a matter of strides.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The elements (k, j) of an operand, k the index that is summed over: numbers or whole registers. Strides count real
/// numbers; `plane` is the distance from a real part to its imaginary part. If `ahead` is not 0, what lies that far
/// behind an element will be read soon, and is prefetched: vectors of the batch that numbers meet into the second-level
/// cache, since in the first one they would take the place of what is at work.
template <class T>
struct TileOperand {
  const RealOf<T>* data;
  Index step, row, plane = 0, ahead = 0;
};

/// Where the sums (j, v) go. A `far` result is not in the first two caches yet: its lines are asked for at the start.
/// The sums replace it, or add to it. One that is `streamed` bypasses the caches (stream_lanes), if the left
/// operand is registers, four registers or more lie side by side, or so many that they are one cache line.
template <class R>
struct TileResult {
  R* data;
  Index row, column, plane = 0;
  bool far = false, streamed = false, add = false;
};

/// What element (k, j) of the left operand is: a number that meets every lane of the right operand's registers, or a
/// register that meets them lane by lane; or 16 bytes of numbers, which meet every 16 bytes of the registers.
enum class Left { number, lanes, piece };

/// A register of the left operand.
template <Left Kind, class T>
M2_INLINE Lanes<T> load_left(const RealOf<T>* from, Index plane) {
  if constexpr (Kind == Left::piece) {
    return repeat_piece(from);
  } else {
    return load_lanes<T>(from, plane);
  }
}

/// result(j, v) (+)= sum over k of left(k, j) right(k, v), v < V. Numbers of the left operand are prefetched along k.
/// Where they are one piece of memory, a line goes with every term: all at once, they would stop the products until
/// memory has answered.
template <class T, Left Kind, Index J, Index V>
M2_REGISTER_LOOP void register_tile(Index terms, const TileOperand<T>& left, const TileOperand<T>& right,
                                    const TileResult<RealOf<T>>& result) {
  using R = RealOf<T>;
  constexpr Index planes = planes_of<T>;
  // One pointer for three rows: the addresses p, p + s, p + 2 s need no instruction of their own.
  constexpr Index group = 3, groups = (J + group - 1) / group;
  const R* rows[std::size_t{groups}];
  const Index row = left.row, step = left.step, column = right.row, right_step = right.step, ahead = right.ahead,
              left_ahead = left.ahead;
  M2_UNROLL
  for (Index g = 0; g < groups; ++g) rows[g] = left.data + group * g * row;
  const R* from = right.data;
  R* const to = result.data;  // copies: the compiler must take a store for one that may change `result`
  const Index to_row = result.row, to_column = result.column;
  constexpr Index line = 64 / static_cast<Index>(sizeof(R));
  const bool prefetch_left = Kind == Left::number && left.ahead != 0, one_piece = row == terms * planes;
  const R* soon = left.data + left.ahead;
  if (prefetch_left && !one_piece) {
    for (Index k = 0; k < terms * planes; k += line)
      for (Index j = 0; j < J; ++j) prefetch_line(left.data + j * row + left.ahead + k);
  }
  Lanes<T> sums[std::size_t{J}][std::size_t{V}];
  M2_UNROLL
  for (Index j = 0; j < J; ++j) M2_UNROLL
  for (Index v = 0; v < V; ++v) sums[j][v] = Lanes<T>::zero();
  if (result.far && !result.streamed)
    for (Index j = 0; j < J; ++j)
      for (Index v = 0; v < V; ++v) prefetch_for_write(to + j * to_row + v * to_column);
  for (Index k = terms; k > 0; --k) {
    Lanes<T> x[std::size_t{V}];
    M2_UNROLL
    for (Index v = 0; v < V; ++v) {
      x[v] = load_lanes<T>(from + v * column, right.plane);
      // A single register may as well be multiplied by numbers in memory.
      if constexpr (V > 1 || Kind != Left::number) keep_in_register(x[v]);
    }
    if (ahead != 0) M2_UNROLL
    for (Index v = 0; v < V; ++v) {
      if constexpr (Kind == Left::number) {
        prefetch_far(from + ahead + v * column);
      } else {
        prefetch_line(from + ahead + v * column);
      }
    }
    if (prefetch_left && one_piece) {
      M2_UNROLL
      for (Index i = 0; i < J * planes; i += line) prefetch_line(soon + i);
      soon += J * planes;
    }
    M2_UNROLL
    for (Index j = 0; j < J; ++j) {
      const R* at = rows[j / group] + j % group * row;
      if constexpr (Kind == Left::number) {
        const auto number = load_scalar<T>(at, left.plane);
        M2_UNROLL
        for (Index v = 0; v < V; ++v) sums[j][v] = add_scaled(sums[j][v], x[v], number);
      } else {
        Lanes<T> lanes = load_left<Kind, T>(at, left.plane);
        keep_in_register(lanes);
        if (left_ahead != 0) prefetch_line(at + left_ahead);
        M2_UNROLL
        for (Index v = 0; v < V; ++v) sums[j][v] = add_product(sums[j][v], x[v], lanes);
      }
    }
    M2_UNROLL
    for (Index g = 0; g < groups; ++g) rows[g] += step;
    from += right_step;
  }
  R* at = to;
  hide_origin(at);
  if constexpr (planes == 1 && (Kind != Left::number || V >= 4 || V * register_bytes == 64)) {
    if (result.streamed) {
      M2_UNROLL
      for (Index j = 0; j < J; ++j, at += to_row) M2_UNROLL
      for (Index v = 0; v < V; ++v) stream_lanes(sums[j][v], at + v * to_column);
      return;
    }
  }
  if (result.add) {
    const R* before = at;
    M2_UNROLL
    for (Index j = 0; j < J; ++j, before += to_row) M2_UNROLL
    for (Index v = 0; v < V; ++v) sums[j][v] = sums[j][v] + load_lanes<T>(before + v * to_column, result.plane);
  }
  M2_UNROLL
  for (Index j = 0; j < J; ++j, at += to_row) M2_UNROLL
  for (Index v = 0; v < V; ++v) store_lanes<T>(sums[j][v], at + v * to_column, result.plane);
}

/// The registers of sums in a tile: what the registers hold beside operands, but 12 where more of them stored in one
/// go stop the products. That is AMD's family 19h, Zen 4, which moves registers of 64 bytes in halves.
inline Index tile_sums() {
#if defined(__GNUC__) && defined(__AVX512F__) && defined(__x86_64__)
  static const Index sums = __builtin_cpu_is("amdfam19h") ? 12 : 24;
  return sums;
#else
  return register_bytes == 64 ? 24 : 12;
#endif
}

/// True where tiles have 12 sums though registers would hold more: what follows from it was measured there.
inline bool narrow_machine() { return register_bytes == 64 && tile_sums() == 12; }

/// The most rows of a tile that are no more than `rows`. Tiles have 1, 2, 3, 4, 6, 8 or 12 rows, which make any number
/// out of hardly more tiles than every size would, with half as many to compile; where there are three kinds of tiles
/// (SSE2), none has 3.
constexpr Index tile_rows_within(Index rows) {
  if (rows == 3 && !numbers_are_operands) return 2;
  return rows >= 12 ? 12 : rows >= 8 ? 8 : rows >= 6 ? 6 : std::min<Index>(rows, 4);
}

/// register_tile for a number of rows that is known when the program runs: tiles[rows - 1], rows up to Largest. A call
/// through a table is compiled once, not once for each number of rows.
template <class T>
using RegisterTile = void (*)(Index, const TileOperand<T>&, const TileOperand<T>&, const TileResult<RealOf<T>>&);

template <class T, Left Kind, Index V, Index... J>
constexpr std::array<RegisterTile<T>, sizeof...(J)> tiles_of_rows(std::integer_sequence<Index, J...>) {
  return {register_tile<T, Kind, tile_rows_within(J + 1), V>...};
}
template <class T, Left Kind, Index V, Index Largest>
inline constexpr auto register_tiles = tiles_of_rows<T, Kind, V>(std::make_integer_sequence<Index, Largest>{});

/// Calls f(size, row) for tiles of at most `largest` rows that cover `rows` rows: the largest there are, but so that at
/// least three rows are left for the last one, and eight behind one of twelve, if so many are there: sums of fewer rows
/// wait for one another. `largest` is at least 2. If `whole_or_one`, there are no sizes but the largest and one.
template <class F>
M2_INLINE void for_row_tiles(Index rows, Index largest, F&& f, bool whole_or_one = false) {
  for (Index row = 0; row < rows;) {
    const Index left = rows - row;
    Index size = tile_rows_within(std::min(left, largest));
    if (size == 12 && left > 12 && left < 20) size = 8;
    if (left - size == 2 || left - size == 1) size = tile_rows_within(std::max<Index>(left - 3, 2));
    if (whole_or_one) size = left < largest ? 1 : largest;
    f(size, row);
    row += size;
  }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
