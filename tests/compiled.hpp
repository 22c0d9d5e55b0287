#pragma once

#include "m2/backend/cpu.hpp"
#include "m2/nn/mixer_block.hpp"
#include "tests/serial_backend.hpp"

// What many tests need and what takes long to compile: CMake compiles it once, in compiled.cpp and
// compiled_modules.cpp, and every test program links it. The build that checks each test alone does without this
// header. EXTERN is `extern`, or nothing where the code is made. decltype stands for arguments, which change more often
// than this list.
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

#define M2_COMPILED_MODULES_OF(EXTERN, T, B)               \
  EXTERN template class LongConvolution<T, B>;             \
  EXTERN template class CausalMonarch<1, T, B>;            \
  EXTERN template class CausalMonarch<2, T, B>;            \
  EXTERN template class CausalMonarch<3, T, B>;            \
  EXTERN template class CausalMonarch<4, T, B>;            \
  EXTERN template class ImplicitFilter<T, B>;              \
  EXTERN template class detail::FilteredConvolution<T, B>; \
  EXTERN template class Linear<T, B>;                      \
  EXTERN template class MonarchMap<1, T, B>;               \
  EXTERN template class MonarchMap<2, T, B>;               \
  EXTERN template class ChannelLinear<T, B>;               \
  EXTERN template class Dropout<T, B>;                     \
  EXTERN template class LayerNorm<T, B>;                   \
  EXTERN template class SequenceMixer<T, B>;               \
  EXTERN template class GatedMlp<T, B>;                    \
  EXTERN template class MixerBlock<T, B>;                  \
  EXTERN template class ParameterStore<T, B>;

// The backends that modules and models are tested on.
#define M2_COMPILED_MODULES(EXTERN)           \
  M2_COMPILED_MODULES_OF(EXTERN, float, Cpu)  \
  M2_COMPILED_MODULES_OF(EXTERN, double, Cpu) \
  M2_COMPILED_MODULES_OF(EXTERN, double, test::Serial)

namespace m2 {

M2_COMPILED_KERNELS(extern)
M2_COMPILED_MODULES(extern)

}  // namespace m2
