#pragma once

#include "m2/backend/concept.hpp"

namespace m2 {

namespace detail {

/// Ones on the diagonal.
template <class T, Backend B>
void fill_diagonal(B& be, View<T, 2, B> a) {
  be.for_each(a.extent(0), [=] M2_HD(Index i) { a(i, i) = T(1); });
}

/// The rows x cols matrix of the products multiply(x, y), y(b, :) = A x(b, :): one product with the identity.
template <class T, Backend B, class Multiply>
Tensor<T, 2, B> dense_form(B& be, Index rows, Index cols, Multiply&& multiply) {
  Tensor<T, 2, B> identity(be, {cols, cols}), dense(be, {rows, cols});
  fill_diagonal(be, identity.view());
  multiply(identity.cview(), dense.view().transpose(0, 1));
  be.synchronize();
  return dense;
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
    return detail::dense_form<T>(be, self.rows(), self.cols(),
                                 [&](View<const T, 2, B> x, View<T, 2, B> y) { self.multiply(be, x, y); });
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
