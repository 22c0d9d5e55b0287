#pragma once
#include <Eigen/Core>
#include <omp.h>

#include "m2/core/good.hpp"
