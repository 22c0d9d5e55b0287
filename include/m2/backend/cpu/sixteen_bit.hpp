#pragma once

#include <Eigen/Core>

#include "m2/core/scalar.hpp"

/// The 16-bit types of the CPU: Eigen's, so that matrices of them are Eigen matrices.
namespace m2 {

using half = Eigen::half;
using bfloat16 = Eigen::bfloat16;

template <>
inline constexpr bool is_sixteen_bit<Eigen::half> = true;
template <>
inline constexpr bool is_sixteen_bit<Eigen::bfloat16> = true;

}  // namespace m2
