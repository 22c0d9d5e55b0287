#pragma once

#include <bit>
#include <cstddef>
#include <string>

#include "m2/backend/cpu/lanes.hpp"
#include "m2/core/index.hpp"
#include "m2/core/qualifiers.hpp"

/// The register tile of the multiply once more, over any SIMD layer: what m2::detail::Lanes is compared with.
namespace m2::bench {

/// to(j, v) = sum over k of left(j, k) right(k, v): six rows of numbers, `terms` apart, meet four registers, one behind
/// the other: 24 of 32 registers are sums. Of 16 registers, 12 are.
template <class T>
using SimdTile = void (*)(Index terms, const T* left, const T* right, T* to);
inline constexpr Index simd_rows = 6, simd_registers = detail::register_bytes == 64 ? 4 : 2;

/// What a layer makes of it: as it comes, and with the operands that are used six times pinned in registers.
template <class T>
struct SimdLayer {
  std::string name;
  Index width;  ///< numbers in a register
  SimdTile<T> plain, pinned;
};

/// Each by a source file of its own.
template <class T>
SimdLayer<T> layer_of_standard();
template <class T>
SimdLayer<T> layer_of_xsimd();
template <class T>
SimdLayer<T> layer_of_highway();

/// keep_in_register (lanes.hpp) for the register of any layer.
template <class T, class Register>
M2_INLINE void pin(Register& x) {
  auto lanes = std::bit_cast<detail::Lanes<T>>(x);
  keep_in_register(lanes);
  x = std::bit_cast<Register>(lanes);
}

/// A Layer has: Register, width, zero(), load(from), store(register, to), multiply_add(sum, register, number).
template <class T, class Layer, bool Pinned>
[[gnu::noinline]] void simd_tile(Index terms, const T* left, const T* right, T* to) {
  constexpr Index J = simd_rows, V = simd_registers, width = Layer::width;
  using Register = typename Layer::Register;
  const T* rows[2] = {left, left + 3 * terms};
  Register sums[std::size_t{J}][std::size_t{V}];
  M2_UNROLL
  for (Index j = 0; j < J; ++j) M2_UNROLL
  for (Index v = 0; v < V; ++v) sums[j][v] = Layer::zero();
  for (Index k = 0; k < terms; ++k) {
    Register x[std::size_t{V}];
    M2_UNROLL
    for (Index v = 0; v < V; ++v) {
      x[v] = Layer::load(right + v * width);
      // Not so for Highway 1.0.3 without SSSE3, whose registers hold one number.
      if constexpr (Pinned && width == detail::Lanes<T>::count) pin<T>(x[v]);
    }
    M2_UNROLL
    for (Index j = 0; j < J; ++j) {
      const T number = rows[j / 3][j % 3 * terms];
      M2_UNROLL
      for (Index v = 0; v < V; ++v) sums[j][v] = Layer::multiply_add(sums[j][v], x[v], number);
    }
    right += V * width;
    ++rows[0], ++rows[1];
  }
  M2_UNROLL
  for (Index j = 0; j < J; ++j) M2_UNROLL
  for (Index v = 0; v < V; ++v) Layer::store(sums[j][v], to + (j * V + v) * width);
}

template <class T, class Layer>
SimdLayer<T> simd_layer(const char* name) {
  return {name, Layer::width, simd_tile<T, Layer, false>, simd_tile<T, Layer, true>};
}

}  // namespace m2::bench
