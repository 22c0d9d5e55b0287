#pragma once

#include <complex>
#include <concepts>
#include <limits>

#include "m2/core/qualifiers.hpp"

namespace m2 {

/// Real numbers that every op and module computes with.
template <class T>
concept Scalar = std::same_as<T, float> || std::same_as<T, double>;

/// Complex numbers, for Monarch matrices and transforms.
template <class T>
concept ComplexScalar = std::same_as<T, std::complex<float>> || std::same_as<T, std::complex<double>>;

/// True for the 16-bit types of a backend, which specializes it: they are storage, sums are float.
template <class T>
inline constexpr bool is_sixteen_bit = false;

template <class T>
concept SixteenBit = is_sixteen_bit<T>;

/// What the elements of a Monarch matrix can be.
template <class T>
concept Element = Scalar<T> || ComplexScalar<T> || SixteenBit<T>;

namespace detail {

template <class T>
struct ElementTraits {
  using Sum = T;
  using Real = T;
  using Wide = double;
};
template <class T>
struct ElementTraits<std::complex<T>> {
  using Sum = std::complex<T>;
  using Real = T;
  using Wide = std::complex<double>;
};
template <SixteenBit T>
struct ElementTraits<T> {
  using Sum = float;
  using Real = float;
  using Wide = double;
};

}  // namespace detail

/// What sums of T are held in: float for 16-bit types, T otherwise.
template <Element T>
using SumOf = typename detail::ElementTraits<T>::Sum;

/// The type of |x|: the real part's type for complex T, float for 16-bit types, T otherwise.
template <Element T>
using RealOf = typename detail::ElementTraits<T>::Real;

/// The same kind of number in double precision.
template <Element T>
using WideOf = typename detail::ElementTraits<T>::Wide;

/// The distance from 1 to the next number of T, of its real part if complex.
template <Element T>
double epsilon_of() {
  if constexpr (SixteenBit<T>) {
    return static_cast<double>(static_cast<float>(std::numeric_limits<T>::epsilon()));
  } else {
    return static_cast<double>(std::numeric_limits<RealOf<T>>::epsilon());
  }
}

/// The complex conjugate; a real number is its own.
template <Element T>
M2_HD constexpr T conjugate(T x) {
  if constexpr (ComplexScalar<T>) {
    return T(x.real(), -x.imag());
  } else {
    return x;
  }
}

/// One kind of number as another: x itself, rounded to T. A complex number becomes complex only.
template <Element T, Element U>
M2_HD constexpr T element_cast(U x) {
  if constexpr (std::same_as<T, U>) {
    return x;
  } else if constexpr (ComplexScalar<T> && ComplexScalar<U>) {
    return T(static_cast<RealOf<T>>(x.real()), static_cast<RealOf<T>>(x.imag()));
  } else if constexpr (ComplexScalar<T>) {
    return T(static_cast<RealOf<T>>(x));
  } else {
    static_assert(!ComplexScalar<U>, "A complex number cannot become a real one: take its real part.");
    return static_cast<T>(static_cast<SumOf<T>>(static_cast<SumOf<U>>(x)));
  }
}

static_assert(Scalar<float> && Scalar<double> && ComplexScalar<std::complex<double>>);

}  // namespace m2
