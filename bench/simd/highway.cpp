// Without this, version 1.0.3 uses registers of 128 bits where AVX2 comes without AES (-march=x86-64-v3).
#define HWY_DISABLE_PCLMUL_AES 1
#include <hwy/highway.h>

#include "bench/simd/tile.hpp"

namespace m2::bench {

namespace {

namespace hw = hwy::HWY_NAMESPACE;

/// Static dispatch: the instruction set that this file is compiled for.
template <class T>
struct Highway {
  using Tag = hw::ScalableTag<T>;
  using Register = hw::Vec<Tag>;
  static constexpr Index width = static_cast<Index>(hw::MaxLanes(Tag()));
  static M2_INLINE Register zero() { return hw::Zero(Tag()); }
  static M2_INLINE Register load(const T* from) { return hw::LoadU(Tag(), from); }
  static M2_INLINE void store(const Register& x, T* to) { hw::StoreU(x, Tag(), to); }
  static M2_INLINE Register multiply_add(const Register& sum, const Register& x, T number) {
    return hw::MulAdd(x, hw::Set(Tag(), number), sum);
  }
};

}  // namespace

template <class T>
SimdLayer<T> layer_of_highway() {
  return simd_layer<T, Highway<T>>("Highway");
}
template SimdLayer<float> layer_of_highway();
template SimdLayer<double> layer_of_highway();

}  // namespace m2::bench
