#pragma once

#include <Eigen/Core>

#include "m2/backend/cpu.hpp"
#include "m2/monarch/monarch.hpp"
#include "m2/monarch/product.hpp"

/// The Eigen face of Monarch matrices: Y = M * X for any Eigen matrix, vector, Map or expression.
namespace m2 {

/// The columns of an Eigen matrix as vectors, without a copy.  // (columns, rows)
template <class Derived>
requires((Derived::Flags & Eigen::DirectAccessBit) != 0) auto columns_of(const Eigen::DenseBase<Derived>& matrix) {
  const Derived& m = matrix.derived();
  const bool row_major = Derived::IsRowMajor;
  return View<const typename Derived::Scalar, 2, Cpu>(
      m.data(), {m.cols(), m.rows()},
      {row_major ? m.innerStride() : m.outerStride(), row_major ? m.outerStride() : m.innerStride()});
}
template <class Derived>
requires((Derived::Flags & Eigen::DirectAccessBit) != 0) auto columns_of(Eigen::DenseBase<Derived>& matrix) {
  const auto read = columns_of(static_cast<const Eigen::DenseBase<Derived>&>(matrix));
  return View<typename Derived::Scalar, 2, Cpu>(matrix.derived().data(), read.extents(), read.strides());
}

namespace detail {

/// What `m` makes of every column of X, by apply(columns of X, columns of the result); the result has the storage order
/// of X.
template <class T, class Derived, class Apply>
auto with_columns(const char* op, Index rows, Index cols, Index needed, const Eigen::MatrixBase<Derived>& x,
                  Index result_rows, Apply&& apply) {
  static_assert(std::same_as<typename Derived::Scalar, T>, "M and X must have the same element type; use X.cast<T>().");
  constexpr int columns = Derived::ColsAtCompileTime;
  constexpr int storage = Derived::IsRowMajor && columns != 1 ? Eigen::RowMajor : Eigen::ColMajor;
  if constexpr ((Derived::Flags & Eigen::DirectAccessBit) == 0) {
    return with_columns<T>(op, rows, cols, needed, x.eval(), result_rows, apply);
  } else {
    M2_REQUIRE(x.rows() == needed, op, ": M is ", rows, " x ", cols, ", X is ", x.rows(), " x ", x.cols());
    Eigen::Matrix<T, Eigen::Dynamic, columns, storage> y(result_rows, x.cols());
    apply(columns_of(x), columns_of(y));
    return y;
  }
}

template <class Matrix, class Derived>
auto eigen_multiply(const Matrix& m, const Eigen::MatrixBase<Derived>& x) {
  using T = typename Matrix::value_type;
  return with_columns<T>("M * X", m.rows(), m.cols(), m.cols(), x, m.rows(),
                         [&](View<const T, 2, Cpu> from, View<T, 2, Cpu> to) {
                           Cpu be;
                           m.multiply(be, from, to);
                         });
}

template <class T>
using EigenVector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

}  // namespace detail

/// Y = M X: every column of X is a vector. Column-major X is the layout with features contiguous, row-major X the one
/// with the batch contiguous; the result has the storage order of X.
///
/// Shapes   X in_features x batch, result out_features x batch
/// Errors   m2::Error if X.rows() != M.cols()
/// Cost     2 batch M.parameter_count() flops; allocates the result, and evaluates X if it is no matrix in memory
template <int Order, Element T, class Derived>
auto operator*(const Monarch<Order, T, Cpu>& m, const Eigen::MatrixBase<Derived>& x) {
  return detail::eigen_multiply(m, x);
}
template <int Order, Element T, class Derived>
auto operator*(const PackedMonarch<Order, T, Cpu>& m, const Eigen::MatrixBase<Derived>& x) {
  return detail::eigen_multiply(m, x);
}
template <class Left, class Right, class Derived>
auto operator*(const MonarchProduct<Left, Right>& m, const Eigen::MatrixBase<Derived>& x) {
  return detail::eigen_multiply(m, x);
}

/// M^-1 X: Monarch::solve and MonarchProduct::solve call this.
///
/// Errors   m2::Error if X.rows() != M.rows(), or as MonarchLu
template <class Matrix, class Derived>
auto eigen_solve(const Matrix& m, const Eigen::MatrixBase<Derived>& x) {
  using T = typename Matrix::value_type;
  return detail::with_columns<T>("M.solve(X)", m.rows(), m.cols(), m.rows(), x, m.cols(),
                                 [&](View<const T, 2, Cpu> from, View<T, 2, Cpu> to) {
                                   Cpu be;
                                   m.solve(be, from, to);
                                 });
}

/// M diag(d) and diag(d) M, written as in Eigen: M * d.asDiagonal(). In place: scale_columns and scale_rows.
///
/// Errors   m2::Error if the sizes do not fit
/// Cost     one pass over the weights
template <int Order, Element T, class Derived>
Monarch<Order, T, Cpu> operator*(const Monarch<Order, T, Cpu>& m, const Eigen::DiagonalBase<Derived>& d) {
  const detail::EigenVector<T> entries = d.diagonal();
  Monarch<Order, T, Cpu> result = m.clone();
  Cpu be;
  result.scale_columns(be, View<const T, 1, Cpu>(entries.data(), {entries.size()}));
  return result;
}
template <int Order, Element T, class Derived>
Monarch<Order, T, Cpu> operator*(const Eigen::DiagonalBase<Derived>& d, const Monarch<Order, T, Cpu>& m) {
  const detail::EigenVector<T> entries = d.diagonal();
  Monarch<Order, T, Cpu> result = m.clone();
  Cpu be;
  result.scale_rows(be, View<const T, 1, Cpu>(entries.data(), {entries.size()}));
  return result;
}

/// M as a dense Eigen matrix; to_dense() of Monarch, PackedMonarch and MonarchProduct calls this.
template <class Matrix, class T = typename Matrix::value_type>
Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic> eigen_dense(const Matrix& m) {
  return m * Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>::Identity(m.cols(), m.cols());
}

}  // namespace m2
