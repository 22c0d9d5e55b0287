#pragma once

#include <algorithm>
#include <type_traits>

#include "m2/backend/cpu/scratch.hpp"
#include "m2/backend/cpu/transpose.hpp"
#include "m2/core/scalar.hpp"

/// How vectors of the batch enter and leave the tiles that the Monarch kernels compute with.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Vectors in the caller's memory: element (feature, vector) at data[feature * feature_stride + vector * batch_stride].
template <class T>
struct Vectors {
  T* data;
  Index feature_stride, batch_stride;

  Vectors at(Index vector) const { return {data + vector * batch_stride, feature_stride, batch_stride}; }
};

/// The same vectors where kernels work on them: the batch is contiguous, in the type of sums; complex numbers are
/// split, the plane of imaginary parts of a feature behind the plane of its real parts. After every `group` features
/// there is a gap: the digits of a block that lie `group` features apart would otherwise share few cache sets where
/// that is a power of two. A `far` tile is the caller's, and not in the second-level cache; a `streamed` one need not
/// be in any when it is written.
template <class R>
struct VectorTile {
  R* data;
  Index stride, plane;  ///< from a feature to the next, from real to imaginary parts
  Index group = 1, gap = 0;
  bool far = false, streamed = false;

  R* feature(Index f) const { return data + distance(f); }
  /// From a feature to the one n behind it, if it is the first of a group, or no group ends between the two.
  Index distance(Index n) const { return n * stride + (gap == 0 ? 0 : n / group * gap); }
  /// The tile from the first feature of a group on.
  VectorTile from_feature(Index f) const { return {feature(f), stride, plane, group, gap, far, streamed}; }
  template <class C>
  requires(std::is_same_v<C, const R> && !std::is_const_v<R>) operator VectorTile<C>() const {
    return {data, stride, plane, group, gap, far, streamed};
  }
};

/// Element i of an array in planes: (re, im) pairs split, 16-bit numbers converted.
template <class T, class R>
void split_numbers(const T* from, Index step, Index count, R* to, Index to_step, Index plane) {
  for (Index i = 0; i < count; ++i) {
    if constexpr (planes_of<T> == 2) {
      to[i * to_step] = from[i * step].real(), to[plane + i * to_step] = from[i * step].imag();
    } else {
      to[i * to_step] = static_cast<R>(from[i * step]);
    }
  }
}
template <class T, class R>
void join_numbers(const R* from, Index from_step, Index plane, Index count, T* to, Index step) {
  for (Index i = 0; i < count; ++i) {
    if constexpr (planes_of<T> == 2) {
      to[i * step] = T(from[i * from_step], from[plane + i * from_step]);
    } else {
      to[i * step] = static_cast<T>(from[i * from_step]);
    }
  }
}

struct VectorRowScratch;

/// Reads `features` features of `batch` vectors, and zeroes the features above and the vectors behind them up to
/// `padded` and `width`. Reads and writes both run along their own contiguous dimension: where a stride is a power of
/// two, a plain transposition would touch one element each of many cache lines that all belong to one cache set.
template <class T, class R>
void load_vectors(Vectors<const T> from, VectorTile<R> to, Index features, Index padded, Index batch, Index width) {
  constexpr Index planes = planes_of<T>, lanes = Lanes<R>::count;
  const Index row = features * planes;  // a complex vector is a row of real numbers, and planes are its columns
  if (from.batch_stride == 1) {
    for (Index f = 0; f < features; ++f)
      split_numbers<T, R>(from.data + f * from.feature_stride, 1, batch, to.feature(f), 1, to.plane);
  } else if (from.feature_stride == 1 && !SixteenBit<T>) {
    transpose(reinterpret_cast<const R*>(from.data), from.batch_stride * planes, batch, row, to.data,
              to.stride / planes);
  } else {
    R* rows = thread_scratch<VectorRowScratch, R>(lanes * row);
    for (Index b = 0; b < batch; b += lanes) {
      const Index count = std::min(lanes, batch - b);
      for (Index r = 0; r < count; ++r)
        split_numbers<T, R>(from.at(b + r).data, from.feature_stride, features, rows + r * row, planes, 1);
      transpose(rows, row, count, row, to.data + b, to.stride / planes);
    }
  }
  for (Index f = 0; f < padded; ++f)
    for (Index p = 0; p < planes; ++p)
      for (Index b = f < features ? batch : 0; b < width; ++b) to.feature(f)[p * to.plane + b] = R{0};
}

/// Writes `features` features of `batch` vectors.
template <class T, class R>
void store_vectors(VectorTile<const R> from, Vectors<T> to, Index features, Index batch) {
  constexpr Index planes = planes_of<T>, lanes = Lanes<R>::count;
  const Index row = features * planes;
  if (to.batch_stride == 1) {
    for (Index f = 0; f < features; ++f)
      join_numbers<T, R>(from.feature(f), 1, from.plane, batch, to.data + f * to.feature_stride, 1);
  } else if (to.feature_stride == 1 && !SixteenBit<T>) {
    transpose(from.data, from.stride / planes, row, batch, reinterpret_cast<R*>(to.data), to.batch_stride * planes);
  } else {
    R* rows = thread_scratch<VectorRowScratch, R>(lanes * row);
    for (Index b = 0; b < batch; b += lanes) {
      const Index count = std::min(lanes, batch - b);
      transpose(from.data + b, from.stride / planes, row, count, rows, row);
      for (Index r = 0; r < count; ++r)
        join_numbers<T, R>(rows + r * row, planes, 1, features, to.at(b + r).data, to.feature_stride);
    }
  }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
