#pragma once

#include <algorithm>
#include <utility>

#include "m2/backend/cpu/lanes.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

#if defined(__GNUC__)
/// (a0, b0, a1, b1, ..) of the lower (Half 0) or upper (Half 1) halves of every 16 bytes of a and b. Rounds that stay
/// within 16 bytes cost half of those that do not.
template <std::size_t Half, class T, std::size_t... I>
M2_INLINE Lanes<T> interleave(Lanes<T> a, Lanes<T> b, std::index_sequence<I...>) {
  constexpr std::size_t n = sizeof...(I), piece = 16 / sizeof(T);
  return shuffle_lanes<((I % 2 == 0 ? 0 : n) + I / piece * piece + Half * piece / 2 + I % piece / 2)...>(a, b);
}
/// Of all pieces of 16 bytes of a, then b, the even (Odd 0) or odd (Odd 1) ones.
template <std::size_t Odd, class T, std::size_t... I>
M2_INLINE Lanes<T> every_other_piece(Lanes<T> a, Lanes<T> b, std::index_sequence<I...>) {
  constexpr std::size_t piece = 16 / sizeof(T);
  return shuffle_lanes<((2 * (I / piece) + Odd) * piece + I % piece)...>(a, b);
}

/// A square of one register's width transposed in registers: first the squares of 16 bytes in it, log2(width) rounds
/// of interleaving row i with row i + width / 2; then these squares change places, in as many rounds of the inverse.
template <class T>
M2_INLINE void transpose_square(const T* in, Index in_stride, T* out, Index out_stride) {
  constexpr Index n = Lanes<T>::count, piece = 16 / static_cast<Index>(sizeof(T)), pieces = n / piece;
  using Every = std::make_index_sequence<static_cast<std::size_t>(n)>;
  Lanes<T> rows[std::size_t{n}], next[std::size_t{n}];
  M2_UNROLL
  for (Index i = 0; i < n; ++i) rows[i] = Lanes<T>::load(in + i * in_stride);
  M2_UNROLL
  for (Index width = 1; width < piece; width *= 2) {
    M2_UNROLL
    for (Index p = 0; p < n; p += piece) M2_UNROLL
    for (Index i = 0; i < piece / 2; ++i) {
      next[p + 2 * i] = interleave<0>(rows[p + i], rows[p + i + piece / 2], Every{});
      next[p + 2 * i + 1] = interleave<1>(rows[p + i], rows[p + i + piece / 2], Every{});
    }
    M2_UNROLL
    for (Index i = 0; i < n; ++i) rows[i] = next[i];
  }
  M2_UNROLL
  for (Index width = 1; width < pieces; width *= 2) {
    M2_UNROLL
    for (Index p = 0; p < pieces / 2; ++p) M2_UNROLL
    for (Index i = 0; i < piece; ++i) {
      const Lanes<T> a = rows[2 * p * piece + i], b = rows[(2 * p + 1) * piece + i];
      next[p * piece + i] = every_other_piece<0>(a, b, Every{});
      next[(p + pieces / 2) * piece + i] = every_other_piece<1>(a, b, Every{});
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
/// whose rows lie further apart, so that few pages are in use at a time; or of the other one if all pages are few, so
/// that its lines are used once. The last squares overlap those before them if less than a square is left.
template <class T>
void transpose(const T* in, Index in_stride, Index rows, Index cols, T* out, Index out_stride) {
  constexpr Index n = Lanes<T>::count, few_pages = (Index{1} << 18) / static_cast<Index>(sizeof(T));
  if (rows < n || cols < n) {
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols; ++j) out[j * out_stride + i] = in[i * in_stride + j];
    return;
  }
  const bool few = rows * in_stride < few_pages && cols * out_stride < few_pages;
  const bool rows_first = few != (in_stride >= out_stride);
  const Index outer = rows_first ? rows : cols, inner = rows_first ? cols : rows;
  for (Index a = 0; a < outer; a += n)
    for (Index b = 0; b < inner; b += n) {
      const Index from_a = std::min(a, outer - n), from_b = std::min(b, inner - n);
      const Index i = rows_first ? from_a : from_b, j = rows_first ? from_b : from_a;
      transpose_square(in + i * in_stride + j, in_stride, out + j * out_stride + i, out_stride);
    }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
