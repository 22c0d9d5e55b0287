#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "m2/core/tensor.hpp"
#include "m2/monarch/multiply.hpp"
#include "m2/monarch/projection_chain.hpp"

namespace m2 {

/// The Monarch matrices to project to, by their radices: {.radices = {64, 64}} are the square ones of 4096 x 4096. Any
/// other set is a MonarchShape, which project takes instead.
template <int Order>
struct ProjectionOptions {
  typename MonarchShape<Order>::Radices radices{};      ///< of the input, and of the output if nothing else is said
  typename MonarchShape<Order>::Radices out_radices{};  ///< of the output
  Index rank = 1;                                       ///< of the slices; order 2 only

  /// Errors   m2::Error if a radix is less than 1, if the rank is less than 1 or more than a slice can have, or other
  ///          than 1 where Order is not 2
  MonarchShape<Order> shape() const {
    const auto& out = out_radices == typename MonarchShape<Order>::Radices{} ? radices : out_radices;
    const auto shape = MonarchShape<Order>::rectangular(radices, out);
    M2_REQUIRE(rank >= 1, "project: the rank is ", rank, ", at least 1 is needed");
    if (rank == 1) return shape;
    if constexpr (Order == 2) {
      M2_REQUIRE(rank <= std::min(out[0], radices[1]), "project: slices of a ", shape, " matrix with radices ", radices,
                 " are (", out[0], ", ", radices[1], "), their rank cannot be ", rank);
      return MonarchShape<2>::butterfly(radices[0], detail::checked_product(rank, out[1]), radices[1], out[1], out[0],
                                        detail::checked_product(rank, radices[0]));
    }
    M2_REQUIRE(Order == 2, "project: rank ", rank, " is for two factors, these are ", Order);
    return shape;
  }
};

namespace detail {

struct AnyLowRankBody {
  template <class LowRank>
  void operator()(Index, LowRank&) const {}
};

/// A backend that approximates many small matrices; Cpu, with backend/cpu/low_rank.hpp.
template <class B, class W>
concept HasLowRank = requires(const B& be, AnyLowRankBody body) {
  for_each_low_rank(be, W(0), Index{0}, body);
};

}  // namespace detail

/// m becomes a Monarch matrix near a dense one, of m's shape; returns the error |dense - m| / |dense| in the Frobenius
/// norm, before the weights are rounded to T (0 for a zero matrix).
///
/// Two factors: the nearest Monarch matrix there is. Outputs of a block of the second factor and inputs of a block of
/// the first one are joined by the positions of the middle vector that both blocks have. These parts, the slices, are
/// disjoint and cover the matrix, and each can be any matrix whose rank is the number of those positions: a truncated
/// SVD of every slice is optimal. That holds for every shape of two factors: mixed radices, rectangular, rank r, and
/// MonarchShape<2>::linear with any number of blocks, where the ranks differ from slice to slice unless the blocks
/// divide the middle size, and are 0 for some slices if there are more blocks than that.
///
/// Three or more factors: one factor after the other is split off by such SVDs of rank 1, first the one that meets the
/// input. A Monarch matrix is found again, and otherwise the error is at most sqrt(Order - 1) times that of the nearest
/// Monarch matrix. (Rows of a factor that was split off have norm 1, so that the lost parts are orthogonal and their
/// squares add up; and what is left of the nearest matrix is no farther from what is left of the dense one, and still
/// Monarch, so that no step loses more than the whole distance.) One factor: the blocks are copied.
///
/// Padded rows and columns of the shape are free, and become zero. The weights on both sides of a middle position get
/// the same norm.
///
/// Shapes   dense (out_features, in_features), any strides; complex only if m is
/// Writes   m (overwritten)
/// Errors   m2::Error if dense does not fit, has an element that is not finite, or a weight overflows T; or if a chain
///          of three or more factors has several ways from an input to an output but through its last two
/// Cost     order 2, square: N slices of sqrt(N) x sqrt(N), O(N^(5/2)); slices in parallel, with the same bits on any
///          number of threads if there is more than one. CPU only, and the caller includes m2/projection.hpp, which has
///          the eigensolver. Computes in double; working memory for the weights, and for the chain that is left, in
///          double: N^(1 + 1/p) or for long chains up to N^2 / 2 elements
/// Source   Dao et al. 2022 (arXiv:2204.00595) Sec. 3.1; m2-reference section 1.5. The bound is that of sequential
///          truncation: Vannieuwenhoven et al. 2012, SIAM J. Sci. Comput. 34(2)
template <int Order, Element T, class U, Backend B>
requires Element<std::remove_const_t<U>>
double project(B& be, View<U, 2, B> dense, const MonarchView<Order, T, B>& m) {
  using From = std::remove_const_t<U>;
  static_assert(ComplexScalar<T> || !ComplexScalar<From>,
                "project: a complex matrix has no projection to real Monarch matrices; take its real part.");
  static_assert(detail::HasLowRank<B, WideOf<T>>, "project: only Cpu can; include <m2/projection.hpp>.");
  M2_REQUIRE(dense.extent(0) == m.shape.out_features() && dense.extent(1) == m.shape.in_features(),
             "project: the dense matrix is ", dense.extent(0), " x ", dense.extent(1), ", the Monarch matrix ",
             m.shape);
  const View<const From, 2, B> read = dense;
  const double largest = detail::largest_element(read);
  const double scale = largest > 0 ? largest : 1;
  detail::Projection<Order, WideOf<T>> projection(m.shape);
  const double error = projection.run(be, read, scale);
  projection.store(m);
  return largest > 0 ? error / std::sqrt(detail::scaled_energy(be, read, scale)) : 0;
}

/// The (b1, b2) form of the reference code's BlockdiagButterflyLinear, nearest to a dense matrix: first weights w1,
/// second weights w2, whose rows and columns are pairs,
///
///   y[(l j + g) b2 + z] = sum_(k, c) w2[g, l b2 + z, k b1 + c] sum_i w1[k, g b1 + c, i] x[k n + i],  g < j, c < b1,
///
/// where j and n are extents of w2 and w1. Up to the order of outputs these are the Monarch matrices of rank b1.
///
/// Shapes   dense (l j b2, k n), w1 (k, j b1, n), w2 (j, l b2, k b1), any strides
/// Writes   w1, w2 (overwritten); returns the relative Frobenius error, as project does
/// Errors   m2::Error if these shapes do not fit one another, and as project
/// Cost     that of project, and a copy of the dense matrix
/// Source   m2-reference section 1.4 B and 1.5
template <Element T, class U, Backend B>
requires Element<std::remove_const_t<U>>
double project_blockdiag_butterfly(B& be, View<U, 2, B> dense, View<T, 3, B> w1, View<T, 3, B> w2, Index b2) {
  using From = std::remove_const_t<U>;
  const Index k = w1.extent(0), n = w1.extent(2), j = w2.extent(0), rows = w2.extent(1);
  M2_REQUIRE(k >= 1 && n >= 1 && j >= 1 && rows >= 1 && b2 >= 1 && rows % b2 == 0 && w2.extent(2) >= 1 &&
                 w2.extent(2) % k == 0 && w1.extent(1) == j * (w2.extent(2) / k) && dense.extent(0) == rows * j &&
                 dense.extent(1) == k * n,
             "project_blockdiag_butterfly: dense is ", dense.extents(), ", w1 is ", w1.extents(), ", w2 is ",
             w2.extents(), ", b2 is ", b2, "; (l j b2, k n), (k, j b1, n) and (j, l b2, k b1) are needed");
  const Index b1 = w2.extent(2) / k;
  Tensor<From, 2, B> sorted(be, {rows * j, k * n});  // outputs as (l, z, g) instead of (l, g, z)
  const View<From, 2, B> to = sorted.view();
  be.for_each(rows * j, [=](Index row) {
    const Index g = row % j, z = row / j % b2, l = row / j / b2;
    for (Index col = 0; col < to.extent(1); ++col) to(row, col) = dense((l * j + g) * b2 + z, col);
  });
  const auto shape = MonarchShape<2>::butterfly(k, b1 * j, n, j, rows, k * b1);
  Tensor<T, 1, B> weights(be, {shape.parameter_count()});
  const auto m = monarch_view(shape, weights.view());
  const double error = project(be, sorted.cview(), m);
  const View<T, 4, B> first = m.factor(0), second = m.factor(1);
  be.for_each(k * j * b1, [=](Index i) {
    const Index block = i / (j * b1), g = i / b1 % j, c = i % b1;
    for (Index d = 0; d < n; ++d) w1(block, g * b1 + c, d) = first(block, 0, c * j + g, d);
  });
  be.for_each(j * rows, [=](Index i) {
    for (Index c = 0; c < k * b1; ++c) w2(i / rows, i % rows, c) = second(0, i / rows, i % rows, c);
  });
  return error;
}

}  // namespace m2
