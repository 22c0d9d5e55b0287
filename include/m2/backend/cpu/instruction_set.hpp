#pragma once

#include "m2/core/index.hpp"

/// The instruction set that a translation unit is compiled for. All of the CPU backend lies in an inline namespace of
/// its name: parts of one program that are compiled for different ones keep kernels of their own. Without it the linker
/// would take one of two functions of the same name, and weights packed for registers of one width would meet kernels
/// of another. The backend, and with it every type that owns memory, differs then, so what cannot work does not link.
#if defined(__AVX512F__)
#define M2_INSTRUCTION_SET avx512
#elif defined(__AVX__)
#define M2_INSTRUCTION_SET avx
#elif defined(__x86_64__) || defined(__i386__)
#define M2_INSTRUCTION_SET sse
#else
#define M2_INSTRUCTION_SET simd128
#endif

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Bytes of its widest SIMD register.
#if defined(__AVX512F__)
inline constexpr Index register_bytes = 64;
#elif defined(__AVX__)
inline constexpr Index register_bytes = 32;
#else
inline constexpr Index register_bytes = 16;
#endif

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
