#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "m2/backend/cpu/lanes.hpp"

/// The products of a Monarch factor's blocks with a batch: small matrices, many of them, where a general matrix product
/// spends its time on packing and set-up.
namespace m2::detail {

/// The weights of one block, element (row, column) at data[row * row_stride + column * column_stride].
template <class T>
struct BlockWeights {
  const T* data;
  Index rows, columns, row_stride, column_stride;
};

/// J rows of the product for V registers of vectors, the sums kept in registers.
/// x is a packed panel (columns, V L).
template <class T, Index J, Index V>
M2_INLINE void block_product_tile(const BlockWeights<T>& w, Index row, const T* panel, T* y, Index y_stride) {
  constexpr Index lanes = Lanes<T>::count;
  Lanes<T> sums[std::size_t{J}][std::size_t{V}];
  M2_UNROLL
  for (Index j = 0; j < J; ++j) M2_UNROLL
  for (Index v = 0; v < V; ++v) sums[j][v] = Lanes<T>::zero();
  const T* weights = w.data + row * w.row_stride;
  for (Index d = 0; d < w.columns; ++d) {
    Lanes<T> x[std::size_t{V}];
    M2_UNROLL
    for (Index v = 0; v < V; ++v) x[v] = Lanes<T>::load(panel + (d * V + v) * lanes);
    M2_UNROLL
    for (Index j = 0; j < J; ++j) M2_UNROLL
    for (Index v = 0; v < V; ++v) sums[j][v] = add_scaled(sums[j][v], x[v], weights[j * w.row_stride]);
    weights += w.column_stride;
  }
  M2_UNROLL
  for (Index j = 0; j < J; ++j) M2_UNROLL
  for (Index v = 0; v < V; ++v) sums[j][v].store(y + (row + j) * y_stride + v * lanes);
}

/// All rows of the product for V registers of vectors: tiles of J rows, and smaller ones for the rest.
template <class T, Index J, Index V>
void block_product_panel(const BlockWeights<T>& w, const T* panel, T* y, Index y_stride) {
  Index row = 0;
  for (; row + J <= w.rows; row += J) block_product_tile<T, J, V>(w, row, panel, y, y_stride);
  if constexpr (J > 8) {
    for (; row + 8 <= w.rows; row += 8) block_product_tile<T, 8, V>(w, row, panel, y, y_stride);
  }
  for (; row + 4 <= w.rows; row += 4) block_product_tile<T, 4, V>(w, row, panel, y, y_stride);
  for (; row < w.rows; ++row) block_product_tile<T, 1, V>(w, row, panel, y, y_stride);
}

/// y = W x for `batch` vectors, a multiple of a register's lanes, contiguous in x (columns, batch) and y (rows, batch).
/// A panel of x is packed first: its rows may lie a power of two apart, where they would push each other out of the
/// cache. panel: room for 2 w.columns registers.
template <class T>
void block_product(const BlockWeights<T>& w, const T* x, Index x_stride, T* y, Index y_stride, Index batch, T* panel) {
  constexpr Index lanes = Lanes<T>::count;
  constexpr Index tile_rows = register_bytes == 64 ? 12 : 6;  // 2 registers each: 24 of 32 registers, or 12 of 16
  Index b = 0;
  for (; b + 2 * lanes <= batch; b += 2 * lanes) {
    for (Index d = 0; d < w.columns; ++d) std::copy_n(x + d * x_stride + b, 2 * lanes, panel + d * 2 * lanes);
    block_product_panel<T, tile_rows, 2>(w, panel, y + b, y_stride);
  }
  for (; b < batch; b += lanes) {
    for (Index d = 0; d < w.columns; ++d) std::copy_n(x + d * x_stride + b, lanes, panel + d * lanes);
    block_product_panel<T, tile_rows, 1>(w, panel, y + b, y_stride);
  }
}

/// y = W x for one vector x, contiguous; the rows of W are contiguous. Four rows at a time share the loads of x.
template <class T>
void block_times_vector(const BlockWeights<T>& w, const T* x, T* y, Index y_stride) {
  constexpr Index lanes = Lanes<T>::count;
  const Index whole = w.columns / lanes * lanes;
  const auto rows = [&]<Index J>(std::integral_constant<Index, J>, Index row) {
    Lanes<T> sums[std::size_t{J}];
    for (Index j = 0; j < J; ++j) sums[j] = Lanes<T>::zero();
    for (Index d = 0; d < whole; d += lanes) {
      const Lanes<T> part = Lanes<T>::load(x + d);
      for (Index j = 0; j < J; ++j)
        sums[j] = add_product(sums[j], Lanes<T>::load(w.data + (row + j) * w.row_stride + d), part);
    }
    for (Index j = 0; j < J; ++j) {
      T total = 0;
      for (Index i = 0; i < lanes; ++i) total += sums[j].v[i];
      for (Index d = whole; d < w.columns; ++d) total += w.data[(row + j) * w.row_stride + d] * x[d];
      y[(row + j) * y_stride] = total;
    }
  };
  Index row = 0;
  for (; row + 4 <= w.rows; row += 4) rows(std::integral_constant<Index, 4>{}, row);
  for (; row < w.rows; ++row) rows(std::integral_constant<Index, 1>{}, row);
}

}  // namespace m2::detail
