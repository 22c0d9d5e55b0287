#include "m2/ops/short_convolution.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

template <class T, class B>
struct Problem {
  Strided<T, 3, B> x, y, dy, dx;
  Strided<T, 2, B> weight, dweight;
  Strided<T, 1, B> bias, dbias;

  Problem(B& be, Extents<3> e, Index taps, Index gap, Rng& rng)
      : x(be, e, gap),
        y(be, e, gap),
        dy(be, e, gap),
        dx(be, e, gap),
        weight(be, {e[2], taps}, gap),
        dweight(be, {e[2], taps}, gap),
        bias(be, {e[2]}, gap),
        dbias(be, {e[2]}, gap) {
    for (auto* array : {&x, &dy}) fill_normal(array->view(), rng);
    for (auto* array : {&weight, &dweight}) fill_normal(array->view(), rng);
    for (auto* array : {&bias, &dbias}) fill_normal(array->view(), rng);
  }
  void forward(B& be) { short_convolution(be, x.view(), weight.view(), bias.view(), y.view()); }
  void backward(B& be) {
    short_convolution_vjp(be, x.view(), weight.view(), dy.view(), dx.view(), dweight.view(), dbias.view());
  }
};

}  // namespace

TEMPLATE_TEST_CASE("short_convolution and its VJP are their definitions", "[ops][short_convolution]",
                   M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(1);
  // Lengths around the run of 8 steps and below the number of taps.
  for (const Extents<3>& e : {Extents<3>{2, 27, 5}, Extents<3>{1, 16, 64}, Extents<3>{3, 2, 3}, Extents<3>{1, 0, 3}})
    for (const Index taps : {1, 3, 4, 5})
      for (const Index gap : {1, 2}) {
        Problem<T, B> p(be, e, taps, gap, rng);
        const auto x = p.x.view(), dy = p.dy.view();
        const auto weight = p.weight.view();
        const Index length = e[1], channels = e[2];
        std::vector<double> y, dx(static_cast<std::size_t>(x.size()));
        std::vector<double> dweight = to_host(p.dweight.view()), dbias = to_host(p.dbias.view());
        for (Index b = 0; b < e[0]; ++b)
          for (Index t = 0; t < length; ++t)
            for (Index c = 0; c < channels; ++c) {
              double total = static_cast<double>(p.bias.view()(c));
              const double cotangent = static_cast<double>(dy(b, t, c));
              for (Index k = 0; k < taps; ++k) {
                const Index from = t - (taps - 1) + k;
                if (from < 0) continue;
                const double input = static_cast<double>(x(b, from, c)), w = static_cast<double>(weight(c, k));
                total += w * input;
                dx[static_cast<std::size_t>((b * length + from) * channels + c)] += w * cotangent;
                dweight[static_cast<std::size_t>(c * taps + k)] += cotangent * input;
              }
              dbias[static_cast<std::size_t>(c)] += cotangent;
              y.push_back(total);
            }
        p.forward(be);
        require_close(to_host(p.y.view()), y, tolerance<T>(taps, 10));
        p.backward(be);
        require_close(to_host(p.dx.view()), dx, tolerance<T>(taps, 10));
        require_close(to_host(p.dweight.view()), dweight, tolerance<T>(e[0] * length, 10));
        require_close(to_host(p.dbias.view()), dbias, tolerance<T>(e[0] * length, 10));
      }
}

TEST_CASE("short_convolution is causal", "[ops][short_convolution]") {
  Cpu be;
  Rng rng(2);
  Problem<float, Cpu> p(be, {1, 20, 4}, 3, 1, rng);
  p.forward(be);
  const std::vector<double> before = to_host(p.y.view().slice(1, 0, 11));
  p.x.view()(0, 11, 2) += 1;
  p.forward(be);
  require_close(to_host(p.y.view().slice(1, 0, 11)), before, 0);
}

TEST_CASE("short_convolution_vjp is the gradient of short_convolution", "[ops][short_convolution]") {
  Cpu be;
  Rng rng(3);
  for (const Index taps : {3, 5}) {
    Problem<double, Cpu> p(be, {2, 11, 3}, taps, 1, rng);
    for_every(p.dweight.view(), [](double& element, Index) { element = 0; });
    for_every(p.dbias.view(), [](double& element, Index) { element = 0; });
    p.backward(be);
    const auto loss = [&] {
      p.forward(be);
      return dot(to_host(p.y.view()), to_host(p.dy.view()));
    };
    require_gradient(p.x.view(), to_host(p.dx.view()), loss);
    require_gradient(p.weight.view(), to_host(p.dweight.view()), loss);
    require_gradient(p.bias.view(), to_host(p.dbias.view()), loss);
  }
}

TEMPLATE_TEST_CASE("short_convolution names the shapes that do not fit", "[ops][short_convolution]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 3, B> x(be, {2, 5, 3}), other(be, {2, 4, 3});
  Tensor<T, 2, B> weight(be, {3, 3}), wide(be, {4, 3}), none(be, {3, 0});
  Tensor<T, 1, B> bias(be, {3}), four(be, {4});
  const auto v = x.view();
  require_error([&] { short_convolution(be, v, wide.view(), bias.view(), v); },
                {"short_convolution: x is (2, 5, 3), weight is (4, 3)"});
  require_error([&] { short_convolution(be, v, none.view(), bias.view(), v); }, {"weight is (3, 0)"});
  require_error([&] { short_convolution(be, v, weight.view(), four.view(), v); }, {"bias is (4)"});
  require_error([&] { short_convolution(be, v, weight.view(), bias.view(), other.view()); }, {"y is (2, 4, 3)"});
  require_error([&] { short_convolution_vjp(be, v, weight.view(), other.view(), v, weight.view(), bias.view()); },
                {"short_convolution_vjp", "dy is (2, 4, 3)"});
  require_error([&] { short_convolution_vjp(be, v, weight.view(), v, v, wide.view(), bias.view()); },
                {"short_convolution_vjp", "dweight is (4, 3)"});
  require_error([&] { short_convolution_vjp(be, v, weight.view(), v, v, weight.view(), four.view()); },
                {"short_convolution_vjp", "dbias is (4)"});
}
