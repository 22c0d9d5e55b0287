#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "m2/backend/cpu/scratch.hpp"
#include "m2/backend/cpu/threads.hpp"
#include "m2/backend/cpu/tiled_weights.hpp"
#include "m2/backend/cpu/vector_rows.hpp"

/// The products of tiled weights with vectors whose features are contiguous.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Where registers of vectors lie: that of term, or output, k of vector b at data + k * step + b % 2 * vector +
/// b / 2 * pair.
template <class R>
struct PairedRows {
  R* data;
  Index step, vector, pair;
};

/// The registers that begin at the last numbers of x, before its end, and go on at its beginning.
template <class R>
M2_INLINE void wrapped_registers(const R* x, Index count, Lanes<R> (&to)[std::size_t{Lanes<R>::count}]) {
  constexpr Index lanes = Lanes<R>::count;
  const Lanes<R> end = Lanes<R>::load(x + count - lanes), begin = Lanes<R>::load(x);
  to[0] = end;
  if constexpr (lanes == 2) {
    to[1] = shuffle_lanes<1, 2>(end, begin);
  } else {
    static_assert(lanes == 4);
    to[2] = shuffle_lanes<2, 3, 4, 5>(end, begin);
    to[1] = shuffle_lanes<1, 2, 5, 6>(end, to[2]);
    to[3] = shuffle_lanes<1, 2, 5, 6>(to[2], begin);
  }
}

/// J registers of outputs of `batch` vectors, V at a time; or of as many blocks of one vector, whose weights are `next`
/// numbers apart. If `wraps`, a register of terms behind those of x meets wrapped registers.
template <class R, Index J, Index V>
M2_REGISTER_LOOP void tiled_rows_product(const R* weights, Index terms, bool wraps, const PairedRows<const R>& x,
                                         const PairedRows<R>& y, Index batch, Index next) {
  constexpr Index lanes = Lanes<R>::count;
  const Index step = x.step, vector = x.vector, pair = x.pair;
  const Index row = y.step, y_vector = y.vector, y_pair = y.pair;
  const R* from = x.data;
  for (R* first = y.data; batch > 0; batch -= V, from += pair, first += y_pair, weights += next) {
    TileSums<R, J, V> sums;
    const R* const behind = sums.add(weights, terms, from, step, vector);
    if (wraps) {
      Lanes<R> ends[std::size_t{V}][std::size_t{lanes}];
      M2_UNROLL
      for (Index v = 0; v < V; ++v) wrapped_registers(from + v * vector, terms + lanes, ends[v]);
      M2_UNROLL
      for (Index k = 0; k < lanes; ++k) {
        Lanes<R> in[std::size_t{V}];
        M2_UNROLL
        for (Index v = 0; v < V; ++v) in[v] = ends[v][k];
        sums.add(k, behind + k * J * lanes, in);
      }
    }
    R* to = first;
    hide_origin(to);
    M2_UNROLL
    for (Index j = 0; j < J; ++j, to += row) M2_UNROLL
    for (Index v = 0; v < V; ++v) sums.sum(j, v).store(to + v * y_vector);
  }
}

/// The same for a number of registers that is known when the program runs.
template <class R, Index V, Index... J>
constexpr auto tiled_products_of_rows(std::integer_sequence<Index, J...>) {
  return std::array{tiled_rows_product<R, tile_rows_within(J + 1), V>...};
}
template <class R, Index V>
inline constexpr auto tiled_products =
    tiled_products_of_rows<R, V>(std::make_integer_sequence<Index, two_operand_rows>{});

/// Numbers of a pair of vectors that is stored digit by digit, see VectorRows: one digit more than there are, to use
/// all cache sets; and the digits of such a pair.
template <class R>
Index digit_pair(Index digits) {
  return (digits + 1) * 2 * Lanes<R>::count;
}
template <class R>
Index digits_of(Index pair) {
  return pair / (2 * Lanes<R>::count) - 1;
}

/// Rows between two factors: digit by digit, if the second one's digits are the first one's blocks.
template <class R>
VectorRows<R> between_factors(R* data, Index pitch, const FactorShape& first, const FactorShape& second) {
  const bool digits = tiled_weights && first.out * first.inner == second.inner;
  return {data, pitch, false, false, false, digits ? digit_pair<R>(second.in) : 0};
}

/// Numbers that so many rows between two factors need.
template <class R>
Index size_between(Index pitch, Index batch) {
  return tiled_weights ? (batch + 1) / 2 * 4 * pitch : batch * pitch;
}

struct TiledScratch;

/// y = W x for one factor: the part of the blocks, or groups of blocks, that `part` of `parts` stands for. The inputs
/// of blocks along the lanes are copied digit by digit unless they lie so.
template <class R>
void tiled_product(const FactorShape& f, const R* weights, const VectorRows<const R>& x, const VectorRows<R>& y,
                   Index batch, Index part, Index parts) {
  constexpr Index lanes = Lanes<R>::count;
  const bool diagonals = f.inner == 1, wraps = diagonals && f.in >= lanes, copies = x.digit == 0 && !wraps;
  const Index side = diagonals ? 1 : f.inner / lanes, groups = f.outer * side, registers = output_registers<R>(f);
  const Index in_pair = digit_pair<R>(f.in), pairs = (batch + 1) / 2, even = batch / 2 * 2;
  R* const scratch = thread_scratch<TiledScratch, R>(!copies ? 0 : diagonals ? 4 * lanes * pairs : in_pair * pairs);
  PairedRows<const R> from{scratch, diagonals ? 1 : 2 * lanes, lanes, in_pair};
  if (diagonals) from.vector = wraps ? x.pitch : 2 * lanes, from.pair = 2 * from.vector;
  PairedRows<R> to{nullptr, diagonals ? lanes : f.inner, y.pitch, 2 * y.pitch};
  const Index digits = y.digit != 0 ? digits_of<R>(y.digit) : 0;
  if (y.digit != 0) to = {nullptr, side * pairs * y.digit, lanes, y.digit};
  for (Index g = part_begin(groups, part, parts); g < part_begin(groups, part + 1, parts); ++g) {
    const Index o = g / side, i = g % side;
    const R* const inputs = x.data + (x.digit != 0 ? g * pairs * x.digit : o * f.in * f.inner + i * lanes);
    for (Index b = 0; copies && diagonals && b < batch; ++b) wrap(inputs + b * x.pitch, f.in, scratch + b * 2 * lanes);
    for (Index b = 0; copies && !diagonals && b < batch; ++b)
      for (Index k = 0; k < f.in; ++k)
        Lanes<R>::load(inputs + b * x.pitch + k * f.inner).store(scratch + b / 2 * in_pair + (2 * k + b % 2) * lanes);
    to.data = y.data + o * f.out * f.inner + i * lanes;
    if (y.digit != 0) to.data = y.data + (o / digits * registers * side + i) * pairs * y.digit + o % digits * 2 * lanes;
    const R* w = weights + g * tiled_group<R>(f);
    for_row_tiles(registers, two_operand_rows, [&](Index rows, Index) {
      const auto at = static_cast<std::size_t>(rows - 1);
      const Index terms = wraps ? f.in - lanes : f.in;
      from.data = copies ? scratch : inputs;
      tiled_products<R, 2>[at](w, terms, wraps, from, to, even, 0);
      if (even < batch) {
        PairedRows<R> single = to;
        from.data += even / 2 * from.pair, single.data += even / 2 * to.pair;
        tiled_products<R, 1>[at](w, terms, wraps, from, single, 1, 0);
      }
      w += rows * lanes * f.in;
      to.data += rows * to.step;
    });
  }
}

/// One factor of one vector. Where all weights are near, each tile goes through all blocks side by side: a call for
/// each of them would count.
template <class R>
requires(tiled_weights) void vector_product(const FactorShape& f, const R* packed, const R* x, R* y, Index part,
                                            Index parts) {
  constexpr Index lanes = Lanes<R>::count, bytes = sizeof(R);
  const Index in = f.in, inner = f.inner, registers = output_registers<R>(f), group = tiled_group<R>(f);
  const bool diagonals = inner == 1, wraps = diagonals && in >= lanes;
  // Digits so far apart that they share few cache sets are copied side by side.
  const bool copies = diagonals ? !wraps : in * inner * bytes > Index{1} << 14;
  const Index side = diagonals ? 1 : inner / lanes, row = diagonals ? lanes : inner;
  R* const copy = copies ? thread_scratch<TiledScratch, R>((in + 2) * lanes) : nullptr;
  PairedRows<const R> from{nullptr, diagonals ? 1 : copies ? lanes : inner, 0, diagonals ? in : lanes};
  PairedRows<R> to{nullptr, row, 0, diagonals ? f.out : lanes};
  const Index at_once = copies || f.weight_count() * bytes > Index{1} << 17 ? 1 : diagonals ? f.outer : side;
  const Index end = part_begin(f.outer * side, part + 1, parts);
  for (Index g = part_begin(f.outer * side, part, parts), next = g; g < end; g = next) {
    next = at_once == 1 ? g + 1 : std::min(end, g - g % at_once + at_once);
    const Index o = g / side, i = g % side * lanes;
    from.data = x + o * in * inner + i;
    to.data = y + o * f.out * inner + i;
    if (copies) {
      if (diagonals) wrap(from.data, in, copy);
      for (Index k = 0; !diagonals && k < in; ++k) Lanes<R>::load(from.data + k * inner).store(copy + k * lanes);
      from.data = copy;
    }
    const R* w = packed + g * group;
    for_row_tiles(registers, two_operand_rows, [&](Index rows, Index) {
      tiled_products<R, 1>[static_cast<std::size_t>(rows - 1)](w, wraps ? in - lanes : in, wraps, from, to, next - g,
                                                               group);
      w += rows * lanes * in;
      to.data += rows * row;
    });
  }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
