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

/// The same for a lambda, behind its arguments.
#if defined(__GNUC__)
#define M2_INLINE_LAMBDA __attribute__((always_inline))
#else
#define M2_INLINE_LAMBDA
#endif

/// Marks a loop that fills the registers: a function of its own, since it runs out of registers for addresses inside
/// its callers. Where g++ 12 tunes for Zen 3 or 4 (-march=native there), it parks addresses in vector registers; they
/// then wait in one queue with the multiplications that are still to be done, 40 cycles for each call. So does its
/// generic tuning, less often; that for Haswell parks all on the stack. Everything that such a function calls has to be
/// M2_INLINE.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__CUDACC__)
#define M2_REGISTER_LOOP [[gnu::noinline, gnu::target("tune=haswell")]]
#elif defined(__GNUC__)
#define M2_REGISTER_LOOP [[gnu::noinline]]
#else
#define M2_REGISTER_LOOP
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
