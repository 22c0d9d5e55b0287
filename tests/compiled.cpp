#include "tests/compiled.hpp"

namespace m2::detail {

template decltype(gemm_single<float>) gemm_single<float>;
template decltype(gemm_single<double>) gemm_single<double>;
template decltype(gemm_single<ComplexFloat>) gemm_single<ComplexFloat>;
template decltype(gemm_single<ComplexDouble>) gemm_single<ComplexDouble>;
template decltype(cpu_monarch_multiply<float>) cpu_monarch_multiply<float>;
template decltype(cpu_monarch_multiply<double>) cpu_monarch_multiply<double>;
template decltype(cpu_monarch_multiply<ComplexFloat>) cpu_monarch_multiply<ComplexFloat>;
template decltype(cpu_monarch_multiply<ComplexDouble>) cpu_monarch_multiply<ComplexDouble>;
template decltype(cpu_monarch_multiply<half>) cpu_monarch_multiply<half>;
template decltype(cpu_monarch_multiply<bfloat16>) cpu_monarch_multiply<bfloat16>;
template decltype(cpu_monarch_multiply_vjp<float>) cpu_monarch_multiply_vjp<float>;
template decltype(cpu_monarch_multiply_vjp<double>) cpu_monarch_multiply_vjp<double>;
template decltype(cpu_monarch_multiply_vjp<ComplexFloat>) cpu_monarch_multiply_vjp<ComplexFloat>;
template decltype(cpu_monarch_multiply_vjp<ComplexDouble>) cpu_monarch_multiply_vjp<ComplexDouble>;
template decltype(cpu_monarch_multiply_vjp<half>) cpu_monarch_multiply_vjp<half>;
template decltype(cpu_monarch_multiply_vjp<bfloat16>) cpu_monarch_multiply_vjp<bfloat16>;
template decltype(cpu_lu_blocks<float, Cpu>) cpu_lu_blocks<float, Cpu>;
template decltype(cpu_lu_blocks<double, Cpu>) cpu_lu_blocks<double, Cpu>;
template decltype(cpu_lu_blocks<ComplexDouble, Cpu>) cpu_lu_blocks<ComplexDouble, Cpu>;
template decltype(cpu_lu_solve<float, Cpu>) cpu_lu_solve<float, Cpu>;
template decltype(cpu_lu_solve<double, Cpu>) cpu_lu_solve<double, Cpu>;
template decltype(cpu_lu_solve<ComplexDouble, Cpu>) cpu_lu_solve<ComplexDouble, Cpu>;

}  // namespace m2::detail
