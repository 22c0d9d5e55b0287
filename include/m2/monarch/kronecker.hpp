#pragma once

#include <array>
#include <cstddef>

#include "m2/monarch/monarch.hpp"

namespace m2 {

/// A0 (x) A1 (x) .. (x) A_{p-1}, the Kronecker product of dense matrices as a Monarch matrix: factor by factor, A_a
/// acts on digit a of the vector. (A (x) B)(C (x) D) = AC (x) BD, and so on.
///
/// Shapes   matrices[a] (rows_a, cols_a), any strides; the result is (rows_0 rows_1 ..) x (cols_0 cols_1 ..)
/// Errors   m2::Error if an extent is 0 or a size does not fit
/// Cost     the weights are copies of the matrices, parameter_count() of them; a product as of any Monarch matrix
/// Source   Van Loan 2000, "The ubiquitous Kronecker product"
template <int Order, Element T, Backend B>
Monarch<Order, T, B> kronecker(
    B& be, const std::type_identity_t<std::array<View<const T, 2, B>, static_cast<std::size_t>(Order)>>& matrices) {
  typename MonarchShape<Order>::Radices in{}, out{};
  for (std::size_t a = 0; a < matrices.size(); ++a) {
    M2_REQUIRE(matrices[a].size() > 0, "kronecker: matrix ", a, " is ", matrices[a].extents(), ", it has no elements");
    out[a] = matrices[a].extent(0), in[a] = matrices[a].extent(1);
  }
  Monarch<Order, T, B> m(MonarchShape<Order>::rectangular(in, out), be);
  for (int f = 0; f < Order; ++f) {
    const View<const T, 2, B> a = matrices[static_cast<std::size_t>(Order - 1 - f)];
    const Index cols = a.extent(1), count = a.size();
    const View<T, 4, B> weights = m.factor(f);
    T* const to = weights.data();
    be.for_each(weights.size(), [=] M2_HD(Index i) { to[i] = a(i % count / cols, i % cols); });
  }
  be.synchronize();
  return m;
}

}  // namespace m2
