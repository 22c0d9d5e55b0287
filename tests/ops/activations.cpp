#include "m2/ops/activations.hpp"

#include "m2/ops/elementwise.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

double gelu_of(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
double gelu_slope(double x) {
  return 0.5 * (1 + std::erf(x / std::sqrt(2.0))) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
}
double logistic(double x) { return 1 / (1 + std::exp(-x)); }

template <class F>
std::vector<double> mapped(const std::vector<double>& x, F f) {
  std::vector<double> result;
  for (const double value : x) result.push_back(f(value));
  return result;
}

/// Checks y = f(x) and dx = dy f'(x), both also in place, for one stride gap.
template <class T, class B, class Forward, class Vjp>
void require_activation(B& be, Index gap, Forward forward, Vjp vjp, double (*f)(double), double (*slope)(double)) {
  Rng rng(1);
  Strided<T, 2, B> x(be, {5, 37}, gap), y(be, {5, 37}, gap), dy(be, {5, 37}, gap), dx(be, {5, 37}, gap);
  fill_normal(x.view(), rng);
  fill_normal(dy.view(), rng);
  m2::scale(be, 3, x.view(), x.view());
  const std::vector<double> in = to_host(x.view()), cotangent = to_host(dy.view());
  const double allowed = tolerance<T>(1, 4);
  forward(x.view(), y.view());
  require_close(to_host(y.view()), mapped(in, f), allowed * std::max(1.0, largest(in)));
  std::vector<double> expected = mapped(in, slope);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] *= cotangent[i];
  vjp(x.view(), y.view(), dy.view(), dx.view());
  require_close(to_host(dx.view()), expected, allowed * std::max(1.0, largest(cotangent)));
  vjp(x.view(), y.view(), dy.view(), dy.view());
  require_close(to_host(dy.view()), to_host(dx.view()), 0);
  forward(x.view(), x.view());
  require_close(to_host(x.view()), to_host(y.view()), 0);
}

}  // namespace

TEMPLATE_TEST_CASE("activations are their formulas, and their VJPs the slopes", "[ops][activations]",
                   M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  using In = View<T, 2, B>;
  B be;
  for (const Index gap : {1, 2}) {
    require_activation<T>(
        be, gap, [&](In x, In y) { gelu(be, x, y); }, [&](In x, In, In dy, In dx) { gelu_vjp(be, x, dy, dx); }, gelu_of,
        gelu_slope);
    require_activation<T>(
        be, gap, [&](In x, In y) { silu(be, x, y); }, [&](In x, In, In dy, In dx) { silu_vjp(be, x, dy, dx); },
        [](double x) { return x * logistic(x); }, [](double x) { return logistic(x) * (1 + x * (1 - logistic(x))); });
    require_activation<T>(
        be, gap, [&](In x, In y) { m2::tanh(be, x, y); }, [&](In, In y, In dy, In dx) { tanh_vjp(be, y, dy, dx); },
        [](double x) { return std::tanh(x); }, [](double x) { return 1 - std::tanh(x) * std::tanh(x); });
    require_activation<T>(
        be, gap, [&](In x, In y) { sine(be, x, y); }, [&](In x, In, In dy, In dx) { sine_vjp(be, x, dy, dx); },
        [](double x) { return std::sin(x); }, [](double x) { return std::cos(x); });
  }
}

TEMPLATE_TEST_CASE("gated_gelu multiplies by the gelu of the gate", "[ops][activations]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(2);
  for (const Index gap : {1, 2}) {
    // Gate and value are the halves of one array, as in the MLP.
    Strided<T, 3, B> both(be, {2, 3, 26}, gap), y(be, {2, 3, 13}, gap), dboth(be, {2, 3, 26}, gap);
    fill_normal(both.view(), rng);
    const auto gate = both.view().slice(2, 0, 13), value = both.view().slice(2, 13, 13);
    gated_gelu(be, gate, value, y.view());
    const std::vector<double> g = to_host(gate), v = to_host(value), actual = to_host(y.view());
    std::vector<double> expected, dgate, dvalue;
    for (std::size_t i = 0; i < g.size(); ++i) {
      expected.push_back(gelu_of(g[i]) * v[i]);
      dgate.push_back(actual[i] * gelu_slope(g[i]) * v[i]);
      dvalue.push_back(actual[i] * gelu_of(g[i]));
    }
    require_close(actual, expected, tolerance<T>(2, 10));
    gated_gelu_vjp(be, gate, value, y.view(), dboth.view().slice(2, 0, 13), dboth.view().slice(2, 13, 13));
    require_close(to_host(dboth.view().slice(2, 0, 13)), dgate, tolerance<T>(3, 40));
    require_close(to_host(dboth.view().slice(2, 13, 13)), dvalue, tolerance<T>(3, 40));
    gated_gelu_vjp(be, gate, value, y.view(), gate, value);  // in place
    require_close(to_host(both.view()), to_host(dboth.view()), 0);
  }
}

TEMPLATE_TEST_CASE("sine_scaled has a frequency for each channel", "[ops][activations]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(3);
  for (const Index gap : {1, 2}) {
    constexpr Index channels = 6;
    Strided<T, 1, B> frequency(be, {channels}, gap), dfrequency(be, {channels}, gap);
    Strided<T, 2, B> x(be, {21, channels}, gap), y(be, {21, channels}, gap), dx(be, {21, channels}, gap);
    fill_normal(frequency.view(), rng);
    fill_normal(dfrequency.view(), rng);
    fill_normal(x.view(), rng);
    const std::vector<double> f = to_host(frequency.view()), in = to_host(x.view());
    std::vector<double> expected, slope, gradient = to_host(dfrequency.view());
    sine_scaled(be, frequency.view(), 2, x.view(), y.view());
    const std::vector<double> actual = to_host(y.view());
    for (std::size_t i = 0; i < in.size(); ++i) {
      const double rate = 2 * f[i % channels];
      expected.push_back(std::sin(rate * in[i]));
      slope.push_back(actual[i] * rate * std::cos(rate * in[i]));
      gradient[i % channels] += actual[i] * 2 * in[i] * std::cos(rate * in[i]);
    }
    const double magnitude = 2 * std::max(1.0, largest(f)) * std::max(1.0, largest(in));
    require_close(actual, expected, tolerance<T>(1, magnitude));
    sine_scaled_vjp(be, frequency.view(), 2, x.view(), y.view(), dx.view(), dfrequency.view());
    require_close(to_host(dx.view()), slope, tolerance<T>(2, magnitude * magnitude));
    require_close(to_host(dfrequency.view()), gradient, tolerance<T>(21, magnitude * magnitude));
    const std::vector<double> separate = to_host(dx.view());
    sine_scaled_vjp(be, frequency.view(), 2, x.view(), y.view(), y.view(), dfrequency.view());  // dx in place of dy
    require_close(to_host(y.view()), separate, 0);
  }
}

TEST_CASE("VJPs of activations with two inputs are gradients", "[ops][activations]") {
  Cpu be;
  Rng rng(4);
  Tensor<double, 2, Cpu> a(be, {3, 4}), b(be, {3, 4}), y(be, {3, 4}), dy(be, {3, 4}), da(be, {3, 4}), db(be, {3, 4});
  Tensor<double, 1, Cpu> frequency(be, {4}), dfrequency(be, {4});
  for (auto* tensor : {&a, &b, &dy}) fill_normal(tensor->view(), rng);
  fill_normal(frequency.view(), rng);
  gated_gelu_vjp(be, a.view(), b.view(), dy.view(), da.view(), db.view());
  const auto gated = [&] {
    gated_gelu(be, a.view(), b.view(), y.view());
    return dot(to_host(y.view()), to_host(dy.view()));
  };
  require_gradient(a.view(), to_host(da.view()), gated);
  require_gradient(b.view(), to_host(db.view()), gated);
  sine_scaled_vjp(be, frequency.view(), 1.5, a.view(), dy.view(), da.view(), dfrequency.view());
  const auto scaled = [&] {
    sine_scaled(be, frequency.view(), 1.5, a.view(), y.view());
    return dot(to_host(y.view()), to_host(dy.view()));
  };
  require_gradient(a.view(), to_host(da.view()), scaled);
  require_gradient(frequency.view(), to_host(dfrequency.view()), scaled);
}

TEMPLATE_TEST_CASE("activations name the shapes that do not fit", "[ops][activations]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 2, B> x(be, {2, 3}), y(be, {2, 4});
  Tensor<T, 1, B> f(be, {3});
  const auto u = x.view(), v = y.view();
  require_error([&] { gelu(be, u, v); }, {"gelu: x is (2, 3), y is (2, 4)"});
  require_error([&] { silu(be, u, v); }, {"silu: x is (2, 3)"});
  require_error([&] { m2::tanh(be, u, v); }, {"tanh: x is (2, 3)"});
  require_error([&] { sine(be, u, v); }, {"sine: x is (2, 3)"});
  require_error([&] { gelu_vjp(be, u, v, v); }, {"gelu_vjp: x is (2, 3), dy is (2, 4), dx is (2, 4)"});
  require_error([&] { silu_vjp(be, v, u, v); }, {"silu_vjp"});
  require_error([&] { tanh_vjp(be, u, v, v); }, {"tanh_vjp: y is (2, 3)"});
  require_error([&] { sine_vjp(be, u, u, v); }, {"sine_vjp"});
  require_error([&] { gated_gelu(be, v, u, v); }, {"gated_gelu: gate is (2, 4), value is (2, 3), y is (2, 4)"});
  require_error([&] { gated_gelu_vjp(be, u, u, u, u, v); }, {"gated_gelu_vjp", "dvalue is (2, 4)"});
  require_error([&] { sine_scaled(be, f.view(), 1, v, v); }, {"sine_scaled: frequency is (3), x is (2, 4)"});
  require_error([&] { sine_scaled_vjp(be, f.view(), 1, u, v, u, f.view()); }, {"sine_scaled_vjp", "dy is (2, 4)"});
}
