#pragma once

#include "m2/backend/cpu/lanes.hpp"
#include "m2/core/scalar.hpp"

/// The one arithmetic loop of the Monarch multiply and of its VJP: a tile of J x V registers of sums that stay in
/// registers while one operand's numbers meet the other's registers. What lies along the lanes (vectors of the batch,
/// outputs of a block, blocks) and what is summed over is a matter of strides.
namespace m2::detail {

/// The numbers (k, j) of one operand, k the index that is summed over. Strides count real numbers; `plane` is the
/// distance from a real part to its imaginary part. `ahead` is how far behind an element those lie that are read next.
template <class T>
struct TileOperand {
  const RealOf<T>* data;
  Index step, row, plane, ahead;
};

/// Where the sums (j, v) go.
template <class R>
struct TileResult {
  R* data;
  Index row, column, plane;
};

/// What becomes of the sums: they replace the result, or add to it.
enum class Sums { replace, add };

/// result(j, v) (+)= sum over k of left(k, j) right(k, v), v < V registers side by side. What comes `ahead` of the left
/// operand is prefetched, of the right one too if First says that nobody has done so. A function of its own: inlined
/// into its callers it runs out of registers for addresses.
template <class T, Index J, Index V, Sums To, bool First>
#if defined(__GNUC__)
[[gnu::noinline]]
#endif
void register_tile(Index terms, const TileOperand<T>& left, const TileOperand<T>& right, const TileResult<RealOf<T>>& result) {
  using R = RealOf<T>;
  constexpr Index lanes = Lanes<T>::count, planes = planes_of<T>;
  // One pointer for three rows: the addresses p, p + s, p + 2 s need no instruction of their own.
  constexpr Index groups = (J + 2) / 3;
  const R* rows[std::size_t{groups}];
  const Index row = left.row, step = left.step, right_step = right.step;
  M2_UNROLL
  for (Index g = 0; g < groups; ++g) rows[g] = left.data + 3 * g * row;
  const R* next = left.data + left.ahead;
  const R* from = right.data;
  Lanes<T> sums[std::size_t{J}][std::size_t{V}];
  M2_UNROLL
  for (Index j = 0; j < J; ++j) {
    M2_UNROLL
    for (Index v = 0; v < V; ++v) {
      sums[j][v] = Lanes<T>::zero();
      if constexpr (To == Sums::replace) prefetch_for_write(result.data + j * result.row + v * result.column);
    }
  }
  for (Index k = 0; k < terms; ++k) {
    prefetch_line(next);
    next += J * planes;
    Lanes<T> x[std::size_t{V}];
    M2_UNROLL
    for (Index v = 0; v < V; ++v) {
      x[v] = load_lanes<T>(from + v * lanes, right.plane);
      if constexpr (First) prefetch_line(from + right.ahead + v * lanes);
    }
    M2_UNROLL
    for (Index j = 0; j < J; ++j) {
      const R* at = rows[j / 3] + j % 3 * row;
      const T number = load_scalar<T>(at, left.plane);
      M2_UNROLL
      for (Index v = 0; v < V; ++v) sums[j][v] = add_scaled(sums[j][v], x[v], number);
    }
    M2_UNROLL
    for (Index g = 0; g < groups; ++g) rows[g] += step;
    from += right_step;
  }
  M2_UNROLL
  for (Index j = 0; j < J; ++j) M2_UNROLL
  for (Index v = 0; v < V; ++v) {
    R* to = result.data + j * result.row + v * result.column;
    if constexpr (To == Sums::add) sums[j][v] = sums[j][v] + load_lanes<T>(to, result.plane);
    store_lanes<T>(sums[j][v], to, result.plane);
  }
}

}  // namespace m2::detail
