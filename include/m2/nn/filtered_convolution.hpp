#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "m2/monarch/causal.hpp"
#include "m2/monarch/long_convolution.hpp"
#include "m2/nn/implicit_filter.hpp"

namespace m2 {

/// How a sequence mixer convolves.
///
/// plain            y = conv(k, u), the long convolution
/// causal_monarch   y = D0 conv(Q1 k, Q2 u) with learned triangular Monarch matrices around it, see CausalMonarch. They
///                  start as the identity, so that both kinds start as the same function
enum class Convolution { plain, causal_monarch };

/// What is there beside the kind is for causal_monarch.
struct ConvolutionOptions {
  Convolution kind = Convolution::plain;
  int order = 2;                     ///< digits of a position, 1 to 4
  std::vector<Index> radices = {};   ///< `order` of them, the top digit first; none: the cheapest for the length
  Index heads = 1;                   ///< groups of neighbouring channels with coefficients of their own
  double learning_rate_scale = 1.0;  ///< of the coefficients
};

namespace detail {

template <int Order, Scalar T, Backend B>
struct CausalMonarchPlan {
  CausalMonarch<Order, T, B> plan;
  typename CausalMonarch<Order, T, B>::Cache cache;
};

/// The shape of the coefficients; none of a plain convolution.
using ConvolutionShape = std::variant<std::monostate, CausalMonarchShape<1>, CausalMonarchShape<2>,
                                      CausalMonarchShape<3>, CausalMonarchShape<4>>;

template <int Order>
CausalMonarchShape<Order> causal_monarch_shape(Index length, const std::vector<Index>& radices) {
  if (radices.empty()) return CausalMonarchShape<Order>::of_length(length);
  typename CausalMonarchShape<Order>::Radices array{};
  std::copy(radices.begin(), radices.end(), array.begin());
  return CausalMonarchShape<Order>(array, length);
}

inline ConvolutionShape convolution_shape(Index length, const ConvolutionOptions& options) {
  if (options.kind == Convolution::plain) return {};
  M2_REQUIRE(options.order >= 1 && options.order <= 4, "sequence_mixer: the order of its convolution is ",
             options.order, ", 1 to 4 are possible");
  M2_REQUIRE(options.radices.empty() || std::ssize(options.radices) == options.order,
             "sequence_mixer: ", options.radices.size(), " radices for a convolution of order ", options.order);
  switch (options.order) {
    case 1:
      return causal_monarch_shape<1>(length, options.radices);
    case 2:
      return causal_monarch_shape<2>(length, options.radices);
    case 3:
      return causal_monarch_shape<3>(length, options.radices);
    default:
      return causal_monarch_shape<4>(length, options.radices);
  }
}

/// A long convolution with skip term, the implicit filter that makes its kernels and, if asked for, learned
/// coefficients that make it a CausalMonarch.
template <Scalar T, Backend B>
class FilteredConvolution {
 public:
  struct Cache {
    typename ImplicitFilter<T, B>::Cache filter;
    std::variant<LongConvolution<T, B>, CausalMonarchPlan<1, T, B>, CausalMonarchPlan<2, T, B>,
                 CausalMonarchPlan<3, T, B>, CausalMonarchPlan<4, T, B>>
        convolution;
    Tensor<T, 2, B> k, dk, k_reverse, dk_reverse;  // (length, channels); the reverse ones empty when causal
  };

  FilteredConvolution(Index channels, Index max_length, const ImplicitFilterOptions& filter,
                      const ConvolutionOptions& options)
      : filter_(channels, max_length, filter),
        skip_({channels}, normal<T>(1.0), {.weight_decay = false}),
        shape_(convolution_shape(max_length, options)),
        heads_(options.heads) {
    if (is_plain()) return;
    M2_REQUIRE(!filter.bidirectional, "sequence_mixer: a causal_monarch convolution cannot be bidirectional");
    M2_REQUIRE(heads_ >= 1 && channels % heads_ == 0, "sequence_mixer: ", heads_, " heads do not divide ", channels,
               " channels");
    std::visit([&](const auto& shape) { coefficients_ = coefficients_of(shape, options.learning_rate_scale); }, shape_);
  }

  Cache make_cache(B& be, Extents<3> x) const {
    Cache cache;
    cache.filter = filter_.make_cache(be, x[1]);
    std::visit([&](const auto& shape) { plan(be, x, shape, cache); }, shape_);
    const Extents<2> extents{x[1], x[2]};
    cache.k = Tensor<T, 2, B>(be, extents);
    cache.dk = Tensor<T, 2, B>(be, extents);
    if (filter_.bidirectional()) {
      cache.k_reverse = Tensor<T, 2, B>(be, extents);
      cache.dk_reverse = Tensor<T, 2, B>(be, extents);
    }
    return cache;
  }

  void forward(B& be, View<const T, 3, B> u, View<T, 3, B> y, Cache& cache) const {
    filter_.generate(be, cache.k.view(), cache.k_reverse.view(), cache.filter);
    const View<const T, 1, B> skip = skip_.template value<1>();
    std::visit(
        [&](auto& c) {
          if constexpr (std::is_same_v<decltype(c), LongConvolution<T, B>&>)
            c.forward(be, u, cache.k.cview(), cache.k_reverse.cview(), skip, y);
          else
            c.plan.forward(be, u, cache.k.cview(), skip, coefficients_.template value<2>(), y, c.cache);
        },
        cache.convolution);
  }

  void backward(B& be, View<const T, 3, B> u, View<const T, 3, B> dy, Cache& cache, View<T, 3, B> du) {
    fill(be, T{0}, cache.dk.view());
    if (filter_.bidirectional()) fill(be, T{0}, cache.dk_reverse.view());
    const View<const T, 1, B> skip = skip_.template value<1>();
    const View<T, 1, B> dskip = skip_.template gradient<1>();
    std::visit(
        [&](auto& c) {
          if constexpr (std::is_same_v<decltype(c), LongConvolution<T, B>&>)
            c.backward(be, u, cache.k.cview(), cache.k_reverse.cview(), skip, dy, du, cache.dk.view(),
                       cache.dk_reverse.view(), dskip);
          else
            c.plan.backward(be, u, cache.k.cview(), skip, coefficients_.template value<2>(), dy, c.cache, du,
                            cache.dk.view(), dskip, coefficients_.template gradient<2>());
        },
        cache.convolution);
    filter_.backward(be, cache.dk.cview(), cache.dk_reverse.cview(), cache.filter);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("filter", filter_);
    visitor("skip", skip_);
    if (!is_plain()) visitor("coefficients", coefficients_);
  }

 private:
  bool is_plain() const { return std::holds_alternative<std::monostate>(shape_); }

  // Decay towards zero would be decay away from the convolution; no random start, so that all else starts as without.
  template <class Shape>
  Parameter<T, B> coefficients_of(const Shape& shape, double learning_rate_scale) const {
    if constexpr (std::is_same_v<Shape, std::monostate>) {
      return {};
    } else {
      return {{heads_, shape.coefficient_count()},
              [shape](std::span<T> out, Rng&) { shape.write_identity(out); },
              {.weight_decay = false, .learning_rate_scale = learning_rate_scale, .random_start = false}};
    }
  }

  void plan(B& be, const Extents<3>& x, const std::monostate&, Cache& cache) const {
    cache.convolution = LongConvolution<T, B>(be, x, {.bidirectional = filter_.bidirectional()});
  }
  template <int Order>
  void plan(B& be, const Extents<3>& x, const CausalMonarchShape<Order>& shape, Cache& cache) const {
    CausalMonarch<Order, T, B> convolution(be, x, shape, {.heads = heads_});
    auto saved = convolution.make_cache(be);
    cache.convolution = CausalMonarchPlan<Order, T, B>{std::move(convolution), std::move(saved)};
  }

  ImplicitFilter<T, B> filter_;
  Parameter<T, B> skip_, coefficients_;
  ConvolutionShape shape_;
  Index heads_;
};

}  // namespace detail
}  // namespace m2
