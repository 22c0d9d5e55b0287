#pragma once

#include "m2/backend/cpu.hpp"

// The kernels that many tests need and that take long to compile: CMake compiles them once, in compiled.cpp, and every
// test program links them. Clang's check of each test alone does without their bodies, too. EXTERN is `extern`, or
// nothing where the code is made. decltype stands for arguments, which change more often than this list.
#define M2_COMPILED_PRODUCTS(EXTERN, T)                                                      \
  EXTERN template decltype(detail::cpu_monarch_multiply<T>) detail::cpu_monarch_multiply<T>; \
  EXTERN template decltype(detail::cpu_monarch_multiply_vjp<T>) detail::cpu_monarch_multiply_vjp<T>;

#define M2_COMPILED_GEMM(EXTERN, T) EXTERN template decltype(detail::gemm_single<T>) detail::gemm_single<T>;

#define M2_COMPILED_SOLVERS(EXTERN, T)                                                   \
  EXTERN template decltype(detail::cpu_lu_blocks<T, Cpu>) detail::cpu_lu_blocks<T, Cpu>; \
  EXTERN template decltype(detail::cpu_lu_solve<T, Cpu>) detail::cpu_lu_solve<T, Cpu>;

#define M2_COMPILED_KERNELS(EXTERN)                             \
  M2_COMPILED_GEMM(EXTERN, float)                               \
  M2_COMPILED_GEMM(EXTERN, double)                              \
  M2_COMPILED_GEMM(EXTERN, std::complex<float>)                 \
  M2_COMPILED_GEMM(EXTERN, std::complex<double>)                \
  M2_COMPILED_PRODUCTS(EXTERN, float)                           \
  M2_COMPILED_PRODUCTS(EXTERN, double)                          \
  M2_COMPILED_PRODUCTS(EXTERN, std::complex<float>)             \
  M2_COMPILED_PRODUCTS(EXTERN, std::complex<double>)            \
  M2_COMPILED_PRODUCTS(EXTERN, half)                            \
  M2_COMPILED_PRODUCTS(EXTERN, bfloat16)                        \
  M2_COMPILED_SOLVERS(EXTERN, float)                            \
  M2_COMPILED_SOLVERS(EXTERN, double)                           \
  M2_COMPILED_SOLVERS(EXTERN, std::complex<double>)             \
  EXTERN template class detail::CpuLongConvolution<float, Cpu>; \
  EXTERN template class detail::CpuLongConvolution<double, Cpu>;

namespace m2 {

M2_COMPILED_KERNELS(extern)

}  // namespace m2
