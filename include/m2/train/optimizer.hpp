#pragma once

#include <concepts>
#include <string>

#include "m2/nn/parameter.hpp"

namespace m2 {

namespace detail {

/// A visitor of an optimizer's state that does nothing: flat arrays and counts are what a state may hold.
template <class T, class B>
struct OptimizerStateProbe {
  void operator()(const std::string&, View<T, 1, B>) const {}
  void operator()(const std::string&, Index&) const {}
};

}  // namespace detail

/// Turns the gradients of a ParameterStore into an update of its values.
///
/// step(be, store, learning_rate_scale, gradient_scale)   one update; the learning rate and the gradients are
///                                                        multiplied by the scales (schedule, clipping)
/// learning_rate()                                        the learning rate before any scale
/// visit_state(visitor)                                   visitor(name, View<T, 1, B>) for arrays laid out as
///                                                        store.values(), visitor(name, Index&) for counts
template <class O, class T, class B>
concept Optimizer = requires(O& optimizer, const O& constant, B& be, ParameterStore<T, B>& store, double scale) {
  optimizer.step(be, store, scale, scale);
  { constant.learning_rate() } -> std::convertible_to<double>;
  optimizer.visit_state(detail::OptimizerStateProbe<T, B>{});
};

}  // namespace m2
