#include <experimental/simd>

#include "bench/simd/tile.hpp"

namespace m2::bench {

namespace {

namespace stdx = std::experimental;

/// Its fma() calls the one of the C library for every number: what makes multiply-adds here is the compiler.
template <class T>
struct Standard {
  using Register = stdx::native_simd<T>;
  static constexpr Index width = static_cast<Index>(Register::size());
  static M2_INLINE Register zero() { return T{0}; }
  static M2_INLINE Register load(const T* from) { return Register(from, stdx::element_aligned); }
  static M2_INLINE void store(const Register& x, T* to) { x.copy_to(to, stdx::element_aligned); }
  static M2_INLINE Register multiply_add(const Register& sum, const Register& x, T number) { return sum + x * number; }
};

}  // namespace

template <class T>
SimdLayer<T> layer_of_standard() {
  return simd_layer<T, Standard<T>>("std::experimental::simd");
}
template SimdLayer<float> layer_of_standard();
template SimdLayer<double> layer_of_standard();

}  // namespace m2::bench
