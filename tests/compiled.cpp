#include "tests/compiled.hpp"

namespace m2 {

M2_COMPILED_KERNELS()

}  // namespace m2
