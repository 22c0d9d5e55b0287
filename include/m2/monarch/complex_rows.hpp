#pragma once

#include <complex>

#include "m2/core/scalar.hpp"
#include "m2/core/view.hpp"

/// Vectors as rows of complex numbers. Two real vectors share one complex row, the second as its imaginary part: a real
/// matrix acts on both parts alike, so one complex product serves two real vectors.
namespace m2::detail {

template <Element T>
using ComplexOf = std::complex<RealOf<T>>;

/// A complex number as a T: itself, or its real part.
template <Element T>
M2_HD constexpr T part_of(ComplexOf<T> value) {
  if constexpr (ComplexScalar<T>) {
    return value;
  } else {
    return value.real();
  }
}

template <Element T>
M2_HD constexpr Index complex_rows(Index batch) {
  return ComplexScalar<T> ? batch : (batch + 1) / 2;
}

template <Element T, class B>
M2_HD constexpr ComplexOf<T> read_row(View<const T, 2, B> x, Index row, Index column) {
  if constexpr (ComplexScalar<T>) {
    return x(row, column);
  } else {
    return ComplexOf<T>(x(2 * row, column), 2 * row + 1 < x.extent(0) ? x(2 * row + 1, column) : T(0));
  }
}

template <Element T, class B>
M2_HD constexpr void write_row(View<T, 2, B> y, Index row, Index column, ComplexOf<T> value) {
  if constexpr (ComplexScalar<T>) {
    y(row, column) = value;
  } else {
    y(2 * row, column) = value.real();
    if (2 * row + 1 < y.extent(0)) y(2 * row + 1, column) = value.imag();
  }
}

/// Complex vectors with the batch contiguous, the layout in which a Monarch multiply moves nothing.  // (rows, n)
template <class C, class B>
View<C, 2, B> batch_contiguous(C* data, Index rows, Index n) {
  return {data, {rows, n}, {1, rows}};
}

}  // namespace m2::detail
