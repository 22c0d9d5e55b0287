#pragma once

/// Named matrices in Monarch form, on the CPU: dft, idft, hadamard, dct2, dct3, kronecker, random_orthogonal,
/// Circulant, Toeplitz; permutations, and the conventions of the papers. Each of them multiplies Eigen matrices, A * X.
#include <array>
#include <concepts>

#include "m2/monarch.hpp"
#include "m2/monarch/circulant.hpp"
#include "m2/monarch/conventions.hpp"
#include "m2/monarch/cosine.hpp"
#include "m2/monarch/fourier.hpp"
#include "m2/monarch/hadamard.hpp"
#include "m2/monarch/kronecker.hpp"
#include "m2/monarch/orthogonal.hpp"
#include "m2/monarch/permutation.hpp"

namespace m2 {

template <int Order, Element T, Backend B = Cpu>
class PermutedMonarch;
template <int Order, ComplexScalar T, Backend B = Cpu>
class DftMatrix;
template <int Order, Element T, Backend B = Cpu>
class Circulant;
template <int Order, Element T, Backend B = Cpu>
class Toeplitz;

/// Y = A X, column by column, for every matrix that is given by its products; as for a Monarch matrix.
///
/// Errors   m2::Error if X.rows() != A.cols()
template <class A, class Derived>
requires std::derived_from<A, LinearMap<A>>
auto operator*(const A& a, const Eigen::MatrixBase<Derived>& x) { return detail::eigen_multiply(a, x); }

// The functions of monarch/*.hpp on the CPU: no backend argument, Eigen vectors and matrices in place of views.

template <int Order, ComplexScalar T>
DftMatrix<Order, T> dft(const TransformSize<Order>& size, DftOptions options = {}) {
  Cpu be;
  return dft<Order, T>(be, size, options);
}
template <int Order, ComplexScalar T>
DftMatrix<Order, T> idft(const TransformSize<Order>& size, DftOptions options = {}) {
  Cpu be;
  return idft<Order, T>(be, size, options);
}
template <int Order, Element T>
Monarch<Order, T> hadamard(const TransformSize<Order>& size, Normalization normalization = Normalization::none) {
  Cpu be;
  return hadamard<Order, T>(be, size, normalization);
}
template <int Order, Element T>
auto dct2(const TransformSize<Order>& size, Normalization normalization = Normalization::none) {
  Cpu be;
  return dct2<Order, T>(be, size, normalization);
}
template <int Order, Element T>
auto dct3(const TransformSize<Order>& size, Normalization normalization = Normalization::none) {
  Cpu be;
  return dct3<Order, T>(be, size, normalization);
}
template <int Order, Element T>
Monarch<Order, T> random_orthogonal(const MonarchShape<Order>& shape, Rng& rng) {
  Cpu be;
  return random_orthogonal<Order, T>(be, shape, rng);
}

/// The circulant matrix with first column c.
template <int Order, class Derived>
auto circulant(const Eigen::MatrixBase<Derived>& c) {
  const Eigen::VectorX<typename Derived::Scalar> g = c;
  Cpu be;
  return Circulant<Order, typename Derived::Scalar, Cpu>(be, columns_of(g).select(0, 0));
}

/// The Toeplitz matrix with this first column and first row; the corner is column(0).
///
/// Errors   m2::Error if one of them is empty
template <int Order, class Column, class Row>
auto toeplitz(const Eigen::MatrixBase<Column>& column, const Eigen::MatrixBase<Row>& row) {
  using T = typename Column::Scalar;
  M2_REQUIRE(column.size() >= 1 && row.size() >= 1, "toeplitz: the column has ", column.size(), " elements, the row ",
             row.size(), ", at least 1 is needed");
  Eigen::VectorX<T> g(column.size() + row.size() - 1);
  for (Index j = 1; j < row.size(); ++j) g(row.size() - 1 - j) = row(j);
  for (Index i = 0; i < column.size(); ++i) g(row.size() - 1 + i) = column(i);
  Cpu be;
  return Toeplitz<Order, T, Cpu>(be, columns_of(g).select(0, 0), column.size(), row.size());
}

/// A (x) B (x) .. of Eigen matrices.
template <class First, class... Rest>
auto kronecker(const Eigen::MatrixBase<First>& first, const Eigen::MatrixBase<Rest>&... rest) {
  using T = typename First::Scalar;
  constexpr int order = 1 + static_cast<int>(sizeof...(rest));
  const std::array<Eigen::MatrixX<T>, std::size_t{order}> matrices{first, rest...};
  std::array<View<const T, 2, Cpu>, std::size_t{order}> views;
  for (std::size_t a = 0; a < matrices.size(); ++a) views[a] = columns_of(matrices[a]).transpose(0, 1);
  Cpu be;
  return kronecker<order, T>(be, views);
}

}  // namespace m2
