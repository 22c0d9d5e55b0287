#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "m2/monarch/fourier.hpp"
#include "m2/monarch/kronecker.hpp"

namespace m2 {

namespace detail {

inline bool is_power_of_two(Index n) { return n >= 1 && std::has_single_bit(static_cast<std::size_t>(n)); }

}  // namespace detail

/// The Hadamard matrix of Sylvester in natural order, H[i, j] = (-1)^popcount(i & j): the Kronecker product of the
/// Hadamard matrices of the radices. H^2 = N I; with Normalization::ortho, H is divided by sqrt(N) and its own inverse.
///
/// Errors   m2::Error if a radix is no power of two, or the size does not fit
/// Cost     exact in every element type unless normalised; N sum(radices) weights
/// Source   Sylvester 1867; Dao et al. 2022 (arXiv:2204.00595) Prop. 2
template <int Order, Element T, Backend B>
Monarch<Order, T, B> hadamard(B& be, const TransformSize<Order>& size,
                              Normalization normalization = Normalization::none) {
  std::array<Tensor<T, 2, B>, static_cast<std::size_t>(Order)> memory;
  std::array<View<const T, 2, B>, static_cast<std::size_t>(Order)> matrices;
  for (std::size_t a = 0; a < memory.size(); ++a) {
    const Index radix = size.radices[a];
    M2_REQUIRE(detail::is_power_of_two(radix), "hadamard: radix ", a, " is ", radix, ", powers of two are needed");
    memory[a] = Tensor<T, 2, B>(be, {radix, radix});
    const double scale = normalization == Normalization::ortho ? 1 / std::sqrt(static_cast<double>(radix)) : 1.0;
    const T plus = element_cast<T>(scale), minus = element_cast<T>(-scale);
    T* const to = memory[a].data();
    be.for_each(radix * radix, [=] M2_HD(Index i) {
      bool odd = false;
      for (Index both = (i / radix) & (i % radix); both != 0; both &= both - 1) odd = !odd;
      to[i] = odd ? minus : plus;
    });
    matrices[a] = memory[a].cview();
  }
  return kronecker<Order, T>(be, matrices);
}

/// Which row of hadamard(n) is row s of the Walsh matrix, whose row s changes sign s times: the bits of the Gray code
/// of s, the last first.
///
/// Errors   m2::Error if n is no power of two or s is not in [0, n)
inline Index walsh_row(Index n, Index s) {
  M2_REQUIRE(detail::is_power_of_two(n) && s >= 0 && s < n, "walsh_row: row ", s, " of ", n,
             ", which must be a power of two");
  Index row = 0;
  for (Index gray = s ^ (s >> 1), bit = n / 2; bit > 0; gray >>= 1, bit /= 2)
    if (gray & 1) row += bit;
  return row;
}

}  // namespace m2
