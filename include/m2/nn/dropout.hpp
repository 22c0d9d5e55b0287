#pragma once

#include "m2/nn/module.hpp"
#include "m2/nn/rows.hpp"
#include "m2/ops/dropout.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

/// Sets each element to 0 with probability `rate` and divides the others by 1 - rate while its random site is training;
/// y = x otherwise. The mask is a pure function of (site key, element).
///
/// Shapes   x, y (batch, length, channels)
/// Writes   y; backward: dx (overwritten)
/// Errors   m2::Error unless 0 <= rate < 1
/// Cost     one pass; the mask is computed again by the backward pass, never stored
template <Scalar T, Backend B>
class Dropout {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {};

  explicit Dropout(double rate) : rate_(rate) {
    M2_REQUIRE(rate >= 0 && rate < 1, "dropout: the rate is ", rate, ", 0 <= rate < 1 is needed");
  }

  /// False when forward and backward copy their input.
  bool active() const { return rate_ > 0 && site_.training; }
  Extents<3> output_extents(Extents<3> x) const { return x; }
  Cache make_cache(B&, Extents<3>) const { return {}; }

  /// y may be x, which then costs nothing when not active.
  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache&) const {
    detail::require_extents("dropout: y", y.extents(), x.extents());
    if (active()) {
      m2::dropout(be, rate_, site_.key, x, y);
    } else if (x.data() != y.data()) {
      copy(be, x, y);
    }
  }

  /// dx may be dy.
  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache&, View<T, 3, B> dx) {
    detail::require_extents("dropout: dy", dy.extents(), x.extents());
    detail::require_extents("dropout: dx", dx.extents(), x.extents());
    if (active()) {
      dropout_vjp(be, rate_, site_.key, dy, dx);
    } else if (dy.data() != dx.data()) {
      copy(be, dy, dx);
    }
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("site", site_);
  }

 private:
  double rate_;
  RandomSite site_;
};

}  // namespace m2
