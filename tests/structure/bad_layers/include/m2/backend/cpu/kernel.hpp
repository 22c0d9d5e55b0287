// expect: include/m2/backend/cpu/kernel.hpp: m2/ops/good.hpp: backend/cpu may include core and backend/concept only
#pragma once
#include "m2/ops/good.hpp"
