#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "m2/core/math.hpp"
#include "m2/ops/elements.hpp"

namespace m2 {

/// The target of rows that take no part in the loss, unless the caller chooses another one.
inline constexpr std::int32_t ignored_target = -100;

namespace detail {

template <class T, bool Unit>
struct SoftmaxCrossEntropy {
  Run<const T, Unit> logits;
  Index logits_row;
  Run<const std::int32_t, false> targets;
  std::int32_t ignored;
  Run<T, false> losses, log_normalizers;

  template <class Team>
  M2_HD void operator()(Index row, const Team& team) const {
    const Run<const T, Unit> in{logits.data + row * logits_row, logits.stride};
    const T highest = team.max([&](Index j) { return in[j]; });
    const T total = team.sum([&](Index j) { return math::exp(in[j] - highest); });
    const T spread = std::log(total);
    const std::int32_t target = targets[row];
    log_normalizers[row] = highest + spread;
    // The difference of logits first: next to large logits the sum above has lost the small digits of the loss.
    losses[row] = target == ignored ? T{0} : (highest - in[target == ignored ? 0 : target]) + spread;
  }
};

template <class T, bool Unit>
struct SoftmaxCrossEntropyVjp {
  Run<const T, Unit> logits;
  Run<T, Unit> dlogits;
  Index logits_row, dlogits_row;
  Run<const std::int32_t, false> targets;
  std::int32_t ignored;
  Run<const T, false> log_normalizers;
  T factor;

  template <class Team>
  M2_HD void operator()(Index row, const Team& team) const {
    const Run<const T, Unit> in{logits.data + row * logits_row, logits.stride};
    const Run<T, Unit> out{dlogits.data + row * dlogits_row, dlogits.stride};
    const std::int32_t target = targets[row];
    if (target == ignored) {
      team.each([&](Index j) { out[j] = T{0}; });
      return;
    }
    const T log_normalizer = log_normalizers[row], weight = factor;
    team.each([&](Index j) {
      const T probability = math::exp(in[j] - log_normalizer);
      out[j] = weight * (static_cast<std::int32_t>(j) == target ? probability - T{1} : probability);
    });
  }
};

struct CountedTargets {
  Run<const std::int32_t, false> targets;
  std::int32_t ignored;
  M2_HD double operator()(Index row) const { return targets[row] == ignored ? 0.0 : 1.0; }
};

template <class T>
struct ElementAt {
  Run<const T, false> values;
  M2_HD double operator()(Index i) const { return static_cast<double>(values[i]); }
};

template <Backend B>
double count_targets(B& be, const char* op, Input<std::int32_t, 1, B> targets, std::int32_t ignored) {
  const double counted = be.sum(targets.extent(0), CountedTargets{{targets.data(), targets.stride(0)}, ignored});
  M2_REQUIRE(counted > 0, op, ": none of the ", targets.extent(0), " targets is counted (all are ", ignored, ")");
  return counted;
}

}  // namespace detail

/// The mean of losses(r) = log sum_j e^logits(r, j) - logits(r, targets(r)) over the rows whose target is not `ignored`
/// (usually ignored_target); ignored rows get the loss 0. log_normalizers(r) = log sum_j e^logits(r, j) for the VJP.
///
/// Shapes   logits (rows, classes), targets, losses, log_normalizers (rows)
/// Writes   losses, log_normalizers (overwritten)
/// Errors   m2::Error if the shapes do not fit or no row is counted; targets themselves are not checked:
///          0 <= targets(r) < classes or targets(r) = ignored
/// Cost     the logits pass through memory once; waits for the backend, as it returns a number
template <Scalar T, Backend B>
double softmax_cross_entropy(B& be, Input<T, 2, B> logits, Input<std::int32_t, 1, B> targets, std::int32_t ignored,
                             View<T, 1, B> losses, View<T, 1, B> log_normalizers) {
  const Index rows = logits.extent(0), classes = logits.extent(1);
  M2_REQUIRE(classes >= 1 && classes <= std::numeric_limits<std::int32_t>::max() && targets.extent(0) == rows &&
                 losses.extent(0) == rows && log_normalizers.extent(0) == rows,
             "softmax_cross_entropy: logits is ", logits.extents(), ", targets is ", targets.extents(), ", losses is ",
             losses.extents(), ", log_normalizers is ", log_normalizers.extents());
  const double counted = detail::count_targets(be, "softmax_cross_entropy", targets, ignored);
  detail::with_constant(detail::unit_strides(logits), [&](auto unit) {
    be.for_rows(
        rows, classes,
        detail::SoftmaxCrossEntropy<T, decltype(unit)::value>{{logits.data(), logits.stride(1)},
                                                              logits.stride(0),
                                                              {targets.data(), targets.stride(0)},
                                                              ignored,
                                                              {losses.data(), losses.stride(0)},
                                                              {log_normalizers.data(), log_normalizers.stride(0)}});
  });
  return be.sum(rows, detail::ElementAt<T>{{losses.data(), losses.stride(0)}}) / counted;
}

/// VJP of softmax_cross_entropy for a cotangent `scale` of the mean loss:
/// dlogits(r, j) = scale / counted (e^(logits(r, j) - log_normalizers(r)) - [j = targets(r)]), 0 in ignored rows.
///
/// Shapes   logits, dlogits (rows, classes), targets, log_normalizers (rows)
/// Writes   dlogits (overwritten; may be logits)
/// Errors   m2::Error if the shapes do not fit or no row is counted
template <Scalar T, Backend B>
void softmax_cross_entropy_vjp(B& be, Input<T, 2, B> logits, Input<std::int32_t, 1, B> targets, std::int32_t ignored,
                               Input<T, 1, B> log_normalizers, double scale, View<T, 2, B> dlogits) {
  const Index rows = logits.extent(0), classes = logits.extent(1);
  M2_REQUIRE(logits.extents() == dlogits.extents() && targets.extent(0) == rows && log_normalizers.extent(0) == rows,
             "softmax_cross_entropy_vjp: logits is ", logits.extents(), ", targets is ", targets.extents(),
             ", log_normalizers is ", log_normalizers.extents(), ", dlogits is ", dlogits.extents());
  const double counted = detail::count_targets(be, "softmax_cross_entropy_vjp", targets, ignored);
  detail::with_constant(detail::unit_strides(logits, dlogits), [&](auto unit) {
    be.for_rows(
        rows, classes,
        detail::SoftmaxCrossEntropyVjp<T, decltype(unit)::value>{{logits.data(), logits.stride(1)},
                                                                 {dlogits.data(), dlogits.stride(1)},
                                                                 logits.stride(0),
                                                                 dlogits.stride(0),
                                                                 {targets.data(), targets.stride(0)},
                                                                 ignored,
                                                                 {log_normalizers.data(), log_normalizers.stride(0)},
                                                                 static_cast<T>(scale / counted)});
  });
}

}  // namespace m2
