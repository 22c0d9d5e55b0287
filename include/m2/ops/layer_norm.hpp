#pragma once

#include <array>
#include <cmath>
#include <type_traits>

#include "m2/ops/elements.hpp"

namespace m2 {

namespace detail {

template <class T, bool Unit>
struct LayerNorm {
  Run<const T, Unit> x, gamma, beta;
  Run<T, Unit> y;
  Index x_row, y_row;
  Run<T, false> mean, inverse_deviation;
  T epsilon;

  template <class Team>
  M2_HD M2_INLINE void operator()(Index row, const Team& team) const {
    const Run<const T, Unit> in{x.data + row * x_row, x.stride}, scale = gamma, shift = beta;
    const Run<T, Unit> out{y.data + row * y_row, y.stride};
    const T count = static_cast<T>(team.width);
    const T center = team.sum([&](Index j) { return in[j]; }) / count;
    // The second pass finds the row in the cache, and does not cancel as E[x^2] - E[x]^2 would.
    const T variance = team.sum([&](Index j) {
      const T d = in[j] - center;
      return d * d;
    }) / count;
    const T inverse = T{1} / std::sqrt(variance + epsilon);
    team.each([&](Index j) { out[j] = (in[j] - center) * inverse * scale[j] + shift[j]; });
    mean[row] = center;
    inverse_deviation[row] = inverse;
  }
};

template <class T, bool Unit>
struct LayerNormVjp {
  Run<const T, Unit> x, gamma, dy;
  Run<T, Unit> dx;
  Index x_row, dy_row, dx_row;
  Run<const T, false> mean, inverse_deviation;

  template <class Team>
  M2_HD M2_INLINE void operator()(Index row, const Team& team) const {
    const Run<const T, Unit> in{x.data + row * x_row, x.stride}, cotangent{dy.data + row * dy_row, dy.stride},
        scale = gamma;
    const Run<T, Unit> out{dx.data + row * dx_row, dx.stride};
    const T center = mean[row], inverse = inverse_deviation[row], count = static_cast<T>(team.width);
    const T along_mean = team.sum([&](Index j) { return cotangent[j] * scale[j]; }) / count;
    const T along_x = team.sum([&](Index j) { return cotangent[j] * scale[j] * ((in[j] - center) * inverse); }) / count;
    team.each([&](Index j) {
      out[j] = inverse * (cotangent[j] * scale[j] - along_mean - (in[j] - center) * inverse * along_x);
    });
  }
};

template <class T>
struct LayerNormParameters {
  Run<const T, false> mean, inverse_deviation;

  M2_HD M2_INLINE void operator()(Index row, const T& x, const T& dy, T (&sums)[2]) const {
    sums[0] += dy * ((x - mean[row]) * inverse_deviation[row]);
    sums[1] += dy;
  }
};

}  // namespace detail

/// y(r, c) = gamma(c) (x(r, c) - mean(r)) / sqrt(variance(r) + epsilon) + beta(c), mean and variance over the channels
/// of row r. mean and inverse_deviation = 1 / sqrt(variance + epsilon) are what the VJP needs.
///
/// Shapes   x, y (rows, channels); gamma, beta (channels); mean, inverse_deviation (rows)
/// Writes   y (overwritten; may be x when there is no VJP to follow), mean, inverse_deviation (overwritten)
/// Errors   m2::Error if the shapes do not fit
/// Cost     x and y pass through memory once
/// Source   Ba, Kiros, Hinton 2016 (arXiv:1607.06450)
template <Scalar T, Backend B>
void layer_norm(B& be, Input<T, 2, B> x, Input<T, 1, B> gamma, Input<T, 1, B> beta, double epsilon, View<T, 2, B> y,
                View<T, 1, B> mean, View<T, 1, B> inverse_deviation) {
  M2_REQUIRE(x.extents() == y.extents() && gamma.extent(0) == x.extent(1) && beta.extent(0) == x.extent(1) &&
                 mean.extent(0) == x.extent(0) && inverse_deviation.extent(0) == x.extent(0),
             "layer_norm: x is ", x.extents(), ", gamma is ", gamma.extents(), ", beta is ", beta.extents(), ", y is ",
             y.extents(), ", mean is ", mean.extents(), ", inverse_deviation is ", inverse_deviation.extents());
  M2_REQUIRE(epsilon >= 0, "layer_norm: epsilon is ", epsilon, ", at least 0 is needed");
  if (x.size() == 0) return;
  detail::with_constant(detail::unit_strides(x, gamma, beta, y), [&](auto unit) {
    be.for_rows(x.extent(0), x.extent(1),
                detail::LayerNorm<T, decltype(unit)::value>{{x.data(), x.stride(1)},
                                                            {gamma.data(), gamma.stride(0)},
                                                            {beta.data(), beta.stride(0)},
                                                            {y.data(), y.stride(1)},
                                                            x.stride(0),
                                                            y.stride(0),
                                                            {mean.data(), mean.stride(0)},
                                                            {inverse_deviation.data(), inverse_deviation.stride(0)},
                                                            static_cast<T>(epsilon)});
  });
}

/// VJP of layer_norm. With n = (x - mean) inverse_deviation and g = gamma dy:
/// dx = inverse_deviation (g - mean of g - n mean of (g n)), means over the channels;
/// dgamma += sum over rows of dy n; dbeta += sum over rows of dy.
///
/// Shapes   x, dy, dx (rows, channels); gamma, dgamma, dbeta (channels); mean, inverse_deviation (rows)
/// Writes   dx (overwritten; may be dy), dgamma, dbeta (accumulated, in a fixed order)
/// Errors   m2::Error if the shapes do not fit
/// Cost     x and dy pass through memory twice, dx once
template <Scalar T, Backend B>
void layer_norm_vjp(B& be, Input<T, 2, B> x, Input<T, 1, B> gamma, Input<T, 1, B> mean,
                    Input<T, 1, B> inverse_deviation, Input<T, 2, B> dy, View<T, 2, B> dx, View<T, 1, B> dgamma,
                    View<T, 1, B> dbeta) {
  M2_REQUIRE(dy.extents() == x.extents() && dx.extents() == x.extents() && gamma.extent(0) == x.extent(1) &&
                 dgamma.extent(0) == x.extent(1) && dbeta.extent(0) == x.extent(1) && mean.extent(0) == x.extent(0) &&
                 inverse_deviation.extent(0) == x.extent(0),
             "layer_norm_vjp: x is ", x.extents(), ", gamma is ", gamma.extents(), ", mean is ", mean.extents(),
             ", inverse_deviation is ", inverse_deviation.extents(), ", dy is ", dy.extents(), ", dx is ", dx.extents(),
             ", dgamma is ", dgamma.extents(), ", dbeta is ", dbeta.extents());
  if (x.size() == 0) return;
  const detail::Run<const T, false> means{mean.data(), mean.stride(0)};
  const detail::Run<const T, false> inverses{inverse_deviation.data(), inverse_deviation.stride(0)};
  // Parameters first: dx may overwrite dy.
  detail::sum_columns(be, detail::LayerNormParameters<T>{means, inverses}, std::array{dgamma, dbeta}, x, dy);
  detail::with_constant(detail::unit_strides(x, gamma, dy, dx), [&](auto unit) {
    be.for_rows(x.extent(0), x.extent(1),
                detail::LayerNormVjp<T, decltype(unit)::value>{{x.data(), x.stride(1)},
                                                               {gamma.data(), gamma.stride(0)},
                                                               {dy.data(), dy.stride(1)},
                                                               {dx.data(), dx.stride(1)},
                                                               x.stride(0),
                                                               dy.stride(0),
                                                               dx.stride(0),
                                                               means,
                                                               inverses});
  });
}

}  // namespace m2
