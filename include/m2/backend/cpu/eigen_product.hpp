#pragma once

#include <Eigen/Core>

#include "m2/backend/cpu/scratch.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

struct LeftPacking;
struct RightPacking;

/// Where Eigen's large product packs its operands: memory of the thread. Eigen itself takes it from the heap, anew in
/// every call.
template <class T>
class PackingMemory : public Eigen::internal::level3_blocking<T, T> {
 public:
  PackingMemory(Index rows, Index cols, Index depth) {
    this->m_mc = rows, this->m_nc = cols, this->m_kc = depth;
    Eigen::internal::computeProductBlockingSizes<T, T>(this->m_kc, this->m_mc, this->m_nc, Index{1});
    this->m_blockA = thread_scratch<LeftPacking, T>(this->m_kc * this->m_mc);
    this->m_blockB = thread_scratch<RightPacking, T>(this->m_kc * this->m_nc);
  }
};

/// c += a b of Eigen Maps with unit inner strides, c column-major, on one thread.
template <class Left, class Right, class Out>
void eigen_add_product(const Left& a, const Right& b, Out& c) {
  using T = typename Out::Scalar;
  constexpr int left_order = Left::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor;
  constexpr int right_order = Right::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor;
  using Product = Eigen::internal::general_matrix_matrix_product<Index, T, left_order, false, T, right_order, false,
                                                                 Eigen::ColMajor, 1>;
  const Index rows = c.rows(), cols = c.cols(), depth = a.cols();
  // What Eigen computes without packing, its own way; so do versions whose product is called otherwise.
  const bool packed = rows > 1 && cols > 1 && rows + cols + depth >= 20;
  if constexpr (requires(PackingMemory<T> & memory, T * out, const T* in) {
                  Product::run(rows, cols, depth, in, depth, in, depth, out, Index{1}, depth, T(1), memory);
                }) {
    if (packed) {
      PackingMemory<T> memory(rows, cols, depth);
      Product::run(rows, cols, depth, a.data(), a.outerStride(), b.data(), b.outerStride(), c.data(), Index{1},
                   c.outerStride(), T(1), memory);
      return;
    }
  }
  c.noalias() += a * b;
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
