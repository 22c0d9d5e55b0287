#pragma once

/// Monarch matrices on the CPU and their algebra, with Eigen on either side of `*`.
#include "m2/backend/cpu.hpp"
#include "m2/monarch/eigen.hpp"
#include "m2/monarch/monarch.hpp"
#include "m2/monarch/product.hpp"

namespace m2 {

template <int Order, Element T, Backend B = Cpu>
class Monarch;
template <int Order, Element T, Backend B = Cpu>
class PackedMonarch;

}  // namespace m2
