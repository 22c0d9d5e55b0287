#pragma once

#include <Eigen/LU>
#include <cmath>
#include <cstdint>
#include <vector>

#include "m2/backend/cpu/gemm.hpp"

/// LU decompositions of many small matrices, one for each block of a Monarch factor, and solves with them.
namespace m2::detail::inline M2_INSTRUCTION_SET {

template <class T>
using EigenBlock = Eigen::Map<EigenMatrix<T, Eigen::RowMajor>>;

/// True when a pivot is no larger than the rounding error of its own computation, u_kk = a_kk - sum_i l_ki u_ik: such a
/// block is singular as far as T can tell. The test does not change when rows or columns are scaled.
template <class T>
bool has_lost_pivot(const EigenBlock<T>& lu) {
  using Real = RealOf<T>;
  const Real eps = static_cast<Real>(lu.rows()) * Eigen::NumTraits<Real>::epsilon();
  for (Index k = 0; k < lu.rows(); ++k) {
    const Real pivot = std::abs(lu(k, k));
    Real terms = 0;
    for (Index i = 0; i < k; ++i) terms += std::abs(lu(k, i) * lu(i, k));
    if (!(pivot > eps * terms) || !std::isfinite(pivot)) return true;
  }
  return false;
}

/// P A = L U of every block in place, L with a unit diagonal; order(b, k) is where P puts row k of block b. Returns the
/// first singular block, or -1.
template <class T, class B>
Index cpu_lu_blocks(View<T, 3, B> blocks, View<std::int32_t, 2, B> order) {
  const Index count = blocks.extent(0), n = blocks.extent(1);
  const double flops = static_cast<double>(count) * std::pow(static_cast<double>(n), 3);
  std::vector<char> singular(static_cast<std::size_t>(count));
  parallel_parts(count, flops > 1e5 ? available_threads() : 1, [&](Index b) {
    EigenBlock<T> block(blocks.data() + b * n * n, n, n);
    Eigen::Ref<EigenMatrix<T, Eigen::RowMajor>> in_place(block);
    const Eigen::PartialPivLU<Eigen::Ref<EigenMatrix<T, Eigen::RowMajor>>> lu(in_place);
    for (Index k = 0; k < n; ++k) order(b, k) = lu.permutationP().indices()(k);
    singular[static_cast<std::size_t>(b)] = has_lost_pivot<T>(block) ? 1 : 0;
  });
  for (Index b = 0; b < count; ++b)
    if (singular[static_cast<std::size_t>(b)] != 0) return b;
  return -1;
}

/// x := A^-1 x, or A^-H x with adjoint, for every block: two triangular solves. x (outer, inner, n, batch), the last
/// dimension contiguous; block b = outer index * inner + inner index. Threads share blocks, and the batch where there
/// are fewer blocks than threads.
template <class T, class B>
void cpu_lu_solve(View<const T, 3, B> lu, View<const std::int32_t, 2, B> order, View<T, 4, B> x, bool adjoint) {
  const Index count = lu.extent(0), n = lu.extent(1), batch = x.extent(3);
  M2_REQUIRE(x.extent(0) * x.extent(1) == count && x.extent(2) == n && (x.stride(3) == 1 || batch == 1),
             "lu_solve: the blocks are ", lu.extents(), ", x is ", x.extents(), " with strides ", x.strides());
  if (batch == 0) return;
  const double flops = 2.0 * static_cast<double>(count * n) * static_cast<double>(n * batch);
  const int threads = flops > 1e5 ? available_threads() : 1;
  const Index splits = count >= threads ? 1 : std::min<Index>(threads, batch);
  parallel_parts(count * splits, threads, [&](Index part) {
    const Index b = part / splits, split = part % splits;
    const Index begin = batch * split / splits, columns = batch * (split + 1) / splits - begin;
    const Eigen::Map<const EigenMatrix<T, Eigen::RowMajor>> block(lu.data() + b * n * n, n, n);
    const Eigen::Map<const Eigen::Matrix<std::int32_t, Eigen::Dynamic, 1>> places(&order(b, 0), n);
    const auto p = places.asPermutation();
    Eigen::Map<EigenMatrix<T, Eigen::RowMajor>, 0, Eigen::OuterStride<>> rows(
        x.data() + b / x.extent(1) * x.stride(0) + b % x.extent(1) * x.stride(1) + begin, n, columns,
        Eigen::OuterStride<>(n == 1 ? columns : x.stride(2)));
    if (adjoint) {
      block.template triangularView<Eigen::Upper>().adjoint().solveInPlace(rows);
      block.template triangularView<Eigen::UnitLower>().adjoint().solveInPlace(rows);
      rows = p.transpose() * rows;
    } else {
      rows = p * rows;
      block.template triangularView<Eigen::UnitLower>().solveInPlace(rows);
      block.template triangularView<Eigen::Upper>().solveInPlace(rows);
    }
  });
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
