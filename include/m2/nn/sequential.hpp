#pragma once

#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "m2/nn/module.hpp"
#include "m2/nn/rows.hpp"

namespace m2 {

/// y = m_n(... m_1(m_0(x))). Parameters are named by position: "0.weight", "1.bias".
///
/// Shapes   x as the first module's, y as the last one's
/// Writes   y; backward: dx (overwritten), parameter gradients (accumulated)
/// Cost     the modules' own; one activation and one gradient between each two modules, kept in the cache
template <Module First, Module... Rest>
requires((std::same_as<typename First::Scalar, typename Rest::Scalar> && ...) &&
         (std::same_as<typename First::Backend, typename Rest::Backend> && ...)) class Sequential {
  static constexpr std::size_t count = 1 + sizeof...(Rest);

 public:
  using Scalar = typename First::Scalar;
  using Backend = typename First::Backend;
  struct Cache {
    std::tuple<typename First::Cache, typename Rest::Cache...> children;
    std::array<Tensor<Scalar, 3, Backend>, count - 1> activations, gradients;  // between the modules
  };

  explicit Sequential(First first, Rest... rest) : modules_(std::move(first), std::move(rest)...) {}

  Extents<3> output_extents(Extents<3> x) const {
    std::apply([&](const auto&... module) { ((x = module.output_extents(x)), ...); }, modules_);
    return x;
  }

  Cache make_cache(Backend& be, Extents<3> x) const {
    Extents<3> extents = x;
    Cache cache{
        std::apply(
            [&](const auto&... module) {
              // Braces fix the order of evaluation: each module sees the shape the one before it makes.
              return std::tuple<typename First::Cache, typename Rest::Cache...>{next_cache(be, module, extents)...};
            },
            modules_),
        {},
        {}};
    extents = x;
    std::size_t i = 0;
    const auto allocate = [&](const auto& module) {
      extents = module.output_extents(extents);
      if (i + 1 < count) {
        cache.activations[i] = Tensor<Scalar, 3, Backend>(be, extents);
        cache.gradients[i] = Tensor<Scalar, 3, Backend>(be, extents);
      }
      ++i;
    };
    std::apply([&](const auto&... module) { (allocate(module), ...); }, modules_);
    return cache;
  }

  void forward(Backend& be, View<const Scalar, 3, Backend> x, View<Scalar, 3, Backend> y, Cache& cache) const {
    detail::require_extents("sequential: y", y.extents(), output_extents(x.extents()));
    forward_from<0>(be, x, y, cache);
  }

  void backward(Backend& be, View<const Scalar, 3, Backend> x, View<const Scalar, 3, Backend> dy, Cache& cache,
                View<Scalar, 3, Backend> dx) {
    backward_from<count - 1>(be, x, dy, cache, dx);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) {
    std::size_t i = 0;
    std::apply([&](auto&... module) { (visitor(std::to_string(i++), module), ...); }, modules_);
  }

 private:
  template <class M>
  static typename M::Cache next_cache(Backend& be, const M& module, Extents<3>& extents) {
    const Extents<3> x = extents;
    extents = module.output_extents(x);
    return module.make_cache(be, x);
  }

  template <std::size_t I>
  void forward_from(Backend& be, View<const Scalar, 3, Backend> x, View<Scalar, 3, Backend> y, Cache& cache) const {
    if constexpr (I + 1 == count) {
      std::get<I>(modules_).forward(be, x, y, std::get<I>(cache.children));
    } else {
      std::get<I>(modules_).forward(be, x, cache.activations[I].view(), std::get<I>(cache.children));
      forward_from<I + 1>(be, cache.activations[I].cview(), y, cache);
    }
  }

  template <std::size_t I>
  void backward_from(Backend& be, View<const Scalar, 3, Backend> x, View<const Scalar, 3, Backend> dy, Cache& cache,
                     View<Scalar, 3, Backend> dx) {
    if constexpr (I == 0) {
      std::get<0>(modules_).backward(be, x, dy, std::get<0>(cache.children), dx);
    } else {
      std::get<I>(modules_).backward(be, cache.activations[I - 1].cview(), dy, std::get<I>(cache.children),
                                     cache.gradients[I - 1].view());
      backward_from<I - 1>(be, x, cache.gradients[I - 1].cview(), cache, dx);
    }
  }

  std::tuple<First, Rest...> modules_;
};

}  // namespace m2
