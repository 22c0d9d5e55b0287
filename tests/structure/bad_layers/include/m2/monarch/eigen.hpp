#pragma once
#include <Eigen/Core>

#include "m2/backend/cpu.hpp"
