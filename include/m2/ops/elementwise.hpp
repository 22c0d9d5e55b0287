#pragma once

#include <array>
#include <concepts>
#include <type_traits>

#include "m2/ops/elements.hpp"

namespace m2 {

namespace detail {

template <class T>
struct Fill {
  T value;
  M2_HD M2_INLINE void operator()(T& y) const { y = value; }
};

struct Copy {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, T& y) const {
    y = x;
  }
};

struct Add {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& a, const T& b, T& y) const {
    y = a + b;
  }
};

struct Accumulate {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, T& y) const {
    y += x;
  }
};

template <class T>
struct Scale {
  T alpha;
  M2_HD M2_INLINE void operator()(const T& x, T& y) const { y = alpha * x; }
};

struct Multiply {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& a, const T& b, T& y) const {
    y = a * b;
  }
};

struct MultiplyVjp {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& a, const T& b, const T& dy, T& da, T& db) const {
    const T cotangent = dy, left = a, right = b;  // read first: da or db may be one of the inputs
    da = right * cotangent;
    db = left * cotangent;
  }
};

struct ColumnSum {
  template <class T>
  M2_HD M2_INLINE void operator()(Index, const T& x, T (&sums)[1]) const {
    sums[0] += x;
  }
};

/// Copies square tiles between arrays whose contiguous dimensions differ (x's is `across`, y's the innermost): every
/// cache line of both sides is used whole while it is in the cache.
template <class T, int R>
struct CopyTiles {
  Walk<T, R, 2> walk;  // x, y
  int across;
  Index tiles_down, tiles_right;

  static constexpr Index side = 32;

  template <class Team>
  M2_HD M2_INLINE void operator()(Index tile, const Team& team) const {
    const auto down = static_cast<std::size_t>(across), right = static_cast<std::size_t>(walk.rank - 1);
    Index rest = tile / tiles_right;
    const Index column = (tile - rest * tiles_right) * side;
    const Index row = rest % tiles_down * side;
    rest /= tiles_down;
    const T* from = walk.data[0] + row * walk.strides[0][down] + column * walk.strides[0][right];
    T* to = walk.data[1] + row * walk.strides[1][down] + column * walk.strides[1][right];
    for (int d = walk.rank - 2; d >= 0; --d) {
      if (d == across) continue;
      const auto at = static_cast<std::size_t>(d);
      const Index index = rest % walk.extents[at];
      rest /= walk.extents[at];
      from += index * walk.strides[0][at];
      to += index * walk.strides[1][at];
    }
    const Index rows = walk.extents[down] - row < side ? walk.extents[down] - row : side;
    const Index columns = walk.extents[right] - column;
    const Index from_step = walk.strides[0][right], to_step = walk.strides[1][down];
    for (Index i = 0; i < rows; ++i) {
      const T* source = from + i;
      T* target = to + i * to_step;
      team.each([&](Index j) {
        if (j < columns) target[j] = source[j * from_step];
      });
    }
  }
};

}  // namespace detail

/// y = value, everywhere.
///
/// Shapes   y (...)
/// Writes   y (overwritten)
template <Scalar T, int R, Backend B>
void fill(B& be, std::type_identity_t<T> value, View<T, R, B> y) {
  detail::for_elements(be, detail::Fill<T>{value}, y);
}

/// y = x. Strides may differ, so this is also how to transpose in memory: copy(be, x.transpose(0, 1), y).
///
/// Shapes   x, y (...), equal
/// Writes   y (overwritten); x and y do not overlap unless they are the same view
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void copy(B& be, Input<T, R, B> x, View<T, R, B> y) {
  M2_REQUIRE(x.extents() == y.extents(), "copy: x is ", x.extents(), ", y is ", y.extents());
  if (y.size() == 0) return;
  const auto walk =
      detail::make_walk<T, R, 2>(y.extents(), {const_cast<T*>(x.data()), y.data()}, {x.strides(), y.strides()});
  for (int d = 0; d < walk.rank - 1 && walk.stride(0) != 1 && walk.stride(1) == 1; ++d) {
    if (walk.strides[0][static_cast<std::size_t>(d)] != 1) continue;
    using Tiles = detail::CopyTiles<T, R>;
    const Index height = walk.extents[static_cast<std::size_t>(d)];
    const Tiles tiles{walk, d, (height + Tiles::side - 1) / Tiles::side,
                      (walk.width() + Tiles::side - 1) / Tiles::side};
    const Index outer = y.size() / (height * walk.width());
    return detail::for_deep_rows(be, outer * tiles.tiles_down * tiles.tiles_right, Tiles::side, Tiles::side, tiles);
  }
  detail::for_elements(be, detail::Copy{}, x, y);
}

/// y = a + b.
///
/// Shapes   a, b, y (...), equal
/// Writes   y (overwritten; may be a or b)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void add(B& be, Input<T, R, B> a, Input<T, R, B> b, View<T, R, B> y) {
  M2_REQUIRE(a.extents() == y.extents() && b.extents() == y.extents(), "add: a is ", a.extents(), ", b is ",
             b.extents(), ", y is ", y.extents());
  detail::for_elements(be, detail::Add{}, a, b, y);
}

/// y += x.
///
/// Shapes   x, y (...), equal
/// Writes   y (accumulated)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void accumulate(B& be, Input<T, R, B> x, View<T, R, B> y) {
  M2_REQUIRE(x.extents() == y.extents(), "accumulate: x is ", x.extents(), ", y is ", y.extents());
  detail::for_elements(be, detail::Accumulate{}, x, y);
}

/// y = alpha x.
///
/// Shapes   x, y (...), equal
/// Writes   y (overwritten; may be x)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void scale(B& be, std::type_identity_t<T> alpha, Input<T, R, B> x, View<T, R, B> y) {
  M2_REQUIRE(x.extents() == y.extents(), "scale: x is ", x.extents(), ", y is ", y.extents());
  detail::for_elements(be, detail::Scale<T>{alpha}, x, y);
}

/// y = a * b, element by element.
///
/// Shapes   a, b, y (...), equal
/// Writes   y (overwritten; may be a or b)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void multiply(B& be, Input<T, R, B> a, Input<T, R, B> b, View<T, R, B> y) {
  M2_REQUIRE(a.extents() == y.extents() && b.extents() == y.extents(), "multiply: a is ", a.extents(), ", b is ",
             b.extents(), ", y is ", y.extents());
  detail::for_elements(be, detail::Multiply{}, a, b, y);
}

/// VJP of multiply: da = b * dy, db = a * dy.
///
/// Shapes   a, b, dy, da, db (...), equal
/// Writes   da, db (overwritten; each may be one of a, b, dy)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void multiply_vjp(B& be, Input<T, R, B> a, Input<T, R, B> b, Input<T, R, B> dy, View<T, R, B> da, View<T, R, B> db) {
  M2_REQUIRE(a.extents() == dy.extents() && b.extents() == dy.extents() && da.extents() == dy.extents() &&
                 db.extents() == dy.extents(),
             "multiply_vjp: a is ", a.extents(), ", b is ", b.extents(), ", dy is ", dy.extents(), ", da is ",
             da.extents(), ", db is ", db.extents());
  detail::for_elements(be, detail::MultiplyVjp{}, a, b, dy, da, db);
}

/// y(..., c) += bias(c).
///
/// Shapes   bias (channels), y (..., channels)
/// Writes   y (accumulated)
/// Errors   m2::Error if the last extents differ
template <Scalar T, int R, Backend B>
void add_bias(B& be, Input<T, 1, B> bias, View<T, R, B> y) {
  M2_REQUIRE(bias.extent(0) == y.extent(R - 1), "add_bias: bias is ", bias.extents(), ", y is ", y.extents());
  detail::for_elements(be, detail::Accumulate{}, detail::repeat_rows<R>(bias, y.extents()), y);
}

/// VJP of add_bias: dbias(c) += sum of dy(..., c). The cotangent of the array it was added to is dy itself.
///
/// Shapes   dy (..., channels), dbias (channels)
/// Writes   dbias (accumulated, in a fixed order)
/// Errors   m2::Error if the last extents differ
template <Scalar T, int R, Backend B, class U>
requires(std::same_as<std::remove_const_t<U>, T>) void add_bias_vjp(B& be, View<U, R, B> dy, View<T, 1, B> dbias) {
  M2_REQUIRE(dy.extent(R - 1) == dbias.extent(0), "add_bias_vjp: dy is ", dy.extents(), ", dbias is ", dbias.extents());
  detail::sum_columns(be, detail::ColumnSum{}, std::array{dbias}, dy);
}

}  // namespace m2
