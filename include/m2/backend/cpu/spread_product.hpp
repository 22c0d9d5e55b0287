#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "m2/backend/cpu/block.hpp"
#include "m2/backend/cpu/register_tile.hpp"
#include "m2/backend/cpu/scratch.hpp"
#include "m2/backend/cpu/two_operand_loop.hpp"

/// The products of a block with a batch whose vectors lie along the lanes, where a number that multiplies a register
/// has to be spread over one first (SSE2): once for all vectors.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// True if tiles of real numbers take weights that are spread over registers, and for how many vectors: it takes as
/// long as two products with a register of vectors. For four registers it costs as much as it gains (N = 1024 0.59,
/// 0.60 by tiles of two registers), and those tiles need not be compiled.
template <class T>
inline constexpr bool spreads_numbers = !numbers_are_operands && Scalar<T>;
template <class T>
inline constexpr Index least_spread_batch = 4 * Lanes<T>::count;

/// J rows of y = W x for `batch` vectors. Their weights are spread over registers, in memory at `spread`, and then meet
/// V registers of vectors at a time; from those to the next V it is `panel` numbers. Where results are far, their lines
/// are asked for a tile ahead.
template <class T, Index J, Index V>
M2_REGISTER_LOOP void spread_rows_product(const BlockWeights<T>& weights, BlockVectors<const T> x, Index panel,
                                          BlockVectors<T> y, Index batch, T* spread) {
  constexpr Index lanes = Lanes<T>::count, width = V * lanes;
  const Index row = weights.row_stride, column = weights.column_stride, x_stride = x.stride, y_stride = y.stride,
              terms = weights.columns;
  const T* const end = spread + terms * J * lanes;
  const T* number = weights.data;
  const bool far = y.far;
  if (far)
    for (Index j = 0; j < J; ++j) prefetch_for_write(y.data + j * y_stride);
  for (T* to = spread; to != end; to += J * lanes, number += column) M2_UNROLL
  for (Index j = 0; j < J; ++j) Lanes<T>::all(number[j * row]).store(to + j * lanes);
  for (Index b = 0; b < batch; b += width, x.data += panel) {
    if (far)
      for (Index j = 0; j < J; ++j) prefetch_for_write(y.data + j * y_stride + b + width);
    TileSums<T, J, V> sums;
    sums.add(spread, terms, x.data, x_stride, lanes);
    T* to = y.data + b;
    hide_origin(to);
    M2_UNROLL
    for (Index j = 0; j < J; ++j, to += y_stride) M2_UNROLL
    for (Index v = 0; v < V; ++v) sums.sum(j, v).store(to + v * lanes);
  }
}

/// The same for a number of rows that is known when the program runs.
template <class T, Index... J>
constexpr auto spread_products_of_rows(std::integer_sequence<Index, J...>) {
  return std::array{spread_rows_product<T, tile_rows_within(J + 1), two_operand_columns>...};
}
template <class T>
inline constexpr auto spread_products =
    spread_products_of_rows<T>(std::make_integer_sequence<Index, two_operand_rows>{});

/// True if digits so far apart share so few sets of the first-level cache that it could not hold them all.
template <class T>
bool digits_collide(Index stride, Index digits) {
  const Index bytes = stride * Index{sizeof(T)};
  return bytes % 1024 == 0 && digits * std::min<Index>(bytes, 4096) >= Index{1} << 15;
}

struct SpreadScratch;

/// y = W x where weights are spread over registers, those of a tile's rows at a time, for all vectors, whole tiles of
/// them. Digits that would not stay in the first-level cache are put side by side first. Where they are a part of
/// longer rows, which no prefetcher of the machine follows, those of the block that comes `next` are asked for on the
/// way.
template <class T>
void spread_block_product(BlockWeights<T> w, BlockVectors<const T> x, BlockVectors<T> y, Index batch, Index next) {
  constexpr Index lanes = Lanes<T>::count, width = two_operand_columns * lanes,
                  line = 64 / static_cast<Index>(sizeof(T));
  const Index stride = x.stride, digits = w.columns, outputs = w.rows;
  const bool gathers = digits_collide<T>(stride, digits), asks = gathers && batch < stride && next != 0;
  const T* const soon = x.data + next;
  const Index panel = gathers ? (digits + 1) * width : width;
  T* const spread = thread_scratch<SpreadScratch, T>(digits * two_operand_rows * lanes + panel * (batch / width));
  if (gathers) {
    T* const side_by_side = spread + digits * two_operand_rows * lanes;
    for (Index k = 0; k < digits; ++k) {
      const T* from = x.data + k * stride;
      T* to = side_by_side + k * width;
      for (Index b = 0; b < batch; b += width, to += panel) M2_UNROLL
      for (Index v = 0; v < width; v += lanes) Lanes<T>::load(from + b + v).store(to + v);
    }
    x.data = side_by_side, x.stride = width;
  }
  for_row_tiles(outputs, two_operand_rows, [&](Index rows, Index row) {
    const Index begin = digits * row / outputs, end = asks ? digits * (row + rows) / outputs : begin;
    for (Index k = begin; k < end; ++k)
      for (Index b = 0; b < batch; b += line) prefetch_far(soon + k * stride + b);
    spread_products<T>[static_cast<std::size_t>(rows - 1)](w, x, panel, y, batch, spread);
    w.data += rows * w.row_stride;
    y.data += rows * y.stride;
  });
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
