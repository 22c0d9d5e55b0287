#pragma once

#include "m2/backend/cpu.hpp"

// Eigen's products are most of the compile time of many tests: CMake compiles them once, in compiled.cpp, and every test
// program links them. The build that checks each test alone does without this header.
namespace m2::detail {

extern template void gemm_single<float>(StridedMatrix<const float>, StridedMatrix<const float>, StridedMatrix<float>,
                                        bool);
extern template void gemm_single<double>(StridedMatrix<const double>, StridedMatrix<const double>,
                                         StridedMatrix<double>, bool);

}  // namespace m2::detail
