// expect: include/m2/nn/absent.hpp: m2/core/gone.hpp does not exist
#pragma once
#include "m2/core/gone.hpp"
