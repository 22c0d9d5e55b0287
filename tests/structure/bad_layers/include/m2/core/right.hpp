// expect: include/m2/core/right.hpp: m2/ops/good.hpp: core does not see ops
#pragma once
#include "m2/ops/good.hpp"
