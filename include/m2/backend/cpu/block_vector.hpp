#pragma once

#include <algorithm>

#include "m2/backend/cpu/block.hpp"
#include "m2/backend/cpu/transpose.hpp"

/// The products of a Monarch factor's blocks with one vector. They are bound by reading the weights, so that is done in
/// the order in which the weights lie in memory, with digits along the lanes.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Lane j of the result is the sum of all lanes of rows[j], for as many rows as a register has lanes. Every round adds
/// halves, first those of every 16 bytes, then those of registers, and puts the sums of two rows side by side.
template <class T>
M2_INLINE Lanes<T> add_lanes(Lanes<T>* rows) {
  constexpr Index n = Lanes<T>::count;
#if defined(__GNUC__)
  constexpr Index piece = 16 / static_cast<Index>(sizeof(T));
  using Every = std::make_index_sequence<static_cast<std::size_t>(n)>;
  M2_UNROLL
  for (Index half = piece / 2; half > 0; half /= 2) M2_UNROLL
  for (Index p = 0; p < n; p += piece) M2_UNROLL
  for (Index i = p; i < p + half; ++i)
    rows[i] = interleave<0>(rows[i], rows[i + half], Every{}) + interleave<1>(rows[i], rows[i + half], Every{});
  M2_UNROLL
  for (Index step = piece; step < n; step *= 2) M2_UNROLL
  for (Index p = 0; p < n; p += 2 * step)
    rows[p] =
        every_other_piece<0>(rows[p], rows[p + step], Every{}) + every_other_piece<1>(rows[p], rows[p + step], Every{});
  return rows[0];
#else
  T sums[static_cast<std::size_t>(n)] = {};
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) sums[i] += rows[i].v[j];
  return Lanes<T>::load(sums);
#endif
}

/// y = W x for one vector; x and the rows of W are contiguous. As many rows at a time as a register has lanes.
template <class T>
void block_times_vector(const BlockWeights<T>& w, const T* x, T* y, Index y_stride) {
  constexpr Index lanes = Lanes<T>::count;
  const Index whole = w.columns / lanes * lanes;
  for (Index row = 0; row < w.rows; row += lanes) {
    const Index count = std::min(lanes, w.rows - row);
    Lanes<T> sums[static_cast<std::size_t>(lanes)];
    T rest[static_cast<std::size_t>(lanes)] = {};
    for (Index j = 0; j < count; ++j) {
      const T* weights = w.data + (row + j) * w.row_stride;
      sums[j] = Lanes<T>::zero();
      for (Index d = 0; d < whole; d += lanes)
        sums[j] = add_product(sums[j], Lanes<T>::load(weights + d), Lanes<T>::load(x + d));
      for (Index d = whole; d < w.columns; ++d) rest[j] += weights[d] * x[d];
    }
    for (Index j = count; j < lanes; ++j) sums[j] = Lanes<T>::zero();
    const Lanes<T> total = add_lanes(sums) + Lanes<T>::load(rest);
    if (count == lanes && y_stride == 1) {
      total.store(y + row);
    } else {
      total.store(rest);
      for (Index j = 0; j < count; ++j) y[(row + j) * y_stride] = rest[j];
    }
  }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
