#include "tests/compiled.hpp"

namespace m2 {

M2_COMPILED_MODULES()

}  // namespace m2
