#pragma once

#include "m2/nn/mixer_block.hpp"
#include "tests/compiled_kernels.hpp"
#include "tests/serial_backend.hpp"

// Modules in the same way, in compiled_modules.cpp. The build that checks each test alone does without this header,
// which includes what a test may have forgotten.
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

M2_COMPILED_MODULES(extern)

}  // namespace m2
