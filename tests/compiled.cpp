#include "tests/compiled.hpp"

namespace m2::detail {

template void gemm_single<ComplexFloat>(StridedMatrix<const ComplexFloat>, StridedMatrix<const ComplexFloat>,
                                        StridedMatrix<ComplexFloat>, bool);
template void gemm_single<float>(StridedMatrix<const float>, StridedMatrix<const float>, StridedMatrix<float>, bool);
template void gemm_single<double>(StridedMatrix<const double>, StridedMatrix<const double>, StridedMatrix<double>,
                                  bool);
template void gemm_single<ComplexDouble>(StridedMatrix<const ComplexDouble>, StridedMatrix<const ComplexDouble>,
                                         StridedMatrix<ComplexDouble>, bool);

template Index cpu_lu_blocks<double, Cpu>(View<double, 3, Cpu>, BlockOrder);
template Index cpu_lu_blocks<ComplexDouble, Cpu>(View<ComplexDouble, 3, Cpu>, BlockOrder);
template void cpu_lu_solve<double, Cpu>(View<const double, 3, Cpu>, ReadOnlyBlockOrder, View<double, 4, Cpu>, bool);
template void cpu_lu_solve<ComplexDouble, Cpu>(View<const ComplexDouble, 3, Cpu>, ReadOnlyBlockOrder,
                                               View<ComplexDouble, 4, Cpu>, bool);

}  // namespace m2::detail
