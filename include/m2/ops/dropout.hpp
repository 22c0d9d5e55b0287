#pragma once

#include <cstdint>

#include "m2/ops/elements.hpp"
#include "m2/ops/random.hpp"

namespace m2 {

namespace detail {

/// Four consecutive elements (in row-major order) share the 128 bits of one counter.
template <class T, int R, bool Contiguous>
struct Dropout {
  const T* x;
  T* y;
  Extents<R> extents, x_strides, y_strides;
  Index count;
  std::uint64_t key;
  std::uint32_t threshold;
  T scale;

  M2_HD void operator()(Index group) const {
    const auto bits = random_bits(key, 0, static_cast<std::uint64_t>(group));
    for (Index lane = 0; lane < 4; ++lane) {
      const Index flat = group * 4 + lane;
      if (flat >= count) return;
      Index from = flat, to = flat;
      if constexpr (!Contiguous) {
        from = to = 0;
        Index rest = flat;
        for (int d = R - 1; d >= 0; --d) {
          const auto at = static_cast<std::size_t>(d);
          const Index next = rest / extents[at], index = rest - next * extents[at];
          from += index * x_strides[at];
          to += index * y_strides[at];
          rest = next;
        }
      }
      y[to] = bits[static_cast<std::size_t>(lane)] >= threshold ? scale * x[from] : T{0};
    }
  }
};

template <Scalar T, int R, Backend B>
void drop(B& be, const char* op, double rate, std::uint64_t key, View<const T, R, B> x, View<T, R, B> y) {
  M2_REQUIRE(x.extents() == y.extents(), op, ": the input is ", x.extents(), ", the output is ", y.extents());
  M2_REQUIRE(rate >= 0 && rate < 1, op, ": rate is ", rate, ", needed is 0 <= rate < 1");
  const auto threshold = static_cast<std::uint32_t>(rate * 0x1p32);
  const T scale = static_cast<T>(1.0 / (1.0 - rate));
  const Index count = y.size(), groups = (count + 3) / 4;
  with_constant(x.is_contiguous() && y.is_contiguous(), [&](auto contiguous) {
    be.for_each(groups, Dropout<T, R, decltype(contiguous)::value>{x.data(), y.data(), y.extents(), x.strides(),
                                                                   y.strides(), count, key, threshold, scale});
  });
}

}  // namespace detail

/// y = x mask / (1 - rate), mask 0 with probability `rate` and 1 otherwise. The mask is a pure function of the key and
/// the row-major position: word i mod 4 of random_bits(key, 0, i / 4) decides on element i, whatever the strides.
///
/// Shapes   x, y (...), equal
/// Writes   y (overwritten; may be x)
/// Errors   m2::Error if the shapes differ or rate is outside [0, 1)
/// Source   Srivastava et al. 2014 (JMLR 15)
template <Scalar T, int R, Backend B>
void dropout(B& be, double rate, std::uint64_t key, Input<T, R, B> x, View<T, R, B> y) {
  detail::drop<T, R, B>(be, "dropout", rate, key, x, y);
}

/// VJP of dropout: dx = dy mask / (1 - rate), with the mask of the forward pass.
///
/// Shapes   dy, dx (...), equal
/// Writes   dx (overwritten; may be dy)
/// Errors   m2::Error if the shapes differ or rate is outside [0, 1)
template <Scalar T, int R, Backend B>
void dropout_vjp(B& be, double rate, std::uint64_t key, Input<T, R, B> dy, View<T, R, B> dx) {
  detail::drop<T, R, B>(be, "dropout_vjp", rate, key, dy, dx);
}

}  // namespace m2
