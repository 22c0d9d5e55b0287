#pragma once

#include <cstdint>

#include "m2/ops/elements.hpp"
#include "m2/ops/random.hpp"

namespace m2 {

namespace detail {

/// Four consecutive elements of contiguous arrays, which share the 128 bits of one counter.
template <class T>
struct DropoutFour {
  const T* x;
  T* y;
  std::uint64_t key;
  std::uint32_t threshold;
  T scale;

  M2_HD M2_INLINE void operator()(Index group) const {
    // random_bits(key, 0, group), in plain numbers: with an array g++ makes no SIMD code of this.
    const auto index = static_cast<std::uint64_t>(group);
    auto b0 = static_cast<std::uint32_t>(index), b1 = static_cast<std::uint32_t>(index >> 32);
    std::uint32_t b2 = 0, b3 = 0;
    philox_rounds(b0, b1, b2, b3, static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32));
    const T* from = x + group * 4;
    T* to = y + group * 4;
    const T a = scale * from[0], b = scale * from[1], c = scale * from[2], d = scale * from[3];
    to[0] = b0 >= threshold ? a : T{0};
    to[1] = b1 >= threshold ? b : T{0};
    to[2] = b2 >= threshold ? c : T{0};
    to[3] = b3 >= threshold ? d : T{0};
  }
};

/// Element first + i in row-major order, of arrays with any strides.
template <class T, int R>
struct DropoutOne {
  const T* x;
  T* y;
  Extents<R> extents, x_strides, y_strides;
  Index first;
  std::uint64_t key;
  std::uint32_t threshold;
  T scale;

  M2_HD M2_INLINE void operator()(Index i) const {
    const auto flat = static_cast<std::uint64_t>(first + i);
    const auto bits = random_bits(key, 0, flat / 4);
    Index rest = first + i, from = 0, to = 0;
    for (int d = R - 1; d >= 0; --d) {
      const auto at = static_cast<std::size_t>(d);
      const Index next = rest / extents[at], index = rest - next * extents[at];
      from += index * x_strides[at];
      to += index * y_strides[at];
      rest = next;
    }
    y[to] = bits[static_cast<std::size_t>(flat % 4)] >= threshold ? scale * x[from] : T{0};
  }
};

template <Scalar T, int R, Backend B>
void drop(B& be, const char* op, double rate, std::uint64_t key, View<const T, R, B> x, View<T, R, B> y) {
  M2_REQUIRE(x.extents() == y.extents(), op, ": the input is ", x.extents(), ", the output is ", y.extents());
  M2_REQUIRE(rate >= 0 && rate < 1, op, ": rate is ", rate, ", needed is 0 <= rate < 1");
  const auto threshold = static_cast<std::uint32_t>(rate * 0x1p32);
  const T scale = static_cast<T>(1.0 / (1.0 - rate));
  const Index fours = x.is_contiguous() && y.is_contiguous() ? y.size() / 4 : 0;
  be.for_each(fours, DropoutFour<T>{x.data(), y.data(), key, threshold, scale});
  be.for_each(y.size() - 4 * fours, DropoutOne<T, R>{x.data(), y.data(), y.extents(), x.strides(), y.strides(),
                                                     4 * fours, key, threshold, scale});
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
