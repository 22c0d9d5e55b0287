#pragma once

#include <Eigen/Core>

#include "m2/backend/cpu.hpp"
#include "m2/monarch/monarch.hpp"

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

/// Y = M X: every column of X is a vector. Column-major X is the layout with features contiguous, row-major X the one
/// with the batch contiguous; the result has the storage order of X.
///
/// Shapes   X in_features x batch, result out_features x batch
/// Errors   m2::Error if X.rows() != M.cols()
/// Cost     2 batch M.parameter_count() flops; allocates the result, and evaluates X if it is no matrix in memory
template <int Order, Element T, class Derived>
auto operator*(const Monarch<Order, T, Cpu>& m, const Eigen::MatrixBase<Derived>& x) {
  static_assert(std::same_as<typename Derived::Scalar, T>,
                "M * X: the matrix and X must have the same element type; use X.cast<T>().");
  constexpr int columns = Derived::ColsAtCompileTime;
  constexpr int storage = Derived::IsRowMajor && columns != 1 ? Eigen::RowMajor : Eigen::ColMajor;
  if constexpr ((Derived::Flags & Eigen::DirectAccessBit) == 0) {
    return m * x.eval();
  } else {
    M2_REQUIRE(x.rows() == m.cols(), "M * X: M is ", m.rows(), " x ", m.cols(), ", X is ", x.rows(), " x ", x.cols());
    Eigen::Matrix<T, Eigen::Dynamic, columns, storage> y(m.rows(), x.cols());
    Cpu be;
    monarch_multiply(be, m.view(), columns_of(x), columns_of(y));
    return y;
  }
}

/// M as a dense Eigen matrix; Monarch::to_dense calls this.
template <int Order, Element T>
Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic> eigen_dense(const Monarch<Order, T, Cpu>& m) {
  return m * Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>::Identity(m.cols(), m.cols());
}

}  // namespace m2
