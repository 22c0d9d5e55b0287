#pragma once

#include <concepts>

#include "m2/nn/parameter.hpp"

namespace m2 {

/// A differentiable map of activations (batch, length, channels) with named parameters. A module declares
///
///   using Scalar = float;  using Backend = Cpu;            element type and backend
///   struct Cache;                                          what the backward pass needs, allocated once
///   Extents<3> output_extents(Extents<3>) const            shape of y for a shape of x; m2::Error when x does not fit
///   Cache make_cache(Backend&, Extents<3>) const           all memory that forward and backward use
///   void forward(be, x, y, cache) const                    y overwritten
///   void backward(be, x, dy, cache, dx)                    dx overwritten, parameter gradients accumulated
///   void visit(visitor)                                    visitor("name", member) for each parameter and child
///
/// The backward pass belongs to the last forward pass with the same cache and the same x.
template <class M>
concept Module = Scalar<typename M::Scalar> && Backend<typename M::Backend> &&
    requires(const M& cm, M& m, typename M::Backend& be, typename M::Cache& cache, Extents<3> extents,
             View<const typename M::Scalar, 3, typename M::Backend> in,
             View<typename M::Scalar, 3, typename M::Backend> out) {
  { cm.output_extents(extents) } -> std::same_as<Extents<3>>;
  { cm.make_cache(be, extents) } -> std::same_as<typename M::Cache>;
  cm.forward(be, in, out, cache);
  m.backward(be, in, in, cache, out);
  m.visit(detail::VisitProbe{});
};

}  // namespace m2
