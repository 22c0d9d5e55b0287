#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "m2/backend/cpu.hpp"
#include "m2/ops/random.hpp"
#include "tests/catch.hpp"
#include "tests/serial_backend.hpp"

/// What every test of an op needs: random tensors of any strides, host copies in double, tolerances, gradient checks.
namespace m2::test {

/// One (backend, element type) pair; tests are written once, typed over these.
template <class B, class S>
struct On {
  using Backend = B;
  using Scalar = S;
};

#define M2_EVERY_BACKEND \
  (m2::test::On<m2::Cpu, float>), (m2::test::On<m2::Cpu, double>), (m2::test::On<m2::test::Serial, double>)

/// Backends and the element types of Monarch matrices.
#define M2_EVERY_ELEMENT                                                                                         \
  M2_EVERY_BACKEND, (m2::test::On<m2::Cpu, std::complex<float>>), (m2::test::On<m2::Cpu, std::complex<double>>), \
      (m2::test::On<m2::test::Serial, std::complex<double>>), (m2::test::On<m2::Cpu, m2::half>),                 \
      (m2::test::On<m2::Cpu, m2::bfloat16>)

/// One of each kind of element, on either backend: enough where no kernel depends on the type.
#define M2_SOME_ELEMENTS                                                    \
  (m2::test::On<m2::Cpu, float>), (m2::test::On<m2::test::Serial, double>), \
      (m2::test::On<m2::Cpu, std::complex<double>>), (m2::test::On<m2::Cpu, m2::bfloat16>)

/// The rounding error to allow for a sum of `terms` products of size up to `magnitude`.
template <class T>
double tolerance(Index terms, double magnitude = 1.0) {
  const double eps = epsilon_of<T>();
  return eps * magnitude * (8.0 + 4.0 * std::sqrt(static_cast<double>(terms)));
}

/// A tensor with room around its elements: view() is strided in every dimension when Gap > 1, so that an op that
/// assumes contiguity fails its test.
template <class T, int Rank, class B>
class Strided {
 public:
  Strided(B& be, const Extents<Rank>& extents, Index gap = 1) : tensor_(be, padded(extents, gap)) {
    Extents<Rank> strides = contiguous_strides<Rank>(padded(extents, gap));
    strides[Rank - 1] *= gap;
    view_ = {tensor_.data(), extents, strides};
  }
  View<T, Rank, B> view() { return view_; }

 private:
  static Extents<Rank> padded(Extents<Rank> extents, Index gap) {
    extents[Rank - 1] *= gap;
    if (gap > 1)
      for (auto& extent : extents) extent += 1;
    return extents;
  }
  Tensor<T, Rank, B> tensor_;
  View<T, Rank, B> view_;
};

/// Visits every element of a host-readable view in row-major order.
template <class T, int Rank, class B, class F>
void for_every(View<T, Rank, B> view, F&& f) {
  for (Index flat = 0; flat < view.size(); ++flat) {
    Index rest = flat, offset = 0;
    for (int d = Rank - 1; d >= 0; --d) {
      offset += rest % view.extent(d) * view.stride(d);
      rest /= view.extent(d);
    }
    f(view.data()[offset], flat);
  }
}

/// Standard normal numbers; both parts of complex ones.
template <class T, int Rank, class B>
void fill_normal(View<T, Rank, B> view, Rng& rng) {
  for_every(view, [&](T& element, Index) {
    if constexpr (ComplexScalar<T>) {
      const auto re = rng.normal<RealOf<T>>();
      element = T(re, rng.normal<RealOf<T>>());
    } else {
      element = element_cast<T>(rng.normal<RealOf<T>>());
    }
  });
}

template <class T, int Rank, class B>
Tensor<T, Rank, B> normal_tensor(B& be, Rng& rng, const Extents<Rank>& extents) {
  Tensor<T, Rank, B> result(be, extents);
  fill_normal(result.view(), rng);
  return result;
}

/// The elements as doubles; a complex number is two of them, its real and its imaginary part.
template <class T, int Rank, class B>
std::vector<double> to_host(View<T, Rank, B> view) {
  std::vector<double> result;
  for_every(view, [&](const auto& element, Index) {
    if constexpr (ComplexScalar<std::remove_const_t<T>>) {
      result.push_back(static_cast<double>(element.real()));
      result.push_back(static_cast<double>(element.imag()));
    } else if constexpr (Element<std::remove_const_t<T>>) {
      result.push_back(element_cast<double>(element));
    } else {
      result.push_back(static_cast<double>(element));  // ids
    }
  });
  return result;
}

/// The elements in double precision, complex ones as complex numbers.
template <class T, int Rank, class B>
std::vector<WideOf<std::remove_const_t<T>>> to_wide(View<T, Rank, B> view) {
  std::vector<WideOf<std::remove_const_t<T>>> result;
  for_every(view, [&](const auto& element, Index) {
    result.push_back(element_cast<WideOf<std::remove_const_t<T>>>(element));
  });
  return result;
}

/// Complex numbers as pairs of doubles, the form of to_host.
std::vector<double> as_doubles(const std::vector<std::complex<double>>& values);
inline const std::vector<double>& as_doubles(const std::vector<double>& values) { return values; }

double largest(const std::vector<double>& values);

/// The largest |a - b| of two arrays and where it is; the first NaN is larger than any number.
struct LargestDifference {
  double worst = 0;
  std::size_t where = 0;

  LargestDifference(const std::vector<double>& a, const std::vector<double>& b);
};

/// Requires |a - b| <= allowed everywhere; NaN fails.
void require_close(const std::vector<double>& actual, const std::vector<double>& expected, double allowed);

/// Checks `gradient` against central differences of `loss` in every element of `x`, for T = double: step 1e-6 and 1e-5
/// relative to the larger of 1 and the gradient's size (math.md D8). Complex x: both parts of every element, and the
/// gradient is dL/dRe + i dL/dIm as pairs of doubles.
template <class T, int Rank, class B, class Loss>
void require_gradient(View<T, Rank, B> x, const std::vector<double>& gradient, Loss&& loss) {
  static_assert(sizeof(RealOf<T>) == sizeof(double), "Central differences need double.");
  constexpr double step = 1e-6, relative_tolerance = 1e-5;
  std::vector<double> numeric;
  const auto difference = [&](T& element, T by) {
    const T saved = element;
    element = saved + by;
    const double above = loss();
    element = saved - by;
    const double below = loss();
    element = saved;
    numeric.push_back((above - below) / (2 * step));
  };
  for_every(x, [&](T& element, Index) {
    difference(element, T(step));
    if constexpr (ComplexScalar<T>) difference(element, T(0, step));
  });
  require_close(gradient, numeric, relative_tolerance * std::max(1.0, largest(numeric)));
}

/// sum of a . b, the scalar loss of a VJP test: dL/da = b.
double dot(const std::vector<double>& a, const std::vector<double>& b);

/// Requires that f throws m2::Error whose message contains every one of the parts.
void require_error(const std::function<void()>& f, std::initializer_list<std::string_view> parts);

/// Runs f with the given number of OpenMP threads.
template <class F>
void with_threads(int threads, F&& f) {
#ifdef _OPENMP
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  f();
  omp_set_num_threads(before);
#else
  (void)threads;
  f();
#endif
}

}  // namespace m2::test
