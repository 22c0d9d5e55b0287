#include "m2/ops/layer_norm.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

constexpr double epsilon = 1e-5;

struct Expected {
  std::vector<double> y, mean, inverse_deviation, dx, dgamma, dbeta;
};

/// Layer norm and its VJP by their definitions. The Jacobian of one row is built and multiplied out, so that this
/// shares no formula with the op.
Expected layer_norm_oracle(const std::vector<double>& x, const std::vector<double>& gamma,
                           const std::vector<double>& beta, const std::vector<double>& dy) {
  const std::size_t channels = gamma.size(), rows = x.size() / channels;
  const double n = static_cast<double>(channels);
  Expected e;
  e.dgamma.assign(channels, 0.0);
  e.dbeta.assign(channels, 0.0);
  for (std::size_t r = 0; r < rows; ++r) {
    const double* row = x.data() + r * channels;
    const double* cotangent = dy.data() + r * channels;
    double mean = 0, variance = 0;
    for (std::size_t c = 0; c < channels; ++c) mean += row[c] / n;
    for (std::size_t c = 0; c < channels; ++c) variance += (row[c] - mean) * (row[c] - mean) / n;
    const double deviation = std::sqrt(variance + epsilon);
    e.mean.push_back(mean);
    e.inverse_deviation.push_back(1 / deviation);
    for (std::size_t c = 0; c < channels; ++c) {
      const double normalized = (row[c] - mean) / deviation;
      e.y.push_back(gamma[c] * normalized + beta[c]);
      e.dgamma[c] += cotangent[c] * normalized;
      e.dbeta[c] += cotangent[c];
      double dx = 0;
      for (std::size_t o = 0; o < channels; ++o) {  // d normalized(o) / d x(c)
        const double center = (o == c ? 1.0 : 0.0) - 1 / n;
        const double slope = center / deviation - (row[o] - mean) * (row[c] - mean) / (n * std::pow(deviation, 3));
        dx += cotangent[o] * gamma[o] * slope;
      }
      e.dx.push_back(dx);
    }
  }
  return e;
}

template <class T, class B>
struct Arrays {
  Strided<T, 2, B> x, y, dy, dx;
  Strided<T, 1, B> gamma, beta, mean, inverse, dgamma, dbeta;

  Arrays(B& be, Index rows, Index channels, Index gap, Rng& rng)
      : x(be, {rows, channels}, gap),
        y(be, {rows, channels}, gap),
        dy(be, {rows, channels}, gap),
        dx(be, {rows, channels}, gap),
        gamma(be, {channels}, gap),
        beta(be, {channels}, gap),
        mean(be, {rows}, gap),
        inverse(be, {rows}, gap),
        dgamma(be, {channels}, gap),
        dbeta(be, {channels}, gap) {
    for (auto* array : {&x, &dy}) fill_normal(array->view(), rng);
    for (auto* array : {&gamma, &beta}) fill_normal(array->view(), rng);
    for_every(x.view(), [](T& element, Index) { element = element * T{2} + T{1}; });
  }
  void forward(B& be) {
    layer_norm(be, x.view(), gamma.view(), beta.view(), epsilon, y.view(), mean.view(), inverse.view());
  }
  void backward(B& be) {
    layer_norm_vjp(be, x.view(), gamma.view(), mean.view(), inverse.view(), dy.view(), dx.view(), dgamma.view(),
                   dbeta.view());
  }
};

}  // namespace

TEMPLATE_TEST_CASE("layer_norm and its VJP are their definitions", "[ops][layer_norm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(1);
  for (const Extents<2>& shape : {Extents<2>{4, 7}, Extents<2>{19, 32}, Extents<2>{1, 2}, Extents<2>{0, 5}})
    for (const Index gap : {1, 2}) {
      const Index rows = shape[0], channels = shape[1];
      Arrays<T, B> a(be, rows, channels, gap, rng);
      const Expected e =
          layer_norm_oracle(to_host(a.x.view()), to_host(a.gamma.view()), to_host(a.beta.view()), to_host(a.dy.view()));
      // Rounding grows with the inverse deviation, which two channels can make large.
      const double steep = std::max(1.0, largest(e.inverse_deviation)), magnitude = 20 * steep * steep;
      a.forward(be);
      require_close(to_host(a.y.view()), e.y, tolerance<T>(channels, magnitude));
      require_close(to_host(a.mean.view()), e.mean, tolerance<T>(channels, 10));
      require_close(to_host(a.inverse.view()), e.inverse_deviation, tolerance<T>(channels, magnitude));
      a.backward(be);
      require_close(to_host(a.dx.view()), e.dx, tolerance<T>(channels, magnitude));
      require_close(to_host(a.dgamma.view()), e.dgamma, tolerance<T>(rows, magnitude));
      require_close(to_host(a.dbeta.view()), e.dbeta, tolerance<T>(rows, 10));
      // Parameter gradients accumulate; dx may take the place of dy.
      const std::vector<double> dx = to_host(a.dx.view()), dgamma = to_host(a.dgamma.view());
      layer_norm_vjp(be, a.x.view(), a.gamma.view(), a.mean.view(), a.inverse.view(), a.dy.view(), a.dy.view(),
                     a.dgamma.view(), a.dbeta.view());
      require_close(to_host(a.dy.view()), dx, 0);
      std::vector<double> twice = dgamma;
      for (double& value : twice) value *= 2;
      require_close(to_host(a.dgamma.view()), twice, tolerance<T>(rows, magnitude));
    }
}

TEMPLATE_TEST_CASE("layer_norm of constant rows is beta", "[ops][layer_norm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(2);
  Arrays<T, B> a(be, 3, 8, 1, rng);
  for_every(a.x.view(), [](T& element, Index i) { element = static_cast<T>(i / 8 + 4); });
  a.forward(be);
  const std::vector<double> beta = to_host(a.beta.view());
  std::vector<double> expected;
  for (int r = 0; r < 3; ++r) expected.insert(expected.end(), beta.begin(), beta.end());
  require_close(to_host(a.y.view()), expected, 0);
}

TEMPLATE_TEST_CASE("layer_norm does not cancel when the mean is large", "[ops][layer_norm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(3);
  Arrays<T, B> a(be, 2, 64, 1, rng);
  for_every(a.x.view(), [](T& element, Index) { element += T{1024}; });
  const Expected e =
      layer_norm_oracle(to_host(a.x.view()), to_host(a.gamma.view()), to_host(a.beta.view()), to_host(a.dy.view()));
  a.forward(be);
  require_close(to_host(a.y.view()), e.y, tolerance<T>(64, 1024 * largest(to_host(a.gamma.view()))));
}

TEST_CASE("layer_norm_vjp is the gradient of layer_norm", "[ops][layer_norm]") {
  Cpu be;
  Rng rng(4);
  Arrays<double, Cpu> a(be, 3, 5, 1, rng);
  a.forward(be);
  a.backward(be);
  const auto loss = [&] {
    a.forward(be);
    return dot(to_host(a.y.view()), to_host(a.dy.view()));
  };
  require_gradient(a.x.view(), to_host(a.dx.view()), loss);
  require_gradient(a.gamma.view(), to_host(a.dgamma.view()), loss);
  require_gradient(a.beta.view(), to_host(a.dbeta.view()), loss);
}

TEST_CASE("layer_norm_vjp gives the same bits on every run", "[ops][layer_norm]") {
  Cpu be;
  Rng rng(5);
  Arrays<float, Cpu> a(be, 300, 96, 1, rng);
  a.forward(be);
  a.backward(be);
  const std::vector<double> dx = to_host(a.dx.view()), dgamma = to_host(a.dgamma.view());
  for_every(a.dgamma.view(), [](float& element, Index) { element = 0; });
  a.backward(be);
  require_close(to_host(a.dx.view()), dx, 0);
  require_close(to_host(a.dgamma.view()), dgamma, 0);
}

TEMPLATE_TEST_CASE("layer_norm names the shapes that do not fit", "[ops][layer_norm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 2, B> x(be, {4, 7}), other(be, {4, 6});
  Tensor<T, 1, B> c7(be, {7}), c6(be, {6}), r4(be, {4});
  const auto v = x.view();
  const auto p = c7.view(), q = c6.view(), r = r4.view();
  require_error([&] { layer_norm(be, v, q, p, epsilon, v, r, r); }, {"layer_norm: x is (4, 7), gamma is (6)"});
  require_error([&] { layer_norm(be, v, p, q, epsilon, v, r, r); }, {"beta is (6)"});
  require_error([&] { layer_norm(be, v, p, p, epsilon, other.view(), r, r); }, {"y is (4, 6)"});
  require_error([&] { layer_norm(be, v, p, p, epsilon, v, p, r); }, {"mean is (7)"});
  require_error([&] { layer_norm(be, v, p, p, epsilon, v, r, p); }, {"inverse_deviation is (7)"});
  require_error([&] { layer_norm(be, v, p, p, -1.0, v, r, r); }, {"layer_norm: epsilon is -1"});
  require_error([&] { layer_norm_vjp(be, v, q, r, r, v, v, p, p); }, {"layer_norm_vjp", "gamma is (6)"});
  require_error([&] { layer_norm_vjp(be, v, p, r, r, other.view(), v, p, p); }, {"layer_norm_vjp", "dy is (4, 6)"});
  require_error([&] { layer_norm_vjp(be, v, p, r, r, v, v, p, q); }, {"layer_norm_vjp", "dbeta is (6)"});
}
