#pragma once

#include <array>

#include "m2/monarch/lower_triangle.hpp"
#include "m2/monarch/multiply.hpp"

namespace m2 {

/// The order in which the factors of a product of triangular blocks meet their input.
///
/// - top_first: Q = C^(p-1) .. C^(0), digit 0, the top one, first: from coordinates in a basis to coefficients
/// - bottom_first: the order of Q^-1
enum class FactorOrder { top_first, bottom_first };

/// Lower triangular coefficient blocks of an order-p Monarch matrix, stored as nothing but their triangles. The blocks
/// of digit a, C^(a)_c of size r_a x r_a, have one of them for every value c of the lower digits, shared by all values
/// of the upper ones. They lie one digit after the other, the top one first, as (W_a, r_a (r_a + 1) / 2), W_a = r_{a+1}
/// .. r_{p-1}, each triangle row by row: element (row, column) at row (row + 1) / 2 + column.
///
/// The product of the factors, in either order, is a lower triangular N x N matrix, N = r_0 .. r_{p-1}, and that of its
/// first n rows and columns comes from the same blocks for every n.
///
/// Source   math.md D2, D5
template <int Order>
class TriangularShape {
 public:
  using Radices = typename MonarchShape<Order>::Radices;

  /// Errors   m2::Error if a radix is below 1, or the sizes do not fit 64 bits
  explicit TriangularShape(const Radices& radices) : radices_(radices) {
    Index weight = 1;
    for (std::size_t a = radices_.size(); a-- > 0;) {
      weights_[a] = weight;
      detail::checked_product(detail::checked_product(weight, radices_[a]), detail::checked_product(radices_[a], 2));
      weight = detail::checked_product(weight, radices_[a]);
    }
    for (int a = 0; a < Order; ++a) {
      offsets_[static_cast<std::size_t>(a)] = count_;
      count_ = detail::checked_sum("triangular shape", count_, this->weight(a) * triangle(a));
    }
  }

  const Radices& radices() const { return radices_; }
  Index radix(int a) const { return radices_[static_cast<std::size_t>(a)]; }
  /// W_a, the number of blocks of digit a.
  Index weight(int a) const { return weights_[static_cast<std::size_t>(a)]; }
  Index triangle(int a) const { return radix(a) * (radix(a) + 1) / 2; }
  Index offset(int a) const { return offsets_[static_cast<std::size_t>(a)]; }
  Index size() const { return weight(0) * radix(0); }
  Index coefficient_count() const { return count_; }

  /// The place of element (row, column), column <= row, of block `context` of digit a.
  Index at(int a, Index context, Index row, Index column) const {
    return offset(a) + context * triangle(a) + row * (row + 1) / 2 + column;
  }

  /// The triangles of digit a.  // (W_a, triangle)
  template <class T, class B>
  View<T, 2, B> triangles(int a, View<T, 1, B> coefficients) const {
    return coefficients.slice(0, offset(a), weight(a) * triangle(a)).split(0, triangle(a));
  }

  /// The product of the factors as a Monarch matrix of out_features x in_features, its top blocks no larger than the
  /// larger of these needs.
  MonarchShape<Order> monarch(FactorOrder order, Index in_features, Index out_features) const {
    const Index features = in_features > out_features ? in_features : out_features;
    M2_REQUIRE(in_features >= 1 && out_features >= 1 && features <= size(), "triangular shape: ", out_features, " x ",
               in_features, " does not fit ", size(), " x ", size());
    Radices radices = radices_;
    radices[0] = detail::ceil_divide(features, weight(0));
    std::array<FactorShape, static_cast<std::size_t>(Order)> factors;
    Index outer = 1;
    for (int a = 0; a < Order; ++a) {
      const Index r = radices[static_cast<std::size_t>(a)];
      factors[static_cast<std::size_t>(order == FactorOrder::top_first ? a : Order - 1 - a)] = {outer, r, r, weight(a)};
      outer *= r;
    }
    return MonarchShape<Order>(factors, in_features, out_features);
  }

  friend bool operator==(const TriangularShape&, const TriangularShape&) = default;

 private:
  Radices radices_;
  Radices weights_{}, offsets_{};
  Index count_ = 0;
};

namespace detail {

template <int Order, class T, class B>
void check_triangles(const char* op, const TriangularShape<Order>& shape, FactorOrder order, Index coefficients,
                     const MonarchView<Order, T, B>& m) {
  M2_REQUIRE(coefficients == shape.coefficient_count(), op, ": ", coefficients, " coefficients, ",
             shape.coefficient_count(), " are needed");
  require_same_shape(op, "the matrix of these triangles",
                     shape.monarch(order, m.shape.in_features(), m.shape.out_features()), "M", m.shape);
}

}  // namespace detail

/// Writes the triangular blocks as the weights of a Monarch matrix, zeros above their diagonals, once for every value
/// of the upper digits.
///
/// Shapes   coefficients (shape.coefficient_count()), m of shape.monarch(order, ..)
/// Writes   m (overwritten)
/// Errors   m2::Error if an argument does not fit the shape
/// Cost     writes the N sum of r_a weights: nothing beside the products with a batch of vectors
template <int Order, Scalar T, Backend B>
void unpack_triangles(B& be, const TriangularShape<Order>& shape, FactorOrder order, Input<T, 1, B> coefficients,
                      const MonarchView<Order, T, B>& m) {
  detail::check_triangles("unpack_triangles", shape, order, coefficients.extent(0), m);
  for (int a = 0; a < Order; ++a) {
    const int f = order == FactorOrder::top_first ? a : Order - 1 - a;
    const FactorShape factor = m.shape.factor(f);
    detail::unpack_triangles<T, B>(be, factor.outer, factor.in, detail::Diagonal::included,
                                   shape.triangles(a, coefficients), m.factors[static_cast<std::size_t>(f)]);
  }
}

/// The VJP of unpack_triangles: sums the gradients of the weights over the upper digits. What stands above a diagonal
/// is no parameter.
///
/// Shapes   dm like m, dcoefficients like coefficients
/// Writes   dcoefficients (accumulated)
/// Errors   m2::Error if an argument does not fit the shape
template <int Order, Scalar T, Backend B>
void unpack_triangles_vjp(B& be, const TriangularShape<Order>& shape, FactorOrder order,
                          const MonarchView<Order, T, B>& dm, View<T, 1, B> dcoefficients) {
  detail::check_triangles("unpack_triangles_vjp", shape, order, dcoefficients.extent(0), dm);
  for (int a = 0; a < Order; ++a) {
    const int f = order == FactorOrder::top_first ? a : Order - 1 - a;
    const FactorShape factor = dm.shape.factor(f);
    detail::accumulate_triangles<T, B>(be, factor.outer, factor.in, detail::Diagonal::included,
                                       dm.factors[static_cast<std::size_t>(f)], shape.triangles(a, dcoefficients));
  }
}

}  // namespace m2
