#pragma once

#include <cstring>

#include "m2/core/butterfly.hpp"
#include "m2/core/index.hpp"

namespace m2::detail {

/// Bytes of the widest SIMD register that this translation unit is compiled for.
#if defined(__AVX512F__)
inline constexpr Index register_bytes = 64;
#elif defined(__AVX__)
inline constexpr Index register_bytes = 32;
#else
inline constexpr Index register_bytes = 16;
#endif

/// One SIMD register of T: elementwise arithmetic, and products with a scalar. GCC's and Clang's vector extension where
/// there is one, a plain array otherwise.
template <class T>
struct Lanes {
  static constexpr Index count = register_bytes / static_cast<Index>(sizeof(T));
#if defined(__GNUC__)
  typedef T Vector __attribute__((vector_size(register_bytes)));
  Vector v;

  static M2_INLINE Lanes zero() { return {Vector{}}; }
  friend M2_INLINE Lanes operator+(Lanes a, Lanes b) { return {a.v + b.v}; }
  friend M2_INLINE Lanes operator-(Lanes a, Lanes b) { return {a.v - b.v}; }
  friend M2_INLINE Lanes operator*(Lanes a, Lanes b) { return {a.v * b.v}; }
  friend M2_INLINE Lanes operator*(Lanes a, T s) { return {a.v * s}; }
  friend M2_INLINE Lanes add_scaled(Lanes c, Lanes a, T s) { return {c.v + a.v * s}; }
  friend M2_INLINE Lanes subtract_scaled(Lanes c, Lanes a, T s) { return {c.v - a.v * s}; }
  friend M2_INLINE Lanes add_product(Lanes c, Lanes a, Lanes b) { return {c.v + a.v * b.v}; }
  friend M2_INLINE Lanes subtract_product(Lanes c, Lanes a, Lanes b) { return {c.v - a.v * b.v}; }
#else
  T v[static_cast<std::size_t>(count)];

  template <class F>
  static Lanes map(F f) {
    Lanes result;
    for (Index i = 0; i < count; ++i) result.v[i] = f(i);
    return result;
  }
  static Lanes zero() {
    return map([](Index) { return T{}; });
  }
  friend Lanes operator+(Lanes a, Lanes b) {
    return map([&](Index i) { return a.v[i] + b.v[i]; });
  }
  friend Lanes operator-(Lanes a, Lanes b) {
    return map([&](Index i) { return a.v[i] - b.v[i]; });
  }
  friend Lanes operator*(Lanes a, Lanes b) {
    return map([&](Index i) { return a.v[i] * b.v[i]; });
  }
  friend Lanes operator*(Lanes a, T s) {
    return map([&](Index i) { return a.v[i] * s; });
  }
  friend Lanes add_scaled(Lanes c, Lanes a, T s) { return c + a * s; }
  friend Lanes subtract_scaled(Lanes c, Lanes a, T s) { return c - a * s; }
  friend Lanes add_product(Lanes c, Lanes a, Lanes b) { return c + a * b; }
  friend Lanes subtract_product(Lanes c, Lanes a, Lanes b) { return c - a * b; }
#endif

  /// No alignment needed.
  static M2_INLINE Lanes load(const T* from) {
    Lanes result;
    std::memcpy(&result.v, from, sizeof(result.v));
    return result;
  }
  M2_INLINE void store(T* to) const { std::memcpy(to, &v, sizeof(v)); }
};

}  // namespace m2::detail
