#pragma once

/// Marks functions that also run on a GPU; empty for compilers other than nvcc.
#if defined(__CUDACC__)
#define M2_HD __host__ __device__
#else
#define M2_HD
#endif

/// Marks functions that must become part of their caller at any -O level: arrays of registers stay in registers, and
/// loops around calls become SIMD code, only then. Compilers decide otherwise in large programs.
#if defined(__CUDACC__)
#define M2_INLINE __forceinline__
#elif defined(__GNUC__)
#define M2_INLINE inline __attribute__((always_inline))
#else
#define M2_INLINE inline
#endif

/// Marks functions that hardly ever run: never inlined, optimised for size, away from the others.
#if defined(__GNUC__)
#define M2_COLD __attribute__((cold, noinline))
#else
#define M2_COLD
#endif

/// Unrolls the next loop completely, up to 16 rounds.
#if defined(__CUDA_ARCH__)
#define M2_UNROLL _Pragma("unroll")
#elif defined(__CUDACC__)
#define M2_UNROLL  // nvcc's host pass would hand g++ a pragma that it does not know
#elif defined(__clang__)
#define M2_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define M2_UNROLL _Pragma("GCC unroll 16")
#else
#define M2_UNROLL
#endif
