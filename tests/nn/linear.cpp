#include "m2/nn/linear.hpp"

#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<Linear<float, Cpu>> && Module<Linear<double, Serial>>);

TEMPLATE_TEST_CASE("Linear is x W^T + b in every position", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  const bool bias = GENERATE(true, false);
  Linear<T, B> linear(5, 3, {.bias = bias});
  ModuleRun<Linear<T, B>> run(linear, {2, 4, 5});
  run.forward();
  const auto w = to_host(parameter_named<T, B>(linear, "weight").flat_value());
  const auto b = bias ? to_host(parameter_named<T, B>(linear, "bias").flat_value()) : std::vector<double>(3);
  const auto x = to_host(run.x.view());
  std::vector<double> expected;
  for (std::size_t row = 0; row < 8; ++row)
    for (std::size_t o = 0; o < 3; ++o) {
      double total = b[o];
      for (std::size_t i = 0; i < 5; ++i) total += w[o * 5 + i] * x[row * 5 + i];
      expected.push_back(total);
    }
  require_close(to_host(run.y.view()), expected, tolerance<T>(6, largest(x)));
  require_module_gradients(linear, {2, 4, 5});
}

TEST_CASE("Linear starts uniform by fan-in, or normal with bias 0", "[nn]") {
  Cpu be;
  Linear<double, Cpu> uniform_start(16, 64), normal_start(16, 64, {.deviation = 0.02});
  const ParameterStore<double, Cpu> first(be, uniform_start, 1), second(be, normal_start, 1);
  const auto w = to_host(parameter_named<double, Cpu>(uniform_start, "weight").flat_value());
  REQUIRE(largest(w) <= 0.25);
  REQUIRE(largest(w) > 0.24);
  REQUIRE(largest(to_host(parameter_named<double, Cpu>(normal_start, "bias").flat_value())) == 0);
  const auto n = to_host(parameter_named<double, Cpu>(normal_start, "weight").flat_value());
  REQUIRE(std::abs(std::sqrt(dot(n, n) / static_cast<double>(n.size())) - 0.02) <= 0.002);
}

TEST_CASE("Linear names both shapes when they do not fit", "[nn]") {
  Linear<double, Cpu> linear(5, 3);
  require_shape_errors(linear, {2, 4, 5}, {2, 4, 7}, {"linear", "(2, 4, 7)", "(3, 5)"});
  ModuleRun<Linear<double, Cpu>> run(linear, {2, 4, 5});
  require_error([&] { linear.forward(run.be, run.x.view(), run.dx.view(), run.cache); }, {"(2, 4, 5)", "(2, 4, 3)"});
  require_error([] { Linear<double, Cpu>(0, 3); }, {"linear", "0 to 3"});
  constexpr Index wide = Index{1} << 40;  // wide x wide does not fit an Index
  require_error([] { Linear<double, Cpu>(wide, wide); }, {"parameter", "1099511627776 x 1099511627776", "too many"});
}

TEST_CASE("A module without memory says that it needs a store", "[nn]") {
  Cpu be;
  Linear<double, Cpu> linear(2, 2);
  Tensor<double, 3, Cpu> x(be, {1, 1, 2}), y(be, {1, 1, 2});
  auto cache = linear.make_cache(be, {1, 1, 2});
  require_error([&] { linear.forward(be, x.view(), y.view(), cache); }, {"ParameterStore"});
}
