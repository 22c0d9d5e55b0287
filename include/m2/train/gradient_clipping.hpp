#pragma once

#include <cmath>

#include "m2/nn/parameter.hpp"

namespace m2 {

/// The Euclidean norm of all gradients of a store taken as one vector, summed in double.
///
/// Cost     one read of the gradients; the same bits for any number of threads
template <Scalar T, Backend B>
double gradient_norm(B& be, ParameterStore<T, B>& store) {
  const T* const gradients = store.gradients().data();
  return std::sqrt(be.sum(store.gradients().extent(0), [=] M2_HD(Index i) {
    const double g = static_cast<double>(gradients[i]);
    return g * g;
  }));
}

/// The factor that brings a gradient of this norm to at most `limit`: min(1, limit / norm). A limit of 0 clips nothing.
///
/// Errors   m2::Error if the limit is negative or NaN
/// Source   Pascanu, Mikolov, Bengio 2013 (arXiv:1211.5063) Alg. 1
inline double clipping_scale(double norm, double limit) {
  M2_REQUIRE(limit >= 0, "clipping_scale: the limit is ", limit, ", a number >= 0 is needed");
  return limit == 0 || norm <= limit ? 1.0 : limit / norm;
}

}  // namespace m2
