#include "m2/nn/sequential.hpp"

#include "m2/nn/activation.hpp"
#include "m2/nn/linear.hpp"
#include "m2/nn/residual.hpp"
#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

template <class T, class B>
using Mlp = Sequential<Linear<T, B>, Gelu<T, B>, Linear<T, B>>;

template <class T, class B>
Mlp<T, B> mlp(Index in, Index inner, Index out) {
  return Mlp<T, B>(Linear<T, B>(in, inner), Gelu<T, B>(), Linear<T, B>(inner, out));
}

}  // namespace

static_assert(Module<Mlp<float, Cpu>> && Module<Sequential<Linear<double, Serial>>>);
static_assert(Module<Residual<Mlp<double, Cpu>>>);
static_assert(Module<Gelu<float, Cpu>> && Module<Silu<double, Serial>> && Module<Sine<double, Cpu>>);

TEMPLATE_TEST_CASE("Sequential applies its modules one after the other", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  auto net = mlp<T, B>(4, 6, 3);
  ModuleRun<Mlp<T, B>> run(net, {2, 3, 4});
  REQUIRE(run.store.entries()[0].name == "0.weight");
  REQUIRE(run.store.entries()[3].name == "2.bias");
  run.forward();
  const auto w0 = to_host(parameter_named<T, B>(net, "0.weight").flat_value());
  const auto b0 = to_host(parameter_named<T, B>(net, "0.bias").flat_value());
  const auto w2 = to_host(parameter_named<T, B>(net, "2.weight").flat_value());
  const auto b2 = to_host(parameter_named<T, B>(net, "2.bias").flat_value());
  const auto x = to_host(run.x.view());
  std::vector<double> expected;
  for (std::size_t row = 0; row < 6; ++row) {
    std::vector<double> hidden(b0);
    for (std::size_t h = 0; h < 6; ++h) {
      for (std::size_t i = 0; i < 4; ++i) hidden[h] += w0[h * 4 + i] * x[row * 4 + i];
      hidden[h] *= 0.5 * (1 + std::erf(hidden[h] / std::sqrt(2.0)));
    }
    for (std::size_t o = 0; o < 3; ++o) {
      expected.push_back(b2[o]);
      for (std::size_t h = 0; h < 6; ++h) expected.back() += w2[o * 6 + h] * hidden[h];
    }
  }
  require_close(to_host(run.y.view()), expected, tolerance<T>(16, largest(x)));
  require_module_gradients(net, {2, 3, 4});
}

TEST_CASE("Activations as modules have their gradients", "[nn]") {
  Sequential<Linear<double, Cpu>, Silu<double, Cpu>, Sine<double, Cpu>> net(Linear<double, Cpu>(3, 3), {}, {});
  require_module_gradients(net, {1, 2, 3});
}

TEST_CASE("Sequential reports the module that does not fit", "[nn]") {
  auto net = mlp<double, Cpu>(4, 6, 3);
  require_shape_errors(net, {2, 3, 4}, {2, 3, 5}, {"linear", "(2, 3, 5)", "(6, 4)"});
}

TEMPLATE_TEST_CASE("Residual adds its input", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  Residual<Mlp<T, B>> residual(mlp<T, B>(4, 6, 4));
  auto plain = mlp<T, B>(4, 6, 4);
  ModuleRun<Mlp<T, B>> without(plain, {2, 3, 4});
  ModuleRun<Residual<Mlp<T, B>>> with(residual, {2, 3, 4});
  REQUIRE(with.store.entries()[0].name == "0.weight");
  without.forward();
  with.forward();
  auto expected = to_host(without.y.view());
  const auto x = to_host(with.x.view());
  for (std::size_t i = 0; i < x.size(); ++i) expected[i] += x[i];
  require_close(to_host(with.y.view()), expected, tolerance<T>(1, largest(expected)));
  require_module_gradients(residual, {2, 3, 4});
}

TEST_CASE("Residual needs a module that keeps the shape", "[nn]") {
  Cpu be;
  Residual<Mlp<double, Cpu>> residual(mlp<double, Cpu>(4, 6, 3));
  require_error([&] { residual.make_cache(be, {2, 3, 4}); }, {"residual", "(2, 3, 4)", "(2, 3, 3)"});
}
