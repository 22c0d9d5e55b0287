#include "m2/nn/layer_norm.hpp"

#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<LayerNorm<float, Cpu>> && Module<LayerNorm<double, Serial>>);

TEMPLATE_TEST_CASE("LayerNorm gives every position mean 0 and variance 1", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  LayerNorm<T, B> norm(6, {.epsilon = 1e-3});
  ModuleRun<LayerNorm<T, B>> run(norm, {2, 3, 6});
  run.forward();
  const auto x = to_host(run.x.view());
  std::vector<double> expected;
  for (std::size_t row = 0; row < 36; row += 6) {
    double mean = 0, variance = 0;
    for (std::size_t c = 0; c < 6; ++c) mean += x[row + c] / 6;
    for (std::size_t c = 0; c < 6; ++c) variance += (x[row + c] - mean) * (x[row + c] - mean) / 6;
    for (std::size_t c = 0; c < 6; ++c) expected.push_back((x[row + c] - mean) / std::sqrt(variance + 1e-3));
  }
  require_close(to_host(run.y.view()), expected, tolerance<T>(6, largest(expected) * largest(x)));
  require_module_gradients(norm, {2, 3, 6});
}

TEST_CASE("LayerNorm names both shapes when they do not fit", "[nn]") {
  LayerNorm<double, Cpu> norm(6);
  require_shape_errors(norm, {2, 3, 6}, {2, 3, 5}, {"layer_norm", "(2, 3, 5)", "(6)"});
  ModuleRun<LayerNorm<double, Cpu>> run(norm, {2, 3, 6});
  Tensor<double, 3, Cpu> x(run.be, {2, 4, 6}), y(run.be, {2, 4, 6});
  require_error([&] { norm.forward(run.be, x.view(), y.view(), run.cache); },
                {"layer_norm", "(2, 4, 6)", "6 positions"});
}
