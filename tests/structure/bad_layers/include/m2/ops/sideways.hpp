// expect: include/m2/ops/sideways.hpp: m2/nn/good.hpp: ops does not see nn
#pragma once
#include <m2/nn/good.hpp>
