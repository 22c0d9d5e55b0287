#include "m2/ops/dropout.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

TEMPLATE_TEST_CASE("dropout keeps elements by their position and scales them", "[ops][dropout]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(1);
  constexpr double rate = 0.3;
  constexpr std::uint64_t key = 0x123456789ABCDEFULL;
  for (const Extents<3>& e : {Extents<3>{2, 5, 7}, Extents<3>{1, 1, 3}, Extents<3>{4, 2, 8}, Extents<3>{0, 2, 8}})
    for (const Index gap : {1, 2}) {
      Strided<T, 3, B> x(be, e, gap), y(be, e, gap);
      fill_normal(x.view(), rng);
      const std::vector<double> in = to_host(x.view());
      std::vector<double> expected;
      for (std::size_t i = 0; i < in.size(); ++i) {
        const std::uint32_t word = random_bits(key, 0, i / 4)[i % 4];
        expected.push_back(static_cast<double>(word) / 0x1p32 >= rate ? in[i] / (1 - rate) : 0.0);
      }
      dropout(be, rate, key, x.view(), y.view());
      require_close(to_host(y.view()), expected, tolerance<T>(1, 10));
      const std::vector<double> separate = to_host(y.view());
      dropout_vjp(be, rate, key, x.view(), x.view());  // the same mask, in place
      require_close(to_host(x.view()), separate, 0);
    }
}

TEST_CASE("dropout drops the asked share and keeps the mean", "[ops][dropout]") {
  Cpu be;
  constexpr Index n = 100000;
  Tensor<float, 1, Cpu> x(be, {n}), y(be, {n});
  for_every(x.view(), [](float& element, Index) { element = 1; });
  for (const double rate : {0.1, 0.5, 0.9}) {
    dropout(be, rate, 7, x.view(), y.view());
    const std::vector<double> out = to_host(y.view());
    const double dropped = static_cast<double>(std::count(out.begin(), out.end(), 0.0)) / static_cast<double>(n);
    const double error = std::sqrt(rate * (1 - rate) / static_cast<double>(n));
    REQUIRE(std::abs(dropped - rate) < 5 * error);  // five standard errors
    double mean = 0;
    for (const double value : out) mean += value / static_cast<double>(n);
    REQUIRE(std::abs(mean - 1) < 5 * error / (1 - rate));
  }
}

TEST_CASE("dropout with rate 0 copies, and other keys give other masks", "[ops][dropout]") {
  Cpu be;
  Rng rng(2);
  Tensor<double, 2, Cpu> x(be, {8, 16}), y(be, {8, 16}), z(be, {8, 16});
  fill_normal(x.view(), rng);
  dropout(be, 0, 7, x.view(), y.view());
  require_close(to_host(y.view()), to_host(x.view()), 0);
  dropout(be, 0.5, 7, x.view(), y.view());
  dropout(be, 0.5, 8, x.view(), z.view());
  REQUIRE(to_host(y.view()) != to_host(z.view()));
}

TEST_CASE("dropout_vjp is the gradient of dropout", "[ops][dropout]") {
  Cpu be;
  Rng rng(3);
  Tensor<double, 2, Cpu> x(be, {3, 5}), y(be, {3, 5}), dy(be, {3, 5}), dx(be, {3, 5});
  fill_normal(x.view(), rng);
  fill_normal(dy.view(), rng);
  dropout_vjp(be, 0.4, 9, dy.view(), dx.view());
  require_gradient(x.view(), to_host(dx.view()), [&] {
    dropout(be, 0.4, 9, x.view(), y.view());
    return dot(to_host(y.view()), to_host(dy.view()));
  });
}

TEMPLATE_TEST_CASE("dropout says what does not fit", "[ops][dropout]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 2, B> x(be, {2, 3}), y(be, {2, 4});
  require_error([&] { dropout(be, 0.1, 1, x.view(), y.view()); }, {"dropout: the input is (2, 3)", "(2, 4)"});
  require_error([&] { dropout(be, 1.0, 1, x.view(), x.view()); }, {"dropout: rate is 1", "0 <= rate < 1"});
  require_error([&] { dropout(be, -0.5, 1, x.view(), x.view()); }, {"dropout: rate is -0.5"});
  require_error([&] { dropout_vjp(be, 0.1, 1, y.view(), x.view()); }, {"dropout_vjp: the input is (2, 4)"});
}
