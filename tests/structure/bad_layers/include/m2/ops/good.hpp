#pragma once
#include <vector>

#include "m2/core/good.hpp"
