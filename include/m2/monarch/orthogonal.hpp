#pragma once

#include <cmath>
#include <vector>

#include "m2/monarch/monarch.hpp"

namespace m2 {

namespace detail {

template <class W>
W random_normal(Rng& rng) {
  const double re = rng.normal<double>();
  if constexpr (ComplexScalar<W>) {
    return W(re, rng.normal<double>());
  } else {
    return re;
  }
}

template <class W>
double squared_norm(const W* v, Index n) {
  double total = 0;
  for (Index i = 0; i < n; ++i) total += std::norm(v[i]);
  return total;
}

/// `count` orthonormal vectors of length n, distributed uniformly (Haar): Gram-Schmidt, twice, on normal vectors. The
/// triangular factor of this QR decomposition has a positive diagonal, which is what makes it Haar.  // (count, n)
template <class W>
std::vector<W> random_orthonormal(Index count, Index n, Rng& rng) {
  std::vector<W> vectors(static_cast<std::size_t>(count * n));
  for (Index c = 0; c < count; ++c) {
    W* const v = vectors.data() + c * n;
    for (Index i = 0; i < n; ++i) v[i] = random_normal<W>(rng);
    for (int pass = 0; pass < 2; ++pass)
      for (Index d = 0; d < c; ++d) {
        const W* const u = vectors.data() + d * n;
        W along = 0;
        for (Index i = 0; i < n; ++i) along += conjugate(u[i]) * v[i];
        for (Index i = 0; i < n; ++i) v[i] -= along * u[i];
      }
    const double norm = std::sqrt(squared_norm(v, n));
    for (Index i = 0; i < n; ++i) v[i] /= norm;
  }
  return vectors;
}

}  // namespace detail

/// A Monarch matrix whose blocks are orthogonal (unitary, if complex), each uniformly distributed: it keeps the norm of
/// what it multiplies, at any order, and starts a layer well. Blocks of a rectangular factor have orthonormal columns
/// where it widens, orthonormal rows where it narrows. Computed in double, rounded to T.
///
/// Cost     2 weights min(in, out) multiply-adds of each block, on the host
/// Source   Mezzadri 2007 (arXiv:math-ph/0609050); Giraud, Langou, Rozloznik 2005 on Gram-Schmidt done twice
template <int Order, Element T, Backend B>
Monarch<Order, T, B> random_orthogonal(B& be, const MonarchShape<Order>& shape, Rng& rng) {
  Monarch<Order, T, B> m(shape, be);
  std::vector<T> host;
  host.reserve(static_cast<std::size_t>(shape.parameter_count()));
  for (const FactorShape& f : shape.factors())
    for (Index block = 0; block < f.blocks(); ++block) {
      const bool tall = f.out >= f.in;
      const Index count = tall ? f.in : f.out, length = tall ? f.out : f.in;
      const auto vectors = detail::random_orthonormal<WideOf<T>>(count, length, rng);
      for (Index e = 0; e < f.out; ++e)
        for (Index d = 0; d < f.in; ++d)
          host.push_back(element_cast<T>(vectors[static_cast<std::size_t>(tall ? d * length + e : e * length + d)]));
    }
  be.upload(host.data(), m.weights().data(), shape.parameter_count());
  be.synchronize();
  return m;
}

}  // namespace m2
