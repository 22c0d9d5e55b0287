#pragma once

#include "m2/backend/cpu.hpp"
#include "m2/nn/filtered_convolution.hpp"
#include "tests/serial_backend.hpp"

// Products and decompositions are most of the compile time of many tests: CMake compiles them once, in compiled.cpp,
// and every test program links them. The build that checks each test alone does without this header. decltype stands
// for the arguments, which change more often than this list.
namespace m2::detail {

using ComplexFloat = std::complex<float>;
using ComplexDouble = std::complex<double>;

extern template decltype(gemm_single<float>) gemm_single<float>;
extern template decltype(gemm_single<double>) gemm_single<double>;
extern template decltype(gemm_single<ComplexFloat>) gemm_single<ComplexFloat>;
extern template decltype(gemm_single<ComplexDouble>) gemm_single<ComplexDouble>;
extern template decltype(cpu_monarch_multiply<float>) cpu_monarch_multiply<float>;
extern template decltype(cpu_monarch_multiply<double>) cpu_monarch_multiply<double>;
extern template decltype(cpu_monarch_multiply<ComplexFloat>) cpu_monarch_multiply<ComplexFloat>;
extern template decltype(cpu_monarch_multiply<ComplexDouble>) cpu_monarch_multiply<ComplexDouble>;
extern template decltype(cpu_monarch_multiply<half>) cpu_monarch_multiply<half>;
extern template decltype(cpu_monarch_multiply<bfloat16>) cpu_monarch_multiply<bfloat16>;
extern template decltype(cpu_monarch_multiply_vjp<float>) cpu_monarch_multiply_vjp<float>;
extern template decltype(cpu_monarch_multiply_vjp<double>) cpu_monarch_multiply_vjp<double>;
extern template decltype(cpu_monarch_multiply_vjp<ComplexFloat>) cpu_monarch_multiply_vjp<ComplexFloat>;
extern template decltype(cpu_monarch_multiply_vjp<ComplexDouble>) cpu_monarch_multiply_vjp<ComplexDouble>;
extern template decltype(cpu_monarch_multiply_vjp<half>) cpu_monarch_multiply_vjp<half>;
extern template decltype(cpu_monarch_multiply_vjp<bfloat16>) cpu_monarch_multiply_vjp<bfloat16>;
extern template decltype(cpu_lu_blocks<float, Cpu>) cpu_lu_blocks<float, Cpu>;
extern template decltype(cpu_lu_blocks<double, Cpu>) cpu_lu_blocks<double, Cpu>;
extern template decltype(cpu_lu_blocks<ComplexDouble, Cpu>) cpu_lu_blocks<ComplexDouble, Cpu>;
extern template decltype(cpu_lu_solve<float, Cpu>) cpu_lu_solve<float, Cpu>;
extern template decltype(cpu_lu_solve<double, Cpu>) cpu_lu_solve<double, Cpu>;
extern template decltype(cpu_lu_solve<ComplexDouble, Cpu>) cpu_lu_solve<ComplexDouble, Cpu>;

// Convolutions of every order for every backend that modules and models are tested on: compiled_modules.cpp.
extern template class FilteredConvolution<float, Cpu>;
extern template class FilteredConvolution<double, Cpu>;
extern template class FilteredConvolution<double, test::Serial>;

}  // namespace m2::detail
