#pragma once

/// Causal mixing of sequences by Monarch matrices on the CPU: m2::CausalMonarch, the polynomials behind it, and
/// m2::HierarchicalCausal, which needs no transform and is causal to the last bit.
#include "m2/backend/cpu.hpp"
#include "m2/monarch/causal.hpp"
#include "m2/monarch/hierarchical_causal.hpp"
#include "m2/monarch/polynomial.hpp"

namespace m2 {

template <int Order, Scalar T, Backend B = Cpu>
class CausalMonarch;
template <int Order, Scalar T, Backend B = Cpu>
class HierarchicalCausal;

}  // namespace m2
