#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <utility>

#include "m2/backend/cpu/eigen_product.hpp"
#include "m2/backend/cpu/threads.hpp"
#include "m2/core/scalar.hpp"
#include "m2/core/view.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// A matrix in memory with any two strides; a stride counts as 1 when its extent is 1.
template <class T>
struct StridedMatrix {
  T* data;
  Index rows, cols, row_stride, col_stride;

  bool unit_rows() const { return row_stride == 1 || rows == 1; }
  bool unit_cols() const { return col_stride == 1 || cols == 1; }
  StridedMatrix transposed() const { return {data, cols, rows, col_stride, row_stride}; }
  StridedMatrix row_range(Index begin, Index count) const {
    return {data + begin * row_stride, count, cols, row_stride, col_stride};
  }
};

template <class T, int Order>
using EigenMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>;

/// Calls f with the matrix as an Eigen Map with one unit stride, by way of a copy only if both strides are wider.
template <class T, class F>
void with_eigen(StridedMatrix<const T> m, F&& f) {
  if (m.unit_rows()) {
    f(Eigen::Map<const EigenMatrix<T, Eigen::ColMajor>, 0, Eigen::OuterStride<>>(
        m.data, m.rows, m.cols, Eigen::OuterStride<>(m.cols == 1 ? m.rows : m.col_stride)));
  } else if (m.unit_cols()) {
    f(Eigen::Map<const EigenMatrix<T, Eigen::RowMajor>, 0, Eigen::OuterStride<>>(
        m.data, m.rows, m.cols, Eigen::OuterStride<>(m.rows == 1 ? m.cols : m.row_stride)));
  } else {
    EigenMatrix<T, Eigen::ColMajor> copy(m.rows, m.cols);
    for (Index j = 0; j < m.cols; ++j)
      for (Index i = 0; i < m.rows; ++i) copy(i, j) = m.data[i * m.row_stride + j * m.col_stride];
    f(Eigen::Map<const EigenMatrix<T, Eigen::ColMajor>, 0, Eigen::OuterStride<>>(copy.data(), m.rows, m.cols,
                                                                                 Eigen::OuterStride<>(m.rows)));
  }
}

/// c (+)= a b on one thread.
template <class T>
void gemm_single(StridedMatrix<const T> a, StridedMatrix<const T> b, StridedMatrix<T> c, bool accumulate) {
  if (c.rows == 0 || c.cols == 0) return;
  if (!c.unit_rows() && c.unit_cols()) return gemm_single(b.transposed(), a.transposed(), c.transposed(), accumulate);
  if (!c.unit_rows()) {
    EigenMatrix<T, Eigen::ColMajor> product(c.rows, c.cols);
    gemm_single(a, b, {product.data(), c.rows, c.cols, 1, c.rows}, false);
    for (Index j = 0; j < c.cols; ++j)
      for (Index i = 0; i < c.rows; ++i) {
        T& out = c.data[i * c.row_stride + j * c.col_stride];
        out = accumulate ? out + product(i, j) : product(i, j);
      }
    return;
  }
  Eigen::Map<EigenMatrix<T, Eigen::ColMajor>, 0, Eigen::OuterStride<>> out(
      c.data, c.rows, c.cols, Eigen::OuterStride<>(c.cols == 1 ? c.rows : c.col_stride));
  if (!accumulate) out.setZero();
  if (a.cols == 0) return;
  with_eigen(a,
             [&](const auto& left) { with_eigen(b, [&](const auto& right) { eigen_add_product(left, right, out); }); });
}

/// The same for 16-bit elements: copies in float, and one rounding when c is written.
template <SixteenBit T>
void gemm_single(StridedMatrix<const T> a, StridedMatrix<const T> b, StridedMatrix<T> c, bool accumulate) {
  const auto in_float = [](StridedMatrix<const T> m) {
    EigenMatrix<float, Eigen::ColMajor> copy(m.rows, m.cols);
    for (Index j = 0; j < m.cols; ++j)
      for (Index i = 0; i < m.rows; ++i) copy(i, j) = static_cast<float>(m.data[i * m.row_stride + j * m.col_stride]);
    return copy;
  };
  EigenMatrix<float, Eigen::ColMajor> product = EigenMatrix<float, Eigen::ColMajor>::Zero(c.rows, c.cols);
  if (accumulate) product = in_float({c.data, c.rows, c.cols, c.row_stride, c.col_stride});
  if (a.cols > 0) product.noalias() += in_float(a) * in_float(b);
  for (Index j = 0; j < c.cols; ++j)
    for (Index i = 0; i < c.rows; ++i) c.data[i * c.row_stride + j * c.col_stride] = static_cast<T>(product(i, j));
}

/// c (+)= a b over two leading batch dimensions. Threads take whole products where there are enough of them, otherwise
/// row or column ranges of each product. Eigen adds in another order at the rim of a range, so the last bits of a
/// result depend on the number of threads, never on timing.
template <class T, class B>
void cpu_gemm(View<const T, 4, B> a, View<const T, 4, B> b, View<T, 4, B> c, bool accumulate) {
  M2_REQUIRE(a.extent(0) == c.extent(0) && b.extent(0) == c.extent(0) && a.extent(1) == c.extent(1) &&
                 b.extent(1) == c.extent(1) && a.extent(2) == c.extent(2) && a.extent(3) == b.extent(2) &&
                 b.extent(3) == c.extent(3),
             "gemm: a is ", a.extents(), ", b is ", b.extents(), ", c is ", c.extents());
  const Index m = c.extent(2), n = c.extent(3), k = a.extent(3), groups = c.extent(0) * c.extent(1);
  const double flops =
      2.0 * static_cast<double>(groups) * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const int threads = flops > 1e5 ? available_threads() : 1;  // 1e5 flops take about the time to wake a thread
  const Index splits = groups >= threads ? 1 : threads;
  parallel_parts(groups * splits, threads, [&](Index part) {
    const Index group = part / splits, split = part % splits, i = group / c.extent(1), j = group % c.extent(1);
    StridedMatrix<const T> am{a.data() + i * a.stride(0) + j * a.stride(1), m, k, a.stride(2), a.stride(3)};
    StridedMatrix<const T> bm{b.data() + i * b.stride(0) + j * b.stride(1), k, n, b.stride(2), b.stride(3)};
    StridedMatrix<T> cm{c.data() + i * c.stride(0) + j * c.stride(1), m, n, c.stride(2), c.stride(3)};
    if (splits > 1 && n > m) {  // split the longer side of c, which is then its rows
      std::swap(am, bm);
      am = am.transposed(), bm = bm.transposed(), cm = cm.transposed();
    }
    const Index step = (cm.rows + splits - 1) / splits;
    const Index begin = std::min(cm.rows, split * step), count = std::min(step, cm.rows - begin);
    gemm_single<T>(am.row_range(begin, count), bm, cm.row_range(begin, count), accumulate);
  });
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
