#pragma once

#include <algorithm>
#include <cstdint>

#include "m2/backend/concept.hpp"
#include "m2/backend/cpu/block_solvers.hpp"
#include "m2/backend/cpu/buffer.hpp"
#include "m2/backend/cpu/gemm.hpp"
#include "m2/backend/cpu/long_convolution.hpp"
#include "m2/backend/cpu/loops.hpp"
#include "m2/backend/cpu/monarch_vjp.hpp"
#include "m2/backend/cpu/sixteen_bit.hpp"

namespace m2::inline M2_INSTRUCTION_SET {

/// The CPU backend: Eigen for matrix products, OpenMP (when the compiler has it on) for loops. It has no state; the
/// number of threads is OpenMP's own, OMP_NUM_THREADS or omp_set_num_threads. Everything is complete on return.
class Cpu {
 public:
  template <class T>
  using Buffer = detail::CpuBuffer<T>;
  using Team = detail::CpuTeam;
  /// What monarch/long_convolution.hpp runs on this backend.
  template <class T>
  using LongConvolutionPlan = detail::CpuLongConvolution<T, Cpu>;

  template <class T>
  Buffer<T> allocate(Index n) const {
    return Buffer<T>(n);
  }
  template <class T>
  void upload(const T* host, T* device, Index n) const {
    std::copy_n(host, n, device);
  }
  template <class T>
  void download(const T* device, T* host, Index n) const {
    std::copy_n(device, n, host);
  }
  void synchronize() const {}

  template <class F>
  void for_each(Index n, F&& f) const {
    detail::cpu_for_each(n, f);
  }
  template <class F>
  void for_rows(Index rows, Index width, F&& f, Index depth = 1) const {
    detail::cpu_for_rows(rows, width, f, depth);
  }
  template <class F>
  double sum(Index n, F&& f) const {
    return detail::cpu_sum(n, f);
  }
  template <Element T>
  void gemm(Input<T, 4, Cpu> a, Input<T, 4, Cpu> b, View<T, 4, Cpu> c, bool accumulate) const {
    detail::cpu_gemm(a, b, c, accumulate);
  }
  template <Scalar T>
  void scatter_add_rows(View<const std::int32_t, 1, Cpu> ids, Input<T, 2, Cpu> rows, View<T, 2, Cpu> table) const {
    const Index width = table.extent(1);
    const Index parts = rows.extent(0) * width >= detail::parallel_threshold ? detail::available_threads() : 1;
    detail::parallel_parts(parts, static_cast<int>(parts),
                           [&](Index part) {  // a thread owns columns: rows stay in order
                             const Index begin = width * part / parts, end = width * (part + 1) / parts;
                             for (Index r = 0; r < rows.extent(0); ++r) {
                               const Index id = ids(r);
                               for (Index j = begin; j < end; ++j) table(id, j) += rows(r, j);
                             }
                           });
  }

  /// LU decompositions of blocks, in place, and solves with them; monarch/inverse.hpp checks shapes and calls these.
  template <Element T>
  Index lu_blocks(View<T, 3, Cpu> blocks, View<std::int32_t, 2, Cpu> order) const {
    return detail::cpu_lu_blocks(blocks, order);
  }
  template <Element T>
  void lu_solve(Input<T, 3, Cpu> lu, Input<std::int32_t, 2, Cpu> order, View<T, 4, Cpu> x, bool adjoint) const {
    detail::cpu_lu_solve<T, Cpu>(lu, order, x, adjoint);
  }

  /// The Monarch multiply and its VJP; monarch/multiply.hpp checks shapes and calls these.
  template <Element T>
  M2_INLINE void monarch_multiply(const detail::MonarchCall<T>& call, Input<T, 2, Cpu> x, View<T, 2, Cpu> y) const {
    if constexpr (Scalar<T>) {
      // One vector is asked for first: the smallest product takes as long as the other questions.
      if (call.packed != nullptr && call.batch == 1 && (x.extent(1) == 1 || x.stride(1) == 1) &&
          (y.extent(1) == 1 || y.stride(1) == 1))
        return detail::multiply_row(call, call.packed, x.data(), y.data());
    }
    detail::cpu_monarch_multiply<T>(call, vectors_of(x), vectors_of(y));
  }
  template <Element T>
  void monarch_multiply_vjp(const detail::MonarchCall<T>& call, Input<T, 2, Cpu> x, Input<T, 2, Cpu> dy,
                            View<T, 2, Cpu> dx, std::span<T* const> dweights) const {
    detail::cpu_monarch_multiply_vjp<T>(call, vectors_of(x), vectors_of(dy), vectors_of(dx), dweights);
  }

  /// Weights in the order of the kernels for contiguous features; monarch/packed.hpp calls these. 0 if there is none.
  template <Element T>
  Index packed_size(const detail::MonarchCall<T>& call) const {
    if constexpr (Scalar<T>) {
      if (detail::packable<T>(call.factors)) return detail::packed_size<T>(call.factors);
    }
    return 0;
  }
  template <Element T>
  void pack_monarch(const detail::MonarchCall<T>& call, T* packed) const {
    if constexpr (Scalar<T>) detail::pack_weights(call, packed);
  }

 private:
  /// The rows of a view. Where an extent is 1, any stride is right, and that of a contiguous view is taken.
  template <class T>
  static detail::Vectors<T> vectors_of(View<T, 2, Cpu> view) {
    return {view.data(), view.extent(1) == 1 ? 1 : view.stride(1),
            view.extent(0) == 1 ? view.extent(1) : view.stride(0)};
  }
};

static_assert(Backend<Cpu>);

}  // namespace m2::inline M2_INSTRUCTION_SET
