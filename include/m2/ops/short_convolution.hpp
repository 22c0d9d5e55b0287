#pragma once

#include <type_traits>

#include "m2/ops/elements.hpp"

namespace m2 {

namespace detail {

/// y(b, t, c) = bias(c) + sum_k weight(c, k) x(b, t - (Taps - 1) + k, c) for a run of consecutive t: a team loads
/// weights and inputs once for all of them. Taps = 0 leaves the number of taps to run time. Time may run backwards
/// (negative strides), which is what the VJP with respect to x needs.
template <class T, int Taps, bool Unit, bool Biased>
struct ShortConvolution {
  const T* x;
  Extents<3> x_strides;
  const T* weight;
  Index weight_channel, weight_tap;
  Run<const T, Unit> bias;
  T* y;
  Extents<3> y_strides;
  Index length, runs, taps;

  static constexpr Index steps = 8;

  template <class Team>
  M2_HD M2_INLINE void operator()(Index row, const Team& team) const {
    const Index batch = row / runs, begin = (row - batch * runs) * steps;
    const Index end = begin + steps < length ? begin + steps : length;
    const T* from = x + batch * x_strides[0];
    T* to = y + batch * y_strides[0];
    if (Taps > 0 && begin >= Taps - 1 && begin + steps == end) return whole_run(from, to, begin, team);
    for (Index t = begin; t < end; ++t) one_step(from, to, t, team);
  }

  /// All inputs of the run are inside the sequence.
  template <class Team>
  M2_HD void whole_run(const T* from, T* to, Index begin, const Team& team) const {
    constexpr Index window = steps + (Taps > 0 ? Taps : 1) - 1;
    const Run<const T, Unit> first{from + (begin - (Taps - 1)) * x_strides[1], x_strides[2]}, shift = bias;
    const Run<T, Unit> out{to + begin * y_strides[1], y_strides[2]};
    const T* taps_of = weight;
    const Index x_step = x_strides[1], y_step = y_strides[1], channel = weight_channel, tap = weight_tap;
    team.each([&](Index j) {
      T w[static_cast<std::size_t>(Taps > 0 ? Taps : 1)], in[static_cast<std::size_t>(window)];
      for (Index k = 0; k < Taps; ++k) w[k] = taps_of[j * channel + k * tap];
      for (Index i = 0; i < window; ++i) in[i] = (&first[j])[i * x_step];
      T start = 0;
      if constexpr (Biased) start = shift[j];
      for (Index i = 0; i < steps; ++i) {
        T total = start;
        for (Index k = 0; k < Taps; ++k) total += w[k] * in[i + k];
        (&out[j])[i * y_step] = total;
      }
    });
  }

  template <class Team>
  M2_HD void one_step(const T* from, T* to, Index t, const Team& team) const {
    const Index count = taps < t + 1 ? taps : t + 1, skipped = taps - count;
    const Run<const T, Unit> first{from + (t - (count - 1)) * x_strides[1], x_strides[2]}, shift = bias;
    const Run<T, Unit> out{to + t * y_strides[1], y_strides[2]};
    const T* taps_of = weight + skipped * weight_tap;
    const Index x_step = x_strides[1], channel = weight_channel, tap = weight_tap;
    team.each([&](Index j) {
      T total = 0;
      if constexpr (Biased) total = shift[j];
      for (Index k = 0; k < count; ++k) total += taps_of[j * channel + k * tap] * (&first[j])[k * x_step];
      out[j] = total;
    });
  }
};

/// dweight(c, k) += sum of dy(b, t, c) x(b, t - (Taps - 1) + k, c), dbias(c) += sum of dy(b, t, c), for a block of
/// columns.
template <class T, int Taps, bool Unit>
struct ShortConvolutionParameters {
  const T* x;
  const T* dy;
  Extents<3> x_strides, dy_strides;
  T* dweight;
  Index weight_channel, weight_tap;
  Run<T, Unit> dbias;
  Index batch, length, taps;

  static constexpr Index steps = 8;

  template <class Team>
  M2_HD M2_INLINE void operator()(Index block, const Team& team) const {
    const Index column = block * team.width;
    for (Index b = 0; b < batch; ++b) {
      const T* in = x + b * x_strides[0] + column * x_strides[2];
      const T* cotangent = dy + b * dy_strides[0] + column * dy_strides[2];
      for (Index t = 0; t < length;) {
        if (Taps > 0 && t >= Taps - 1 && t + steps <= length) {
          whole_run(in, cotangent, column, t, team);
          t += steps;
        } else {
          one_step(in, cotangent, column, t, team);
          ++t;
        }
      }
    }
  }

  template <class Team>
  M2_HD void whole_run(const T* in, const T* cotangent, Index column, Index t, const Team& team) const {
    constexpr Index window = steps + (Taps > 0 ? Taps : 1) - 1;
    const Run<const T, Unit> first{in + (t - (Taps - 1)) * x_strides[1], x_strides[2]};
    const Run<const T, Unit> given{cotangent + t * dy_strides[1], dy_strides[2]};
    const Run<T, Unit> bias{&dbias[column], dbias.stride};
    T* taps_of = dweight + column * weight_channel;
    const Index x_step = x_strides[1], dy_step = dy_strides[1], channel = weight_channel, tap = weight_tap;
    team.each([&](Index j) {
      T values[static_cast<std::size_t>(window)], g[static_cast<std::size_t>(steps)], sum = 0;
      for (Index i = 0; i < window; ++i) values[i] = (&first[j])[i * x_step];
      for (Index i = 0; i < steps; ++i) sum += g[i] = (&given[j])[i * dy_step];
      for (Index k = 0; k < Taps; ++k) {
        T total = 0;
        for (Index i = 0; i < steps; ++i) total += g[i] * values[i + k];
        taps_of[j * channel + k * tap] += total;
      }
      bias[j] += sum;
    });
  }

  template <class Team>
  M2_HD void one_step(const T* in, const T* cotangent, Index column, Index t, const Team& team) const {
    const Index count = taps < t + 1 ? taps : t + 1, skipped = taps - count;
    const Run<const T, Unit> first{in + (t - (count - 1)) * x_strides[1], x_strides[2]};
    const Run<const T, Unit> given{cotangent + t * dy_strides[1], dy_strides[2]};
    const Run<T, Unit> bias{&dbias[column], dbias.stride};
    T* taps_of = dweight + column * weight_channel + skipped * weight_tap;
    const Index x_step = x_strides[1], channel = weight_channel, tap = weight_tap;
    team.each([&](Index j) {
      for (Index k = 0; k < count; ++k) taps_of[j * channel + k * tap] += given[j] * (&first[j])[k * x_step];
      bias[j] += given[j];
    });
  }
};

/// Calls f with the number of taps as a constant where that is worth code of its own (3 in M2, 4 in Hyena's GPU
/// kernels).
template <class F>
void with_taps(Index taps, bool unit, F&& f) {
  if (unit && taps == 3)
    f(std::integral_constant<int, 3>{}, std::true_type{});
  else if (unit && taps == 4)
    f(std::integral_constant<int, 4>{}, std::true_type{});
  else
    with_constant(unit, [&](auto is_unit) { f(std::integral_constant<int, 0>{}, is_unit); });
}

template <bool Biased, class T, Backend B>
void convolve(B& be, View<const T, 3, B> x, View<const T, 2, B> weight, Run<const T, false> bias, View<T, 3, B> y) {
  const Index length = y.extent(1), taps = weight.extent(1);
  if (y.size() == 0) return;
  with_taps(taps, unit_strides(x, y) && bias.stride == 1, [&](auto constant_taps, auto unit) {
    using Kernel = ShortConvolution<T, decltype(constant_taps)::value, decltype(unit)::value, Biased>;
    const Index runs = (length + Kernel::steps - 1) / Kernel::steps;
    for_deep_rows(be, y.extent(0) * runs, y.extent(2), Kernel::steps,
                  Kernel{x.data(),
                         x.strides(),
                         weight.data(),
                         weight.stride(0),
                         weight.stride(1),
                         {bias.data, bias.stride},
                         y.data(),
                         y.strides(),
                         length,
                         runs,
                         taps});
  });
}

}  // namespace detail

/// Depthwise causal convolution along the sequence: with K taps,
/// y(b, t, c) = bias(c) + sum_k weight(c, k) x(b, t - (K - 1) + k, c), x = 0 before the start.
///
/// Shapes   x, y (batch, length, channels), weight (channels, K), bias (channels)
/// Writes   y (overwritten; not x)
/// Errors   m2::Error if the shapes do not fit
/// Cost     2 K batch length channels flops
/// Source   Poli et al. 2023 (arXiv:2302.10866) Sec. 3.1; weights as in PyTorch's Conv1d with groups = channels
template <Scalar T, Backend B>
void short_convolution(B& be, Input<T, 3, B> x, Input<T, 2, B> weight, Input<T, 1, B> bias, View<T, 3, B> y) {
  M2_REQUIRE(x.extents() == y.extents() && weight.extent(0) == x.extent(2) && weight.extent(1) >= 1 &&
                 bias.extent(0) == x.extent(2),
             "short_convolution: x is ", x.extents(), ", weight is ", weight.extents(), ", bias is ", bias.extents(),
             ", y is ", y.extents());
  detail::convolve<true, T>(be, x, weight, {bias.data(), bias.stride(0)}, y);
}

/// VJP of short_convolution: dx(b, t, c) = sum_k weight(c, k) dy(b, t + (K - 1) - k, c) inside the sequence,
/// dweight(c, k) += sum of dy(b, t, c) x(b, t - (K - 1) + k, c), dbias(c) += sum of dy(b, t, c).
///
/// Shapes   x, dy, dx (batch, length, channels), weight, dweight (channels, K), dbias (channels)
/// Writes   dx (overwritten; not dy), dweight, dbias (accumulated, in a fixed order)
/// Errors   m2::Error if the shapes do not fit
/// Cost     4 K batch length channels flops
template <Scalar T, Backend B>
void short_convolution_vjp(B& be, Input<T, 3, B> x, Input<T, 2, B> weight, Input<T, 3, B> dy, View<T, 3, B> dx,
                           View<T, 2, B> dweight, View<T, 1, B> dbias) {
  M2_REQUIRE(dy.extents() == x.extents() && dx.extents() == x.extents() && weight.extent(0) == x.extent(2) &&
                 weight.extent(1) >= 1 && dweight.extents() == weight.extents() && dbias.extent(0) == x.extent(2),
             "short_convolution_vjp: x is ", x.extents(), ", weight is ", weight.extents(), ", dy is ", dy.extents(),
             ", dx is ", dx.extents(), ", dweight is ", dweight.extents(), ", dbias is ", dbias.extents());
  if (x.size() == 0) return;
  const Index channels = x.extent(2), width = detail::column_block(channels);
  detail::with_taps(weight.extent(1), detail::unit_strides(x, dy, dbias), [&](auto taps, auto unit) {
    using Kernel = detail::ShortConvolutionParameters<T, decltype(taps)::value, decltype(unit)::value>;
    detail::for_deep_rows(be, channels / width, width, x.extent(0) * x.extent(1),
                          Kernel{x.data(),
                                 dy.data(),
                                 x.strides(),
                                 dy.strides(),
                                 dweight.data(),
                                 dweight.stride(0),
                                 dweight.stride(1),
                                 {dbias.data(), dbias.stride(0)},
                                 x.extent(0),
                                 x.extent(1),
                                 weight.extent(1)});
  });
  // Backwards in time, the sum for dx is the convolution itself.
  const Index last = x.extent(1) - 1;
  const View<const T, 3, B> dy_back(dy.data() + last * dy.stride(1), dy.extents(),
                                    {dy.stride(0), -dy.stride(1), dy.stride(2)});
  const View<T, 3, B> dx_back(dx.data() + last * dx.stride(1), dx.extents(),
                              {dx.stride(0), -dx.stride(1), dx.stride(2)});
  detail::convolve<false, T>(be, dy_back, weight, {nullptr, 1}, dx_back);
}

}  // namespace m2
