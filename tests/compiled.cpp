#include "tests/compiled.hpp"

namespace m2::detail {

template void gemm_single<float>(StridedMatrix<const float>, StridedMatrix<const float>, StridedMatrix<float>, bool);
template void gemm_single<double>(StridedMatrix<const double>, StridedMatrix<const double>, StridedMatrix<double>, bool);

}  // namespace m2::detail
