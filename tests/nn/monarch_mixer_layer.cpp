#include "m2/nn/monarch_mixer_layer.hpp"

#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<MonarchMixerLayer<2, float, Cpu>> && Module<MonarchMixerLayer<3, double, Serial>>);

namespace {

/// The radices' Monarch matrix times a vector, factor by factor from its definition.
template <class T, class B, class M>
std::vector<double> monarch(M& layer, const std::string& name, const MonarchShape<2>& shape, std::vector<double> x) {
  for (int f = 0; f < 2; ++f) {
    const FactorShape& s = shape.factor(f);
    const auto w = to_host(parameter_named<T, B>(layer, name + ".factor" + std::to_string(f)).flat_value());
    std::vector<double> y(x.size());
    for (Index o = 0; o < s.outer; ++o)
      for (Index i = 0; i < s.inner; ++i)
        for (Index e = 0; e < s.out; ++e)
          for (Index d = 0; d < s.in; ++d)
            y[static_cast<std::size_t>((o * s.out + e) * s.inner + i)] +=
                w[static_cast<std::size_t>(((o * s.inner + i) * s.out + e) * s.in + d)] *
                x[static_cast<std::size_t>((o * s.in + d) * s.inner + i)];
    x = y;
  }
  return x;
}

}  // namespace

TEMPLATE_TEST_CASE("MonarchMixerLayer mixes the sequence, then the channels", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  MonarchMixerLayer<2, T, B> layer({.sequence_radices = {2, 3}, .channel_radices = {2, 2}});
  ModuleRun<MonarchMixerLayer<2, T, B>> run(layer, {2, 6, 4});
  run.forward();
  const auto kernel = to_host(parameter_named<T, B>(layer, "kernel").flat_value());
  std::vector<double> expected;
  for (Index sample = 0; sample < 2; ++sample) {
    std::vector<double> mixed(24);
    for (std::size_t c = 0; c < 4; ++c) {
      auto column =
          monarch<T, B>(layer, "m1", {2, 3}, to_host(run.x.view().select(0, sample).select(1, static_cast<Index>(c))));
      for (std::size_t t = 0; t < 6; ++t) column[t] *= kernel[t * 4 + c];
      column = monarch<T, B>(layer, "m2", {2, 3}, column);
      for (std::size_t t = 0; t < 6; ++t) mixed[t * 4 + c] = column[t];
    }
    for (auto row = mixed.begin(); row != mixed.end(); row += 4) {
      auto hidden = monarch<T, B>(layer, "m3", {2, 2}, {row, row + 4});
      for (double& h : hidden) h *= 0.5 * (1 + std::erf(h / std::sqrt(2.0)));
      const auto y = monarch<T, B>(layer, "m4", {2, 2}, hidden);
      expected.insert(expected.end(), y.begin(), y.end());
    }
  }
  require_close(to_host(run.y.view()), expected, tolerance<T>(64, std::max(1.0, largest(expected))));
  require_module_gradients(layer, {2, 6, 4});
}

TEST_CASE("MonarchMixerLayer takes other orders", "[nn]") {
  MonarchMixerLayer<3, double, Cpu> layer({.sequence_radices = {2, 1, 3}, .channel_radices = {2, 2, 1}});
  require_module_gradients(layer, {1, 6, 4});
}

TEST_CASE("MonarchMixerLayer names both shapes when they do not fit", "[nn]") {
  MonarchMixerLayer<2, double, Cpu> layer({.sequence_radices = {2, 3}, .channel_radices = {2, 2}});
  require_shape_errors(layer, {2, 6, 4}, {2, 5, 4}, {"monarch_mixer_layer", "(2, 5, 4)", "6, 4)"});
  ModuleRun<MonarchMixerLayer<2, double, Cpu>> run(layer, {2, 6, 4});
  Tensor<double, 3, Cpu> more(run.be, {3, 6, 4});
  require_error([&] { layer.backward(run.be, run.x.view(), more.view(), run.cache, run.dx.view()); },
                {"monarch_mixer_layer: dy", "(3, 6, 4)", "(2, 6, 4)"});
  require_error([&] { layer.backward(run.be, run.x.view(), run.dy.view(), run.cache, more.view()); },
                {"monarch_mixer_layer: dx", "(3, 6, 4)", "(2, 6, 4)"});
}
