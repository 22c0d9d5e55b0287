#pragma once

/// Causal mixing of sequences by Monarch matrices on the CPU: m2::CausalMonarch, and the polynomials behind it.
#include "m2/backend/cpu.hpp"
#include "m2/monarch/causal.hpp"
#include "m2/monarch/polynomial.hpp"

namespace m2 {

template <int Order, Scalar T, Backend B = Cpu>
class CausalMonarch;

}  // namespace m2
