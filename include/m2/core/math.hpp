#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <numbers>

#include "m2/core/index.hpp"
#include "m2/core/scalar.hpp"

/// Elementary functions that compilers turn into SIMD code. For float they are free of branches, calls and errno:
/// selections are conditional moves, rounding and scaling work on the bits. For double they are those of <cmath>.
///
/// NaN gives NaN. The polynomials are minimax fits (Lawson's iteration on relative error); each error bound below was
/// measured against double over all floats of its interval, in units of the last place (ulp).
namespace m2::math {

namespace detail {

/// a if the condition holds, else b. By bits: where a or b is a constant, g++ turns `?:` into two copies of all that
/// follows, and loops with branches are not vectorised.
M2_HD M2_INLINE constexpr float select(bool condition, float a, float b) {
  const std::uint32_t mask = 0U - static_cast<std::uint32_t>(condition);
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(a) & mask) | (std::bit_cast<std::uint32_t>(b) & ~mask));
}

/// x limited to [low, high]; NaN stays.
M2_HD M2_INLINE constexpr float limit(float x, float low, float high) {
  const float below = select(x > high, high, x);
  return select(below < low, low, below);
}

/// The whole number nearest to x for |x| < 2^22: adding 1.5 * 2^23 leaves it in the low bits of the mantissa. Reading
/// it from the bits keeps compilers that reorder sums (-ffast-math) from undoing the rounding.
M2_HD M2_INLINE constexpr std::int32_t nearest(float x) {
  constexpr float shift = 0x1.8p23F;
  return static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(x + shift) - std::bit_cast<std::uint32_t>(shift));
}

/// The same in double, for |x| < 2^31.
M2_HD M2_INLINE constexpr std::int32_t nearest(double x) {
  constexpr double shift = 0x1.8p52;
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(x + shift)));
}

/// 2^n for -126 <= n <= 127.
M2_HD M2_INLINE constexpr float power_of_two(std::int32_t n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

M2_HD M2_INLINE constexpr float absolute(float x) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFU);
}

/// The magnitude of `magnitude` with the sign of `sign`.
M2_HD M2_INLINE constexpr float with_sign(float magnitude, float sign) {
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(magnitude) & 0x7FFFFFFFU) |
                              (std::bit_cast<std::uint32_t>(sign) & 0x80000000U));
}

/// sin(r) for |r| <= pi / 2, with its sign changed when n is odd.
M2_HD M2_INLINE constexpr float sine_half_period(float r, std::int32_t n) {
  const float s = r * r;
  float p = 2.60548154e-06F;
  p = p * s - 1.98094756e-04F;
  p = p * s + 8.33306462e-03F;
  p = p * s - 1.66666597e-01F;
  const float value = r + r * s * p;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^ (static_cast<std::uint32_t>(n) << 31));
}

/// r limited to [-pi / 2, pi / 2], so that arguments too large to reduce still give a number in [-1, 1].
M2_HD M2_INLINE constexpr float limit_to_half_period(float r) { return limit(r, -0x1.921fb6p+0F, 0x1.921fb6p+0F); }

}  // namespace detail

/// e^x. Float: 1 ulp; overflows to infinity, underflows through the subnormal numbers to 0.
M2_HD M2_INLINE float exp(float x) {
  const float limited = detail::limit(x, -104.0F, 89.0F);
  const std::int32_t n = detail::nearest(limited * 0x1.715476p+0F);
  const float k = static_cast<float>(n);
  float r = limited - k * 0x1.62e400p-1F;  // ln 2 in two parts; k times the first is exact
  r = r - k * 0x1.7f7d1cp-20F;
  float p = 1.38145988e-03F;
  p = p * r + 8.36871658e-03F;
  p = p * r + 4.16683890e-02F;
  p = p * r + 1.66665211e-01F;
  p = p * r + 4.99999940e-01F;
  const float value = 1.0F + (r + r * r * p);
  const std::int32_t half = n >> 1;  // n runs from -150 to 128: two factors reach both ends
  return value * detail::power_of_two(half) * detail::power_of_two(n - half);
}
M2_HD M2_INLINE double exp(double x) { return std::exp(x); }

/// sin x. Float: absolute error below 1.3e-7 for |x| < 1e9; a number in [-1, 1] beyond.
M2_HD M2_INLINE float sin(float x) {
  // The reduction is in double: there x - n pi loses nothing that matters to a float.
  const double wide = static_cast<double>(x);
  const std::int32_t n = detail::nearest(wide * std::numbers::inv_pi);
  const float r = static_cast<float>(wide - static_cast<double>(n) * std::numbers::pi);
  return detail::sine_half_period(detail::limit_to_half_period(r), n);
}
M2_HD M2_INLINE double sin(double x) { return std::sin(x); }

/// cos x = sin(x + pi / 2). Float: absolute error below 1.3e-7 for |x| < 1e9; a number in [-1, 1] beyond.
M2_HD M2_INLINE float cos(float x) {
  const double wide = static_cast<double>(x);
  const std::int32_t n = detail::nearest(wide * std::numbers::inv_pi + 0.5);
  const float r = static_cast<float>(wide - (static_cast<double>(n) - 0.5) * std::numbers::pi);
  return detail::sine_half_period(detail::limit_to_half_period(r), n);
}
M2_HD M2_INLINE double cos(double x) { return std::cos(x); }

/// The normal distribution at x: its density e^(-x^2/2) / sqrt(2 pi) and its integral from minus infinity to x.
template <Scalar T>
struct Normal {
  T density, integral;
};

/// Density and integral of the normal distribution. Float: one exponential serves both. The tail beyond |x| is
/// e^(-x^2/2) (1/2 - u P(u)), u = 0.3 |x| / (1 + 0.3 |x|): near 0 the error vanishes with u, and far out the tail keeps
/// its relative accuracy. Absolute error below 1.1e-7; relative to the tail below 1e-7 (5 + x^2).
M2_HD M2_INLINE Normal<float> normal(float x) {
  const float magnitude = detail::absolute(x);
  const float a = detail::select(magnitude > 15.0F, 15.0F, magnitude);  // both are 0 in float from 14.5 on
  const float e = exp(-0.5F * a * a);
  const float b = 0.3F * a;
  const float u = b / (1.0F + b);
  float p = -3.81274037e-02F;
  p = p * u + 1.36929035e-01F;
  p = p * u - 1.17657505e-01F;
  p = p * u - 1.09027572e-01F;
  p = p * u + 4.49861325e-02F;
  p = p * u + 7.01181531e-01F;
  p = p * u - 1.44810212e+00F;
  p = p * u + 1.32981122e+00F;
  const float tail = e * (0.5F - u * p);
  return {0x1.988454p-2F * e, detail::select(x > 0.0F, 1.0F - tail, tail)};
}
M2_HD M2_INLINE Normal<double> normal(double x) {
  constexpr double inverse_root_two_pi = 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2;
  return {inverse_root_two_pi * std::exp(-0.5 * x * x), 0.5 * std::erfc(-x * (0.5 * std::numbers::sqrt2))};
}

/// The error function 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x. Float: 2 ulp.
M2_HD M2_INLINE float erf(float x) {
  const float s = x * x;
  float p = -6.09037816e-04F;
  p = p * s + 5.01196692e-03F;
  p = p * s - 2.67789122e-02F;
  p = p * s + 1.12821408e-01F;
  p = p * s - 3.76125246e-01F;
  p = p * s + 1.28379110e-01F;
  const float near_zero = x + x * p;
  const float tail = normal(-std::numbers::sqrt2_v<float> * detail::absolute(x)).integral;
  return detail::select(s < 0.75F, near_zero, detail::with_sign(1.0F - 2.0F * tail, x));
}
M2_HD M2_INLINE double erf(double x) { return std::erf(x); }

/// 1 / (1 + e^-x). Float: 3 ulp where e^-x does not overflow, 0 beyond.
template <Scalar T>
M2_HD M2_INLINE T sigmoid(T x) {
  return T{1} / (T{1} + exp(-x));
}

/// The hyperbolic tangent. Float: 1.5 ulp.
M2_HD M2_INLINE float tanh(float x) {
  const float s = x * x;
  float p = -5.70498733e-03F;
  p = p * s + 2.06390880e-02F;
  p = p * s - 5.37397154e-02F;
  p = p * s + 1.33314416e-01F;
  p = p * s - 3.33332807e-01F;
  const float near_zero = x + x * s * p;
  const float far = 1.0F - 2.0F / (1.0F + exp(2.0F * detail::absolute(x)));
  return detail::select(s < 0.390625F, near_zero, detail::with_sign(far, x));  // 0.625^2
}
M2_HD M2_INLINE double tanh(double x) { return std::tanh(x); }

}  // namespace m2::math
