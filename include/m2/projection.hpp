#pragma once

/// The nearest Monarch matrix of a dense matrix. A header of its own because Eigen's eigensolver is slow to compile.
#include "m2/backend/cpu/low_rank.hpp"
#include "m2/monarch.hpp"
#include "m2/monarch/projection.hpp"

namespace m2 {

/// The Monarch matrix of this shape nearest to a dense matrix in the Frobenius norm; for three or more factors within
/// sqrt(Order - 1) of it. See the overload on views in monarch/projection.hpp for how, and for the cost.
///
///   double error;
///   auto P = m2::project<2, float>(dense, {.radices = {64, 64}}, &error);
///
/// dense           any Eigen matrix, array, Map or expression, out_features x in_features
/// relative_error  if given, becomes |dense - P| / |dense|
/// Errors          m2::Error if dense does not fit the shape or has an element that is not finite
template <int Order, Element T, class Derived, std::same_as<MonarchShape<Order>> Shape>
Monarch<Order, T, Cpu> project(const Eigen::DenseBase<Derived>& dense, const Shape& shape,
                               double* relative_error = nullptr) {
  if constexpr ((Derived::Flags & Eigen::DirectAccessBit) == 0) {
    return project<Order, T>(dense.eval(), shape, relative_error);
  } else {
    Monarch<Order, T, Cpu> m(shape);
    Cpu be;
    const double error = project(be, columns_of(dense).transpose(0, 1), m.view());
    if (relative_error != nullptr) *relative_error = error;
    return m;
  }
}

/// The same to Monarch matrices that are told by their radices and the rank of their slices.
///
/// Errors   m2::Error if the radices do not multiply to the size of the matrix, or the rank is more than a slice has
template <int Order, Element T, class Derived>
Monarch<Order, T, Cpu> project(const Eigen::DenseBase<Derived>& dense, const ProjectionOptions<Order>& options,
                               double* relative_error = nullptr) {
  const MonarchShape<Order> shape = options.shape();
  M2_REQUIRE(dense.rows() == shape.out_features() && dense.cols() == shape.in_features(), "project: the matrix is ",
             dense.rows(), " x ", dense.cols(), ", radices ", options.radices, " are for ", shape);
  return project<Order, T>(dense, shape, relative_error);
}

}  // namespace m2
