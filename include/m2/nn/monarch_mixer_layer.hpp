#pragma once

#include <array>
#include <cmath>

#include "m2/nn/monarch_linear.hpp"
#include "m2/ops/activations.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

template <int Order>
struct MonarchMixerLayerOptions {
  std::array<Index, static_cast<std::size_t>(Order)> sequence_radices{};  ///< their product is the length
  std::array<Index, static_cast<std::size_t>(Order)> channel_radices{};   ///< their product is the number of channels
};

/// The generic layer of the paper, for one sample X (length, channels):
///
///   X~ = M2 (K . (M1 X)),   Y^T = M4 gelu(M3 X~^T),
///
/// M1, M2 Monarch matrices along the sequence, K an elementwise kernel, M3, M4 Monarch matrices along the channels. The
/// sequence step is linear and, with learned M1 and M2, not causal. Factors start normal with deviation 1/sqrt(radix),
/// K normal with deviation 1.
///
/// Shapes   x, y (batch, length, channels); parameters m1, m2, m3, m4 (MonarchParameters), kernel (length, channels)
/// Writes   y; backward: dx (overwritten), parameter gradients (accumulated)
/// Errors   m2::Error if x does not have the length and channels that the radices make
/// Cost     4 batch length channels (sum of all radices) flops; no data is permuted, a sequence is mixed by its
///          strides; the cache holds 7 channels numbers a position
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 3, equations (2) and (3); math.md E1
template <int Order, Scalar T, Backend B>
class MonarchMixerLayer {
 public:
  using Scalar = T;
  using Backend = B;
  struct Cache {
    Tensor<T, 3, B> first, weighted, mixed, hidden, active;  // M1 X, K . it, X~, M3 X~^T, gelu of it
    Tensor<T, 3, B> a, b;                                    // gradients
  };

  explicit MonarchMixerLayer(const MonarchMixerLayerOptions<Order>& options)
      : m1_(MonarchShape<Order>::square(options.sequence_radices), start),
        m2_(MonarchShape<Order>::square(options.sequence_radices), start),
        m3_(MonarchShape<Order>::square(options.channel_radices), start),
        m4_(MonarchShape<Order>::square(options.channel_radices), start),
        kernel_({length(), channels()}, normal<T>(1.0)) {}

  Index length() const { return m1_.shape().in_features(); }
  Index channels() const { return m3_.shape().in_features(); }

  Extents<3> output_extents(Extents<3> x) const {
    M2_REQUIRE(x[1] == length() && x[2] == channels(), "monarch_mixer_layer: x is ", x, ", (batch, ", length(), ", ",
               channels(), ") is needed");
    return x;
  }
  Cache make_cache(B& be, Extents<3> x) const {
    output_extents(x);
    Cache cache;
    for (Tensor<T, 3, B>* tensor :
         {&cache.first, &cache.weighted, &cache.mixed, &cache.hidden, &cache.active, &cache.a, &cache.b}) {
      *tensor = Tensor<T, 3, B>(be, x);
    }
    return cache;
  }

  void forward(B& be, View<const T, 3, B> x, View<T, 3, B> y, Cache& cache) const {
    detail::require_extents("monarch_mixer_layer: y", y.extents(), output_extents(x.extents()));
    detail::require_extents("monarch_mixer_layer: x, by its cache,", x.extents(), cache.first.extents());
    mix_sequence(be, m1_, x, cache.first.view());
    multiply(be, cache.first.cview(), kernel_of(x.extent(0)), cache.weighted.view());
    mix_sequence(be, m2_, cache.weighted.cview(), cache.mixed.view());
    mix_channels(be, m3_, cache.mixed.cview(), cache.hidden.view());
    gelu(be, cache.hidden.cview(), cache.active.view());
    mix_channels(be, m4_, cache.active.cview(), y);
  }

  void backward(B& be, View<const T, 3, B> x, View<const T, 3, B> dy, Cache& cache, View<T, 3, B> dx) {
    detail::require_extents("monarch_mixer_layer: x, by its cache,", x.extents(), cache.first.extents());
    detail::require_extents("monarch_mixer_layer: dy", dy.extents(), x.extents());
    detail::require_extents("monarch_mixer_layer: dx", dx.extents(), x.extents());
    mix_channels_vjp(be, m4_, cache.active.cview(), dy, cache.a.view());
    gelu_vjp(be, cache.hidden.cview(), cache.a.cview(), cache.b.view());
    mix_channels_vjp(be, m3_, cache.mixed.cview(), cache.b.cview(), cache.a.view());
    mix_sequence_vjp(be, m2_, cache.weighted.cview(), cache.a.cview(), cache.b.view());
    const View<T, 2, B> dkernel = kernel_.template gradient<2>();
    for (Index sample = 0; sample < x.extent(0); ++sample) {  // the gradient of K sums over the samples, in order
      multiply(be, cache.first.cview().select(0, sample), cache.b.cview().select(0, sample),
               cache.a.view().select(0, sample));
      accumulate(be, cache.a.cview().select(0, sample), dkernel);
    }
    multiply(be, cache.b.cview(), kernel_of(x.extent(0)), cache.a.view());
    mix_sequence_vjp(be, m1_, x, cache.a.cview(), dx);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("m1", m1_);
    visitor("kernel", kernel_);
    visitor("m2", m2_);
    visitor("m3", m3_);
    visitor("m4", m4_);
  }

 private:
  using Matrix = MonarchParameters<Order, T, B>;

  static Initializer<T> start(const FactorShape& factor) {
    return normal<T>(1.0 / std::sqrt(static_cast<double>(factor.in)));
  }

  /// K, the same for every sample: (batch, length, channels) with stride 0 along the batch.
  View<const T, 3, B> kernel_of(Index batch) const {
    return {kernel_.template value<2>().data(), {batch, length(), channels()}, {0, channels(), 1}};
  }

  // Along the sequence a sample is (channels, length) with the channels contiguous: the batch-contiguous layout.
  static void mix_sequence(B& be, const Matrix& m, View<const T, 3, B> x, View<T, 3, B> y) {
    for (Index sample = 0; sample < x.extent(0); ++sample) {
      monarch_multiply(be, m.value(), x.select(0, sample).transpose(0, 1), y.select(0, sample).transpose(0, 1));
    }
  }
  static void mix_sequence_vjp(B& be, Matrix& m, View<const T, 3, B> x, View<const T, 3, B> dy, View<T, 3, B> dx) {
    for (Index sample = 0; sample < x.extent(0); ++sample) {
      monarch_multiply_vjp(be, m.value(), x.select(0, sample).transpose(0, 1), dy.select(0, sample).transpose(0, 1),
                           dx.select(0, sample).transpose(0, 1), m.gradient());
    }
  }
  static void mix_channels(B& be, const Matrix& m, View<const T, 3, B> x, View<T, 3, B> y) {
    detail::for_row_blocks([&](Index, View<const T, 2, B> x_rows,
                               View<T, 2, B> y_rows) { monarch_multiply(be, m.value(), x_rows, y_rows); },
                           x, y);
  }
  static void mix_channels_vjp(B& be, Matrix& m, View<const T, 3, B> x, View<const T, 3, B> dy, View<T, 3, B> dx) {
    detail::for_row_blocks(
        [&](Index, View<const T, 2, B> x_rows, View<const T, 2, B> dy_rows, View<T, 2, B> dx_rows) {
          monarch_multiply_vjp(be, m.value(), x_rows, dy_rows, dx_rows, m.gradient());
        },
        x, dy, dx);
  }

  Matrix m1_, m2_, m3_, m4_;
  Parameter<T, B> kernel_;
};

}  // namespace m2
