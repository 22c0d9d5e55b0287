#include <xsimd/xsimd.hpp>

#include "bench/simd/tile.hpp"

namespace m2::bench {

namespace {

template <class T>
struct Xsimd {
  using Register = xsimd::batch<T>;
  static constexpr Index width = static_cast<Index>(Register::size);
  static M2_INLINE Register zero() { return Register(T{0}); }
  static M2_INLINE Register load(const T* from) { return Register::load_unaligned(from); }
  static M2_INLINE void store(const Register& x, T* to) { x.store_unaligned(to); }
  static M2_INLINE Register multiply_add(const Register& sum, const Register& x, T number) {
    return xsimd::fma(x, Register(number), sum);
  }
};

}  // namespace

template <class T>
SimdLayer<T> layer_of_xsimd() {
  return simd_layer<T, Xsimd<T>>("xsimd");
}
template SimdLayer<float> layer_of_xsimd();
template SimdLayer<double> layer_of_xsimd();

}  // namespace m2::bench
