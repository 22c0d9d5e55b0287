// expect: include/m2/ops/cpu.hpp: m2/backend/cpu.hpp: ops does not see backend/cpu
#pragma once
#include "m2/backend/cpu.hpp"
