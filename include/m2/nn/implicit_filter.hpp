#pragma once

#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "m2/nn/linear.hpp"
#include "m2/ops/activations.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

struct ImplicitFilterOptions {
  Index width = 64;              ///< of the network
  Index embedding = 5;           ///< features of a position: odd, at least 3
  double frequency = 10.0;       ///< start of the learnable frequencies of the sines
  double frequency_scale = 1.0;  ///< a constant factor on them
  bool bidirectional = false;    ///< a second network for the reverse kernel, with the same positions and frequencies
  std::optional<double> deviation = {};       ///< normal start of the network, see LinearOptions
  double position_learning_rate_scale = 1.0;  ///< of the learnable position features z
};

/// The kernels of a long convolution as a function of position, a small network of sines:
///
///   h = sin(s phi . (A0 z_i + a0)),  h = sin(s phi . (A1 h + a1)),  h = sin(s phi . (A2 h + a2)),
///   k_i = (A3 h) . exp(-t_i |delta|),   t_i = i / (max_length - 1),
///
/// phi one vector for all sines, delta_c evenly spaced from ln(0.01) / 1.5 to ln(0.01) / 0.3 over the channels, and z
/// learnable, starting at [t_i, cos(f_b w_i), -sin(f_b w_i)], w_i = 2 pi i / max_length, f_b evenly spaced from 1e-4 to
/// bands - 1. A kernel of less than max_length is the first part of the longest one, not rescaled.
///
/// Not a Module, since it has no input: generate() and backward() take its place.
///
/// Shapes   k, k_reverse (length, channels), length <= max_length; parameters z (max_length, embedding),
///          frequency (width), network.0 .. network.3 and, if bidirectional, reverse.0 .. reverse.3
/// Writes   generate: k, k_reverse; backward: parameter gradients (accumulated)
/// Errors   m2::Error if the length exceeds max_length or the embedding is not odd and at least 3
/// Cost     4 length width (width + channels / 2) flops a kernel
/// Source   Poli et al. 2023 (arXiv:2302.10866); m2-reference section 2.3
template <Scalar T, Backend B>
class ImplicitFilter {
 public:
  using Scalar = T;
  using Backend = B;
  static constexpr std::size_t sines = 3;
  struct Cache {
    struct Direction {
      std::array<Tensor<T, 3, B>, sines> before, after;  // (1, length, width), of each sine
      Tensor<T, 3, B> raw;                               // (1, length, channels), without decay
    };
    std::array<Direction, 2> directions;
    Tensor<T, 2, B> decay;            // (length, channels)
    Tensor<T, 3, B> dafter, dbefore;  // (1, length, width)
    Tensor<T, 3, B> draw, dz;         // (1, length, channels), (1, length, embedding)
    Index length = 0;
  };

  ImplicitFilter(Index channels, Index max_length, ImplicitFilterOptions options = {})
      : channels_(channels), max_length_(max_length), options_(options) {
    M2_REQUIRE(channels >= 1 && max_length >= 1 && options.width >= 1, "implicit_filter: ", channels,
               " channels, length ", max_length, ", width ", options.width, ", at least 1 of each is needed");
    M2_REQUIRE(options.embedding >= 3 && options.embedding % 2 == 1, "implicit_filter: the embedding is ",
               options.embedding, ", an odd number of at least 3 is needed");
    z_ = {{max_length, options.embedding},
          positions(max_length, options.embedding),
          {.weight_decay = false, .learning_rate_scale = options.position_learning_rate_scale}};
    frequency_ = {{options.width}, constant<T>(options.frequency), ParameterOptions{.weight_decay = false}};
    network_ = layers();
    if (options.bidirectional) reverse_ = layers();
  }

  bool bidirectional() const { return options_.bidirectional; }
  Index max_length() const { return max_length_; }

  Cache make_cache(B& be, Index length) const {
    M2_REQUIRE(length >= 1 && length <= max_length_, "implicit_filter: the length is ", length,
               ", the filter was made for up to ", max_length_);
    const Extents<3> inner{1, length, options_.width}, outer{1, length, channels_};
    Cache cache;
    for (std::size_t d = 0; d < (bidirectional() ? 2U : 1U); ++d) {
      for (std::size_t i = 0; i < sines; ++i) {
        cache.directions[d].before[i] = Tensor<T, 3, B>(be, inner);
        cache.directions[d].after[i] = Tensor<T, 3, B>(be, inner);
      }
      cache.directions[d].raw = Tensor<T, 3, B>(be, outer);
    }
    cache.dafter = Tensor<T, 3, B>(be, inner);
    cache.dbefore = Tensor<T, 3, B>(be, inner);
    cache.draw = Tensor<T, 3, B>(be, outer);
    cache.dz = Tensor<T, 3, B>(be, {1, length, options_.embedding});
    cache.decay = Tensor<T, 2, B>(be, {length, channels_});
    const std::vector<T> decay = decay_table(length);
    be.upload(decay.data(), cache.decay.data(), cache.decay.size());
    be.synchronize();
    cache.length = length;
    return cache;
  }

  /// k_reverse is written only by a bidirectional filter; otherwise it may be an empty view.
  void generate(B& be, View<T, 2, B> k, View<T, 2, B> k_reverse, Cache& cache) const {
    check("implicit_filter: k", k.extents(), cache);
    run(be, network_, k, cache.directions[0], cache);
    if (!bidirectional()) return;
    check("implicit_filter: k_reverse", k_reverse.extents(), cache);
    run(be, reverse_, k_reverse, cache.directions[1], cache);
  }

  /// For the kernels of the last generate() with this cache.
  void backward(B& be, View<const T, 2, B> dk, View<const T, 2, B> dk_reverse, Cache& cache) {
    check("implicit_filter: dk", dk.extents(), cache);
    run_backward(be, network_, dk, cache.directions[0], cache);
    if (!bidirectional()) return;
    check("implicit_filter: dk_reverse", dk_reverse.extents(), cache);
    run_backward(be, reverse_, dk_reverse, cache.directions[1], cache);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("z", z_);
    visitor("frequency", frequency_);
    for (std::size_t i = 0; i < network_.size(); ++i) visitor("network." + std::to_string(i), network_[i]);
    for (std::size_t i = 0; i < reverse_.size(); ++i) visitor("reverse." + std::to_string(i), reverse_[i]);
  }

 private:
  using Layers = std::vector<Linear<T, B>>;  // sines + 1, or none

  static double spaced(double first, double last, Index i, Index count) {
    return count == 1 ? first : first + (last - first) * static_cast<double>(i) / static_cast<double>(count - 1);
  }

  static Initializer<T> positions(Index max_length, Index embedding) {
    return [=](std::span<T> out, Rng&) {
      const Index bands = (embedding - 1) / 2;
      auto next = out.begin();
      for (Index i = 0; i < max_length; ++i) {
        const double angle = 2.0 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(max_length);
        *next++ = static_cast<T>(spaced(0.0, 1.0, i, max_length));
        for (const bool cosine : {true, false}) {
          for (Index b = 0; b < bands; ++b) {
            const double f = spaced(1e-4, static_cast<double>(bands - 1), b, bands);
            *next++ = static_cast<T>(cosine ? std::cos(f * angle) : -std::sin(f * angle));
          }
        }
      }
    };
  }

  Layers layers() const {
    Layers result;
    result.emplace_back(options_.embedding, options_.width, LinearOptions{.deviation = options_.deviation});
    for (std::size_t i = 1; i < sines; ++i) {
      result.emplace_back(options_.width, options_.width, LinearOptions{.deviation = options_.deviation});
    }
    result.emplace_back(options_.width, channels_, LinearOptions{.bias = false, .deviation = options_.deviation});
    return result;
  }

  std::vector<T> decay_table(Index length) const {
    const double slowest = std::log(0.01) / 1.5, fastest = std::log(0.01) / 0.3;
    std::vector<T> table;
    for (Index i = 0; i < length; ++i) {
      for (Index c = 0; c < channels_; ++c) {
        table.push_back(static_cast<T>(
            std::exp(-spaced(0.0, 1.0, i, max_length_) * std::abs(spaced(slowest, fastest, c, channels_)))));
      }
    }
    return table;
  }

  void check(const char* what, Extents<2> extents, const Cache& cache) const {
    detail::require_extents(what, extents, {cache.length, channels_});
  }

  View<const T, 3, B> position_rows(Index length) const {
    return z_.template value<2>().slice(0, 0, length).split(0, length);
  }

  void run(B& be, const Layers& network, View<T, 2, B> k, typename Cache::Direction& saved, Cache& cache) const {
    typename Linear<T, B>::Cache none;
    View<const T, 3, B> h = position_rows(cache.length);
    for (std::size_t i = 0; i < sines; ++i) {
      network[i].forward(be, h, saved.before[i].view(), none);
      sine_scaled(be, frequency_.template value<1>(), static_cast<T>(options_.frequency_scale),
                  saved.before[i].cview().merge(0), saved.after[i].view().merge(0));
      h = saved.after[i].cview();
    }
    network[sines].forward(be, h, saved.raw.view(), none);
    multiply(be, saved.raw.cview().merge(0), cache.decay.cview(), k);
  }

  void run_backward(B& be, Layers& network, View<const T, 2, B> dk, typename Cache::Direction& saved, Cache& cache) {
    typename Linear<T, B>::Cache none;
    multiply(be, dk, cache.decay.cview(), cache.draw.view().merge(0));
    network[sines].backward(be, saved.after[sines - 1].cview(), cache.draw.cview(), none, cache.dafter.view());
    for (std::size_t i = sines; i-- > 0;) {
      sine_scaled_vjp(be, frequency_.template value<1>(), static_cast<T>(options_.frequency_scale),
                      saved.before[i].cview().merge(0), cache.dafter.cview().merge(0), cache.dbefore.view().merge(0),
                      frequency_.template gradient<1>());
      const View<const T, 3, B> h = i == 0 ? position_rows(cache.length) : saved.after[i - 1].cview();
      network[i].backward(be, h, cache.dbefore.cview(), none, i == 0 ? cache.dz.view() : cache.dafter.view());
    }
    accumulate(be, cache.dz.cview().merge(0), z_.template gradient<2>().slice(0, 0, cache.length));
  }

  Index channels_, max_length_;
  ImplicitFilterOptions options_;
  Parameter<T, B> z_, frequency_;
  Layers network_, reverse_;
};

}  // namespace m2
