#pragma once

#include "m2/backend/cpu.hpp"

// Eigen's products and decompositions are most of the compile time of many tests: CMake compiles them once, in
// compiled.cpp, and every test program links them. The build that checks each test alone does without this header.
namespace m2::detail {

extern template void gemm_single<float>(StridedMatrix<const float>, StridedMatrix<const float>, StridedMatrix<float>,
                                        bool);
using ComplexFloat = std::complex<float>;
extern template void gemm_single<ComplexFloat>(StridedMatrix<const ComplexFloat>, StridedMatrix<const ComplexFloat>,
                                               StridedMatrix<ComplexFloat>, bool);
extern template void gemm_single<double>(StridedMatrix<const double>, StridedMatrix<const double>,
                                         StridedMatrix<double>, bool);

using ComplexDouble = std::complex<double>;
extern template void gemm_single<ComplexDouble>(StridedMatrix<const ComplexDouble>, StridedMatrix<const ComplexDouble>,
                                                StridedMatrix<ComplexDouble>, bool);

using BlockOrder = View<std::int32_t, 2, Cpu>;
using ReadOnlyBlockOrder = View<const std::int32_t, 2, Cpu>;
extern template Index cpu_lu_blocks<double, Cpu>(View<double, 3, Cpu>, BlockOrder);
extern template Index cpu_lu_blocks<ComplexDouble, Cpu>(View<ComplexDouble, 3, Cpu>, BlockOrder);
extern template void cpu_lu_solve<double, Cpu>(View<const double, 3, Cpu>, ReadOnlyBlockOrder, View<double, 4, Cpu>,
                                               bool);
extern template void cpu_lu_solve<ComplexDouble, Cpu>(View<const ComplexDouble, 3, Cpu>, ReadOnlyBlockOrder,
                                                      View<ComplexDouble, 4, Cpu>, bool);

}  // namespace m2::detail
