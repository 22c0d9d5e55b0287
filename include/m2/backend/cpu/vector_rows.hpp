#pragma once

#include "m2/backend/cpu/lanes.hpp"

/// Vectors with contiguous features, as the products of packed weights take them.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Vectors one after the other, features contiguous; `far` if they are not in the second-level cache,
/// `streamed` if they need not be in any when they are written. A tile asks for the places of far results where it has
/// 12 sums of 64 bytes: elsewhere that costs up to 8%. Those of `remote` ones while the results before them are
/// computed, into the second-level cache. If `digit` is not 0, they are the input of one factor whose blocks lie along
/// the lanes: group by group of blocks, in it digit by digit, `digit` numbers apart, and in that a register for each
/// vector. For tiled weights: group by group, in it two vectors by two, `digit` numbers apart, and in that digit by
/// digit a register for each of the two.
template <class R>
struct VectorRows {
  R* data;
  Index pitch;
  bool far = false, streamed = false, remote = false;
  Index digit = 0;
};

template <class R>
VectorRows<const R> as_input(VectorRows<R> rows) {
  return {rows.data, rows.pitch, rows.far, false, false, rows.digit};
}

/// From one digit of a block to the next, if `inner` blocks lie side by side.
template <class R>
Index digit_step(const VectorRows<R>& x, Index inner) {
  return x.digit != 0 ? x.digit : inner;
}

/// From one vector of a tile to the next: an odd number of registers, to use all cache sets.
template <class R>
Index row_pitch(Index features) {
  constexpr Index lanes = Lanes<R>::count;
  return ((features + lanes - 1) / lanes | 1) * lanes;
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
