#pragma once

#include <concepts>

namespace m2 {

/// Element types that m2 computes with.
template <class T>
concept Scalar = std::same_as<T, float> || std::same_as<T, double>;

static_assert(Scalar<float> && Scalar<double>);

}  // namespace m2
