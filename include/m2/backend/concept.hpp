#pragma once

#include <concepts>
#include <cstdint>

#include "m2/core/scalar.hpp"
#include "m2/core/tensor.hpp"

namespace m2 {

namespace detail {

/// Probes: the shapes of function that a backend must be able to run.
struct EachProbe {
  M2_HD void operator()(Index) const {}
};
struct TermProbe {
  M2_HD double operator()(Index) const { return 0; }
};
template <class Team>
struct RowProbe {
  M2_HD void operator()(Index, const Team& team) const {
    team.each(EachProbe{});
    (void)team.sum(TermProbe{});
    (void)team.max(TermProbe{});
  }
};

}  // namespace detail

/// The closed list of what a backend provides. Every op, module and model of m2 is written on these functions; the
/// Monarch multiply and the long convolution may have kernels of their own beside them.
///
/// allocate<T>(n)             a Buffer<T>: owns n zeroed elements, movable, data(); m2::Error if n < 0 or
///                            above 2^62 bytes
/// upload(host, device, n)    copies n elements from host memory (asynchronous where the backend is)
/// download(device, host, n)  copies n elements to host memory, complete on return
/// synchronize()              returns when all work asked for is done
/// for_each(n, f)             f(i) for i in [0, n), in any order
/// for_rows(rows, width, f)   f(row, team) for every row, team a `const Team&`; team.each(g) runs g(j) for j in
///                            [0, width), team.sum(g), team.max(g) reduce g(j) over the row, the same bits on every run
/// sum(n, f)                  sum of f(i) over [0, n) in double, the same bits for any number of threads
/// gemm(a, b, c, accumulate)  c[i,j] (+)= a[i,j] b[i,j] for every pair (i, j) of the two leading dimensions:
///                            a (g1, g2, m, k), b (g1, g2, k, n), c (g1, g2, m, n), any strides; a and b may repeat
///                            along a leading dimension by stride 0
/// scatter_add_rows(ids, rows, table)   table[ids[r]] += rows[r], rows in order
template <class B>
concept Backend = std::default_initializable<B> &&
    requires(B& be, const float* host, float* device, Index n, View<const std::int32_t, 1, B> ids,
             View<const float, 2, B> rows, View<float, 2, B> table, View<const float, 4, B> a, View<float, 4, B> c) {
  typename B::template Buffer<float>;
  { be.template allocate<float>(n) } -> std::same_as<typename B::template Buffer<float>>;
  be.upload(host, device, n);
  be.download(static_cast<const float*>(device), device, n);
  be.synchronize();
  be.for_each(n, detail::EachProbe{});
  be.for_rows(n, n, detail::RowProbe<typename B::Team>{});
  { be.sum(n, detail::TermProbe{}) } -> std::convertible_to<double>;
  be.gemm(a, a, c, true);
  be.scatter_add_rows(ids, rows, table);
};

/// c (+)= a b for single matrices: a (m, k), b (k, n), c (m, n), any strides.
template <Element T, Backend B>
void gemm(B& be, Input<T, 2, B> a, Input<T, 2, B> b, View<T, 2, B> c, bool accumulate = false) {
  be.gemm(View<const T, 4, B>(a.data(), {1, 1, a.extent(0), a.extent(1)}, {0, 0, a.stride(0), a.stride(1)}),
          View<const T, 4, B>(b.data(), {1, 1, b.extent(0), b.extent(1)}, {0, 0, b.stride(0), b.stride(1)}),
          View<T, 4, B>(c.data(), {1, 1, c.extent(0), c.extent(1)}, {0, 0, c.stride(0), c.stride(1)}), accumulate);
}

}  // namespace m2
