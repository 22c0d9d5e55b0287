#pragma once

#include <algorithm>

#include "m2/ops/elements.hpp"

/// The lower triangles of many square blocks: in memory without the rest, and products with them. What stands above a
/// diagonal is skipped by these products, never multiplied: no bit of a masked input reaches an output, not even as 0
/// times an infinity. Blocks are (outer, inner, n, n), and
/// vectors (outer, inner, digit, batch), as those of a Monarch factor.
namespace m2::detail {

/// Whether the diagonal belongs to a triangle.
enum class Diagonal { excluded, included };

/// Where a row of a triangle begins in memory that holds nothing but triangles, row by row.
M2_HD constexpr Index triangle_row(Index row, Index past) { return row * (row - 1 + 2 * past) / 2; }

/// Triangles as n x n blocks with zeros above their diagonals, all of them `copies` times.
///
/// Shapes   from (blocks, triangle), each row by row; what is behind the first n rows of a triangle is not read
template <Scalar T, Backend B>
void unpack_triangles(B& be, Index copies, Index n, Diagonal diagonal, View<const T, 2, B> from, T* to) {
  const Index past = diagonal == Diagonal::included ? 1 : 0, blocks = from.extent(0);
  be.for_rows(copies * blocks * n, n, [=] M2_HD(Index at, const typename B::Team& team) {
    const Index row = at % n, block = at / n % blocks, start = triangle_row(row, past), count = row + past;
    T* const square = to + at * n;
    team.each([=](Index column) { square[column] = column < count ? from(block, start + column) : T{0}; });
  });
}

/// The VJP of unpack_triangles: dfrom += the lower parts of dto, summed over the copies.
template <Scalar T, Backend B>
void accumulate_triangles(B& be, Index copies, Index n, Diagonal diagonal, const T* dto, View<T, 2, B> dfrom) {
  const Index past = diagonal == Diagonal::included ? 1 : 0, blocks = dfrom.extent(0);
  be.for_rows(blocks * n, n, [=] M2_HD(Index at, const typename B::Team& team) {
    const Index row = at % n, block = at / n, start = triangle_row(row, past), count = row + past;
    for (Index copy = 0; copy < copies; ++copy) {
      const T* const square = dto + (copy * blocks * n + at) * n;
      team.each([=](Index column) {
        if (column < count) dfrom(block, start + column) += square[column];
      });
    }
  });
}

/// The rows of the triangles that a product uses.
struct RowRange {
  Index begin, end;
};

/// Rows are taken this many at a time: left of them is a full rectangle, a product for gemm, and what remains is small.
inline constexpr Index triangle_rows = 16;

/// What the kernels below know: blocks, vectors on both sides, and which rows and columns meet on the diagonal.
template <class T, class B, bool Unit>
struct DiagonalBlocks {
  View<const T, 4, B> w, x;
  View<T, 4, B> y;
  Index begin, count, past;  // rows and columns [begin, begin + count); columns < row + past

  template <class U>
  M2_HD static Run<U, Unit> vector(const View<U, 4, B>& v, Index o, Index i, Index digit) {
    return {&v(o, i, digit, 0), v.stride(3)};
  }
};

/// y[to] += sum of w[to, from] x[from]: below the diagonal, or above it where w is transposed, x is dy and y is dx.
template <class T, class B, bool Unit, bool Transposed>
struct MaskedProduct : DiagonalBlocks<T, B, Unit> {
  template <class Team>
  M2_HD M2_INLINE void operator()(Index at, const Team& team) const {
    const Index to = this->begin + at % this->count, block = at / this->count;
    const Index o = block / this->y.extent(1), i = block % this->y.extent(1);
    const Index first = Transposed ? to + 1 - this->past : this->begin;
    const Index end = Transposed ? this->begin + this->count : to + this->past;
    if (first == end) return;  // an excluded diagonal: the last column has no rows, and y may end before it
    const Run<T, Unit> out = this->vector(this->y, o, i, to);
    for (Index from = first; from < end; ++from) {
      const Run<const T, Unit> in = this->vector(this->x, o, i, from);
      const T weight = this->w(o, i, to, from);
      team.each([&](Index b) { out[b] += weight * in[b]; });
    }
  }
};
template <class T, class B, bool Unit>
using DiagonalProduct = MaskedProduct<T, B, Unit, false>;
template <class T, class B, bool Unit>
using DiagonalTransposedProduct = MaskedProduct<T, B, Unit, true>;

/// y[row, column] += sum over the batch of w[row, b] x[column, b]: w is dy here, and y is dw.
template <class T, class B, bool Unit>
struct DiagonalGradient : DiagonalBlocks<T, B, Unit> {
  template <class Team>
  M2_HD M2_INLINE void operator()(Index at, const Team& team) const {
    const Index row = this->begin + at % this->count, block = at / this->count;
    const Index o = block / this->y.extent(1), i = block % this->y.extent(1);
    const Run<const T, Unit> out = this->vector(this->w, o, i, row);
    for (Index column = this->begin; column < row + this->past; ++column) {
      const Run<const T, Unit> in = this->vector(this->x, o, i, column);
      this->y(o, i, row, column) += team.sum([&](Index b) { return out[b] * in[b]; });
    }
  }
};

/// Runs one of the kernels for the blocks on the diagonal, and f for the rows of each of them.
template <template <class, class, bool> class Kernel, Scalar T, Backend B, class F>
void for_triangle_rows(B& be, RowRange rows, Diagonal diagonal, bool unit, Index batch, View<const T, 4, B> w,
                       View<const T, 4, B> x, View<T, 4, B> y, F&& f) {
  const Index past = diagonal == Diagonal::included ? 1 : 0, blocks = y.extent(0) * y.extent(1);
  for (Index begin = rows.begin; begin < rows.end; begin += triangle_rows) {
    const Index count = std::min(triangle_rows, rows.end - begin);
    if (begin > 0) f(begin, count);
    with_constant(unit, [&](auto is_unit) {
      for_deep_rows(be, blocks * count, batch, triangle_rows,
                    Kernel<T, B, decltype(is_unit)::value>{{w, x, y, begin, count, past}});
    });
  }
}

/// y[rows] += the triangles' rows times x. x may end before the diagonal where that is excluded.
///
/// Shapes   w (outer, inner, n, n), x (outer, inner, columns, batch), y (outer, inner, rows, batch)
/// Writes   y (accumulated); must not overlap x
template <Scalar T, Backend B>
void add_triangle_product(B& be, RowRange rows, Diagonal diagonal, View<const T, 4, B> w, View<const T, 4, B> x,
                          View<T, 4, B> y) {
  const bool unit = x.stride(3) == 1 && y.stride(3) == 1;
  for_triangle_rows<DiagonalProduct, T, B>(
      be, rows, diagonal, unit, y.extent(3), w, x, y, [&](Index begin, Index count) {
        be.gemm(w.slice(2, begin, count).slice(3, 0, begin), x.slice(2, 0, begin), y.slice(2, begin, count), true);
      });
}

/// dx += the transposed triangles' rows times dy, dw += dy x^T in the triangles' rows.
///
/// Shapes   as add_triangle_product
/// Writes   dx, dw (accumulated); dx must not overlap x or dy
template <Scalar T, Backend B>
void add_triangle_product_vjp(B& be, RowRange rows, Diagonal diagonal, View<const T, 4, B> w, View<const T, 4, B> x,
                              View<const T, 4, B> dy, View<T, 4, B> dx, View<T, 4, B> dw) {
  const bool unit = x.stride(3) == 1 && dy.stride(3) == 1 && dx.stride(3) == 1;
  const View<const T, 4, B> transposed = w.transpose(2, 3);
  for_triangle_rows<DiagonalTransposedProduct, T, B>(be, rows, diagonal, unit, dy.extent(3), transposed, dy, dx,
                                                     [&](Index begin, Index count) {
                                                       be.gemm(transposed.slice(2, 0, begin).slice(3, begin, count),
                                                               dy.slice(2, begin, count), dx.slice(2, 0, begin), true);
                                                     });
  for_triangle_rows<DiagonalGradient, T, B>(be, rows, diagonal, unit, dy.extent(3), dy, x, dw,
                                            [&](Index begin, Index count) {
                                              be.gemm(dy.slice(2, begin, count), x.slice(2, 0, begin).transpose(2, 3),
                                                      dw.slice(2, begin, count).slice(3, 0, begin), true);
                                            });
}

}  // namespace m2::detail
