#include "m2/nn/gated_mlp.hpp"

#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<GatedMlp<float, Cpu>> && Module<GatedMlp<double, Serial>>);

TEMPLATE_TEST_CASE("GatedMlp gates one half of its hidden units by the other", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  GatedMlp<T, B> mlp(4, {.inner = 6, .mixing = ChannelMixing::dense});
  ModuleRun<GatedMlp<T, B>> run(mlp, {2, 3, 4});
  run.forward();
  const auto w_in = to_host(parameter_named<T, B>(mlp, "in.weight").flat_value());
  const auto w_out = to_host(parameter_named<T, B>(mlp, "out.weight").flat_value());
  const auto b_out = to_host(parameter_named<T, B>(mlp, "out.bias").flat_value());
  const auto x = to_host(run.x.view());
  std::vector<double> expected;
  for (std::size_t row = 0; row < 6; ++row) {
    double hidden[12] = {};
    for (std::size_t h = 0; h < 12; ++h)
      for (std::size_t i = 0; i < 4; ++i) hidden[h] += w_in[h * 4 + i] * x[row * 4 + i];
    for (std::size_t o = 0; o < 4; ++o) {
      expected.push_back(b_out[o]);
      for (std::size_t h = 0; h < 6; ++h)
        expected.back() +=
            w_out[o * 6 + h] * hidden[h] * 0.5 * (1 + std::erf(hidden[h] / std::sqrt(2.0))) * hidden[h + 6];
    }
  }
  require_close(to_host(run.y.view()), expected, tolerance<T>(16, largest(expected) + largest(x)));
  require_module_gradients(mlp, {2, 3, 4});
}

TEST_CASE("GatedMlp has its gradients for every kind of mixing, and under dropout", "[nn]") {
  for (const auto mixing : {ChannelMixing::block_diagonal, ChannelMixing::monarch}) {
    GatedMlp<double, Cpu> mlp(4, {.inner = 6, .mixing = mixing, .blocks = 2, .dropout = 0.3});
    require_module_gradients(mlp, {1, 3, 4});
    auto train = [&](const std::string&, RandomSite& site) { site = {.training = true, .key = 3}; };
    visit_member(train, "", "", mlp);
    require_module_gradients(mlp, {1, 3, 4});
  }
}

TEST_CASE("GatedMlp names both shapes when they do not fit", "[nn]") {
  GatedMlp<double, Cpu> mlp(4, {.blocks = 2});
  require_shape_errors(mlp, {2, 3, 4}, {2, 3, 6}, {"(2, 3, 6)", "32 x 4"});
  require_error([] { GatedMlp<float, Cpu>(Index{1} << 62); }, {"gated_mlp", "4 x 4611686018427387904"});
  require_error([] { GatedMlp<float, Cpu>(4, {.inner = Index{1} << 62}); }, {"gated_mlp", "2 x 4611686018427387904"});
}
