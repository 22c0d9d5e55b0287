#include "tests/compiled_kernels.hpp"

namespace m2 {

M2_COMPILED_KERNELS()

}  // namespace m2
