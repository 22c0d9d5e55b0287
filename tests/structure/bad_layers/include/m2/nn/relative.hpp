// expect: include/m2/nn/relative.hpp: good.hpp: headers of m2 are included as
#pragma once
#include "good.hpp"
