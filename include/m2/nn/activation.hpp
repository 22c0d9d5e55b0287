#pragma once

#include "m2/nn/module.hpp"
#include "m2/nn/rows.hpp"
#include "m2/ops/activations.hpp"

namespace m2 {

enum class ActivationKind { gelu, silu, sine };

/// A pointwise function as a module: y = f(x), for the functions of m2/ops/activations.hpp.
///
/// Shapes   x, y (batch, length, channels)
/// Writes   y; backward: dx (overwritten)
template <ActivationKind Kind, Scalar T, Backend B>
class Activation {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {};

  Extents<3> output_extents(Extents<3> x) const { return x; }
  Cache make_cache(B&, Extents<3>) const { return {}; }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache&) const {
    detail::require_extents("activation: y", y.extents(), x.extents());
    if constexpr (Kind == ActivationKind::gelu) {
      gelu(be, x, y);
    } else if constexpr (Kind == ActivationKind::silu) {
      silu(be, x, y);
    } else {
      sine(be, x, y);
    }
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache&, View<T, 3, B> dx) {
    detail::require_extents("activation: dy", dy.extents(), x.extents());
    detail::require_extents("activation: dx", dx.extents(), x.extents());
    if constexpr (Kind == ActivationKind::gelu) {
      gelu_vjp(be, x, dy, dx);
    } else if constexpr (Kind == ActivationKind::silu) {
      silu_vjp(be, x, dy, dx);
    } else {
      sine_vjp(be, x, dy, dx);
    }
  }

  template <class Visitor>
  void visit(Visitor&&) {}
};

template <Scalar T, Backend B>
using Gelu = Activation<ActivationKind::gelu, T, B>;
template <Scalar T, Backend B>
using Silu = Activation<ActivationKind::silu, T, B>;
template <Scalar T, Backend B>
using Sine = Activation<ActivationKind::sine, T, B>;

}  // namespace m2
