#include "m2/monarch/multiply.hpp"

#include "tests/monarch/layouts.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

template <class B, class T, int Order>
void check_multiply(const MonarchShape<Order>& shape, Index batch, Layout in, Layout out) {
  B be;
  Rng rng(static_cast<std::uint64_t>(batch + 7 * Order));
  Tensor<T, 1, B> weights(be, {shape.parameter_count()});
  fill_normal(weights.view(), rng);
  const auto m = monarch_view(shape, weights.cview());
  Vectors<T, B> x(be, batch, shape.in_features(), in), y(be, batch, shape.out_features(), out);
  fill_normal(x.view(), rng);
  fill_normal(y.view(), rng);  // what was in y must not matter
  monarch_multiply(be, m, x.view(), y.view());
  require_product<T>(m, x.view(), y.view());
  y.require_gaps();
}

}  // namespace

TEMPLATE_TEST_CASE("Monarch multiply equals its definition in every layout", "[monarch]", M2_EVERY_ELEMENT) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  for_every_shape([](const auto& shape) {
    for (const Layout in : every_layout)
      for (const Layout out : every_layout)
        for (const Index batch : {1, 3}) check_multiply<B, T>(shape, batch, in, out);
  });
}

TEMPLATE_TEST_CASE("Monarch multiply takes strides that are zero or negative", "[monarch]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  using Vectors = View<T, 2, B>;
  B be;
  Rng rng(13);
  const auto shape = MonarchShape<2>::rectangular({3, 4}, {5, 2});
  Tensor<T, 1, B> weights(be, {shape.parameter_count()});
  fill_normal(weights.view(), rng);
  const auto m = monarch_view(shape, weights.cview());
  const Index in = shape.in_features(), out = shape.out_features();
  for (const Index batch : {1, 2, 17, 64}) {
    Tensor<T, 2, B> x(be, {batch, in}), y(be, {batch, out});
    fill_normal(x.view(), rng);
    const Vectors repeated(x.data(), {batch, in}, {0, 1}), constant(x.data(), {batch, in}, {in, 0});
    const Vectors last_first(x.data() + (batch - 1) * in, {batch, in}, {-in, 1});
    const Vectors backwards(x.data() + batch * in - 1, {batch, in}, {-1, -batch});
    const Vectors result(y.data() + batch * out - 1, {batch, out}, {-1, -batch});
    for (const Vectors& given : {repeated, constant, last_first, backwards}) {
      monarch_multiply(be, m, given, result);
      for (Index b = 0; b < batch; ++b) {
        const auto expected = as_doubles(oracle_multiply(m, to_wide(given.select(0, b))));
        require_close(to_host(result.select(0, b)), expected, tolerance<T>(12, 1 + largest(expected)));
      }
    }
  }
}

TEST_CASE("Monarch multiply over several tiles and threads", "[monarch]") {
  for (const Layout layout : {Layout::features, Layout::batch}) {
    check_multiply<Cpu, float>(MonarchShape<2>(16, 16), 700, layout, layout);
    check_multiply<Cpu, double>(MonarchShape<3>(4, 6, 5), 300, layout, layout);
    check_multiply<Cpu, float>(MonarchShape<2>(32, 64), 40, layout, layout);  // fewer vectors than a tile each
    check_multiply<Cpu, float>(MonarchShape<1>::block_diagonal(400, 300, 4), 130, layout, layout);
    check_multiply<Cpu, float>(MonarchShape<2>(64, 64), 2, layout, layout);   // threads share blocks
    check_multiply<Cpu, float>(MonarchShape<2>(32, 8), 256, layout, layout);  // digits that share cache sets
  }
  // Fewer blocks than lanes. Of long vectors, what comes next is asked for.
  for (const Index blocks : {2, 4, 8})
    check_multiply<Cpu, float>(MonarchShape<2>::linear(128, 192, blocks), 40, Layout::features, Layout::gaps);
  check_multiply<Cpu, float>(MonarchShape<2>::linear(512, 128, 4), 1700, Layout::features, Layout::features);
  // 16384 values between the factors: they bypass the caches, too.
  check_multiply<Cpu, float>(MonarchShape<3>(32, 32, 16), 66, Layout::batch, Layout::batch);
}

TEST_CASE("Monarch multiply: results that bypass the caches are the same", "[monarch]") {
  Cpu be;
  const MonarchShape<1> shape({FactorShape{128, 2, 2, 16}});
  const Index n = shape.in_features(), batch = (Index{9} << 20) / (n * static_cast<Index>(sizeof(float)));  // 9 MiB
  Tensor<float, 1, Cpu> weights(be, {shape.parameter_count()});
  Tensor<float, 2, Cpu> x(be, {batch, n}), y(be, {batch, n}), parts(be, {batch, n});
  fill_whole(weights, 7);
  fill_whole(x, 11);
  const auto m = monarch_view(shape, weights.cview());
  for (const bool features : {true, false}) {  // the contiguous dimension
    const auto vectors = [=](Tensor<float, 2, Cpu>& memory) { return contiguous_vectors(memory, features); };
    monarch_multiply(be, m, Input<float, 2, Cpu>(vectors(x)), vectors(y));
    for (const Index begin : {Index{0}, batch / 2})  // halves do not bypass them
      monarch_multiply(be, m, Input<float, 2, Cpu>(vectors(x).slice(0, begin, batch / 2)),
                       vectors(parts).slice(0, begin, batch / 2));
    Index different = 0;
    for (Index i = 0; i < y.size(); ++i) different += y.data()[i] != parts.data()[i] ? 1 : 0;
    CHECK(different == 0);
    CHECK(y.data()[1] != 0);
  }
}

TEMPLATE_TEST_CASE("Monarch multiply: what is left over of register tiles", "[monarch]", float, double,
                   std::complex<float>, bfloat16) {
  for (const Layout layout : {Layout::features, Layout::batch}) {
    for (const Index batch : {4, 5, 15, 16, 17, 33, 64, 81})  // lanes, pairs of registers, tiles
      check_multiply<Cpu, TestType>(MonarchShape<2>(7, 5), batch, layout, layout);
    for (Index rows = 1; rows <= 26; ++rows)  // rows of sums: every size of tile, and two of them
      check_multiply<Cpu, TestType>(MonarchShape<1>::block_diagonal(6, 2 * rows, 2), 33, layout, layout);
    check_multiply<Cpu, TestType>(MonarchShape<2>(16, 32), 48, layout, layout);  // with gaps between digits
  }
}

TEMPLATE_TEST_CASE("Monarch VJP equals finite differences", "[monarch]", (On<Cpu, double>), (On<Serial, double>),
                   (On<Cpu, std::complex<double>>), (On<Serial, std::complex<double>>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  for_every_shape([&](const auto& shape) {
    if (shape.parameter_count() > 300) return;
    for (const Layout layout : {Layout::features, Layout::batch, Layout::strided}) {
      const Index batch = 3;
      Rng rng(11);
      Tensor<T, 1, B> weights(be, {shape.parameter_count()}), dweights(be, {shape.parameter_count()});
      fill_normal(weights.view(), rng);
      Vectors<T, B> x(be, batch, shape.in_features(), layout), dx(be, batch, shape.in_features(), layout);
      Vectors<T, B> y(be, batch, shape.out_features(), layout), dy(be, batch, shape.out_features(), layout);
      fill_normal(x.view(), rng);
      fill_normal(dx.view(), rng);
      fill_normal(dy.view(), rng);
      const auto loss = [&] {
        monarch_multiply(be, monarch_view(shape, weights.view()), x.view(), y.view());
        return dot(to_host(y.view()), to_host(dy.view()));
      };
      monarch_multiply_vjp(be, monarch_view(shape, weights.view()), x.view(), dy.view(), dx.view(),
                           monarch_view(shape, dweights.view()));
      require_gradient(x.view(), to_host(dx.view()), loss);
      require_gradient(weights.view(), to_host(dweights.view()), loss);
      const std::vector<double> once = to_host(dweights.view());
      monarch_multiply_vjp(be, monarch_view(shape, weights.view()), x.view(), dy.view(), dx.view(),
                           monarch_view(shape, dweights.view()));
      std::vector<double> twice = once;
      for (double& w : twice) w *= 2;
      require_close(to_host(dweights.view()), twice, tolerance<double>(batch, 1 + largest(twice)));
    }
  });
}

TEMPLATE_TEST_CASE("Monarch multiply names what does not fit", "[monarch]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  const auto shape = MonarchShape<2>::rectangular({3, 5}, {2, 5});
  Tensor<T, 1, B> weights(be, {shape.parameter_count()});
  Tensor<T, 2, B> x(be, {7, 12}), x_right(be, {7, 15}), y(be, {7, 10}), y_short(be, {6, 10});
  const auto m = monarch_view(shape, weights.view());
  require_error([&] { monarch_multiply(be, m, x.view(), y.view()); }, {"monarch_multiply", "10 x 15", "(7, 12)"});
  require_error([&] { monarch_multiply(be, m, x_right.view(), y_short.view()); }, {"(7, 15)", "(6, 10)"});
  require_error([&] { monarch_multiply_vjp(be, m, x_right.view(), y.view(), x.view(), m); },
                {"monarch_multiply_vjp", "(7, 15)", "(7, 12)"});
  const auto other = MonarchShape<2>::rectangular({3, 5}, {5, 2});
  Tensor<T, 1, B> dweights(be, {other.parameter_count()});
  const auto dm = monarch_view(other, dweights.view());
  require_error(
      [&] { monarch_multiply_vjp(be, m, x_right.view(), y.view(), x_right.view(), dm); },
      {"monarch_multiply_vjp: M and its gradient are 10 x 15, but factor 0 has 3 x 1 blocks of ", " x 5 in the one"});
  require_error([&] { monarch_view(MonarchShape<2>(3, 3), weights.view()); }, {"monarch_view", "9 x 9"});
  Tensor<T, 2, B> none(be, {0, 15}), none_out(be, {0, 10});
  monarch_multiply(be, m, none.view(), none_out.view());  // an empty batch is no error
}
