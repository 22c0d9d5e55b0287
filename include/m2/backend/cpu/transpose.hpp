#pragma once

#include <algorithm>
#include <utility>

#include "m2/backend/cpu/lanes.hpp"

namespace m2::detail {

#if defined(__GNUC__)
/// (a0, b0, a1, b1, ..) from the lower (Half 0) or upper (Half 1) halves of a and b.
template <std::size_t Half, class T, std::size_t... I>
M2_INLINE Lanes<T> interleave(Lanes<T> a, Lanes<T> b, std::index_sequence<I...>) {
  constexpr std::size_t n = sizeof...(I);
  return {__builtin_shufflevector(a.v, b.v, static_cast<int>((I % 2 == 0 ? 0 : n) + Half * n / 2 + I / 2)...)};
}

/// A square of one register's width transposed in registers: log2(width) rounds of interleaving row i with row
/// i + width / 2.
template <class T>
M2_INLINE void transpose_square(const T* in, Index in_stride, T* out, Index out_stride) {
  constexpr Index n = Lanes<T>::count;
  using Every = std::make_index_sequence<static_cast<std::size_t>(n)>;
  Lanes<T> rows[std::size_t{n}], next[std::size_t{n}];
  M2_UNROLL
  for (Index i = 0; i < n; ++i) rows[i] = Lanes<T>::load(in + i * in_stride);
  M2_UNROLL
  for (Index width = 1; width < n; width *= 2) {
    M2_UNROLL
    for (Index i = 0; i < n / 2; ++i) {
      next[2 * i] = interleave<0>(rows[i], rows[i + n / 2], Every{});
      next[2 * i + 1] = interleave<1>(rows[i], rows[i + n / 2], Every{});
    }
    M2_UNROLL
    for (Index i = 0; i < n; ++i) rows[i] = next[i];
  }
  M2_UNROLL
  for (Index i = 0; i < n; ++i) rows[i].store(out + i * out_stride);
}
#else
template <class T>
void transpose_square(const T* in, Index in_stride, T* out, Index out_stride) {
  for (Index i = 0; i < Lanes<T>::count; ++i)
    for (Index j = 0; j < Lanes<T>::count; ++j) out[j * out_stride + i] = in[i * in_stride + j];
}
#endif

/// out(j, i) = in(i, j) for a rows x cols matrix; both have contiguous rows. The walk follows the rows of the side
/// whose rows lie further apart, so that few pages are in use at a time.
template <class T>
void transpose(const T* in, Index in_stride, Index rows, Index cols, T* out, Index out_stride) {
  constexpr Index n = Lanes<T>::count;
  const Index whole_rows = rows / n * n, whole_cols = cols / n * n;
  const auto square = [&](Index i, Index j) {
    transpose_square(in + i * in_stride + j, in_stride, out + j * out_stride + i, out_stride);
  };
  if (in_stride >= out_stride) {
    for (Index i = 0; i < whole_rows; i += n)
      for (Index j = 0; j < whole_cols; j += n) square(i, j);
  } else {
    for (Index j = 0; j < whole_cols; j += n)
      for (Index i = 0; i < whole_rows; i += n) square(i, j);
  }
  for (Index i = 0; i < rows; ++i)
    for (Index j = i < whole_rows ? whole_cols : 0; j < cols; ++j) out[j * out_stride + i] = in[i * in_stride + j];
}

}  // namespace m2::detail
