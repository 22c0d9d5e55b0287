#pragma once

#include "m2/backend/concept.hpp"

namespace m2 {

namespace detail {

/// Ones on the diagonal.
template <class T, Backend B>
void fill_diagonal(B& be, View<T, 2, B> a) {
  be.for_each(a.extent(0), [=] M2_HD(Index i) { a(i, i) = T(1); });
}

}  // namespace detail

/// What every matrix has in common that is given by its products instead of its elements. A class that derives from
/// LinearMap<itself> has value_type, backend_type, rows(), cols() and multiply(be, x, y), y(b, :) = A x(b, :). It gets
/// its dense form here, and `A * X` for Eigen matrices in m2/transforms.hpp.
template <class Derived>
class LinearMap {
 public:
  /// The same matrix as a dense array.  // (rows, cols)
  ///
  /// Cost   one product with the identity
  template <Backend B>
  auto dense_tensor(B& be) const {
    using T = typename Derived::value_type;
    const Derived& self = static_cast<const Derived&>(*this);
    Tensor<T, 2, B> identity(be, {self.cols(), self.cols()}), dense(be, {self.rows(), self.cols()});
    detail::fill_diagonal(be, identity.view());
    self.multiply(be, identity.view(), dense.view().transpose(0, 1));
    be.synchronize();
    return dense;
  }

  /// The same matrix as an Eigen matrix; Cpu only, with m2/transforms.hpp.
  template <class Self = Derived>
  auto to_dense() const {
    return eigen_dense(static_cast<const Self&>(*this));  // found by argument-dependent lookup: monarch/eigen.hpp
  }

 protected:
  /// Errors   m2::Error if x (batch, cols) or y (batch, rows) does not fit
  template <class X, class Y>
  void check(const char* op, const X& x, const Y& y) const {
    const Derived& self = static_cast<const Derived&>(*this);
    M2_REQUIRE(x.extent(1) == self.cols() && y.extent(1) == self.rows() && x.extent(0) == y.extent(0), op,
               ": the matrix is ", self.rows(), " x ", self.cols(), ", x is ", x.extents(), ", y is ", y.extents(),
               "; (batch, ", self.cols(), ") and (batch, ", self.rows(), ") are needed");
  }
};

}  // namespace m2
