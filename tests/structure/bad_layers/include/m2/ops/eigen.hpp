// expect: include/m2/ops/eigen.hpp: Eigen/Core: Eigen belongs in backend/cpu and monarch/eigen.hpp
#pragma once
#include <Eigen/Core>
