#include "m2/nn/monarch_linear.hpp"

#include "m2/nn/block_diagonal_linear.hpp"
#include "m2/nn/channel_linear.hpp"
#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<MonarchLinear<float, Cpu>> && Module<BlockDiagonalLinear<double, Serial>>);
static_assert(Module<MonarchMap<3, double, Cpu>> && Module<ChannelLinear<float, Cpu>>);

namespace {

/// blocks products of (out_block x in_block), side by side.
std::vector<double> block_diagonal(const std::vector<double>& w, std::vector<double> x, Index blocks, Index out,
                                   Index in) {
  x.resize(static_cast<std::size_t>(blocks * in));
  std::vector<double> y(static_cast<std::size_t>(blocks * out));
  for (Index k = 0; k < blocks; ++k)
    for (Index i = 0; i < out; ++i)
      for (Index j = 0; j < in; ++j)
        y[static_cast<std::size_t>(k * out + i)] +=
            w[static_cast<std::size_t>((k * out + i) * in + j)] * x[static_cast<std::size_t>(k * in + j)];
  return y;
}

/// The second factor of the reference: block l of the weights reads r blocks + l and writes s blocks + l.
std::vector<double> interleaved(const std::vector<double>& w, const std::vector<double>& x, Index blocks, Index out,
                                Index in) {
  std::vector<double> y(static_cast<std::size_t>(blocks * out));
  for (Index l = 0; l < blocks; ++l)
    for (Index s = 0; s < out; ++s)
      for (Index r = 0; r < in; ++r)
        y[static_cast<std::size_t>(s * blocks + l)] +=
            w[static_cast<std::size_t>((l * out + s) * in + r)] * x[static_cast<std::size_t>(r * blocks + l)];
  return y;
}

}  // namespace

TEMPLATE_TEST_CASE("BlockDiagonalLinear mixes within blocks and pads what does not divide", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  BlockDiagonalLinear<T, B> linear(10, 6, {.blocks = 4});  // blocks of 2 x 3, padded to 8 x 12
  ModuleRun<BlockDiagonalLinear<T, B>> run(linear, {2, 3, 10});
  run.forward();
  auto& weight = parameter_named<T, B>(linear, "weight");
  REQUIRE(weight.shape() == std::vector<Index>{4, 2, 3});
  const auto w = to_host(weight.flat_value()), b = to_host(parameter_named<T, B>(linear, "bias").flat_value());
  REQUIRE(largest(w) <= 1 / std::sqrt(3.0));
  REQUIRE(largest(b) <= 1 / std::sqrt(6.0));
  const auto x = to_host(run.x.view());
  std::vector<double> expected;
  for (auto row = x.begin(); row != x.end(); row += 10) {
    const auto y = block_diagonal(w, {row, row + 10}, 4, 2, 3);
    for (std::size_t o = 0; o < 6; ++o) expected.push_back(y[o] + b[o]);
  }
  require_close(to_host(run.y.view()), expected, tolerance<T>(4, largest(x)));
  require_module_gradients(linear, {2, 3, 10});
}

TEMPLATE_TEST_CASE("MonarchLinear is the reference's two-factor layer", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  const Index in = GENERATE(10, 6), out = 16 - in;  // wide to narrow and back
  const Index in_block = (in + 1) / 2, out_block = (out + 1) / 2, middle = std::min(in_block, out_block);
  MonarchLinear<T, B> linear(in, out, {.blocks = 2});
  ModuleRun<MonarchLinear<T, B>> run(linear, {1, 4, in});
  run.forward();
  const auto first = to_host(parameter_named<T, B>(linear, "factor0").flat_value());
  const auto second = to_host(parameter_named<T, B>(linear, "factor1").flat_value());
  const auto b = to_host(parameter_named<T, B>(linear, "bias").flat_value());
  const auto x = to_host(run.x.view());
  std::vector<double> expected;
  for (auto row = x.begin(); row != x.end(); row += in) {
    const auto hidden = block_diagonal(first, {row, row + in}, 2, middle, in_block);
    const auto y = interleaved(second, hidden, 2, out_block, middle);
    for (std::size_t o = 0; o < b.size(); ++o) expected.push_back(y[o] + b[o]);
  }
  require_close(to_host(run.y.view()), expected, tolerance<T>(16, largest(x)));
  require_module_gradients(linear, {1, 4, in});
}

TEST_CASE("MonarchMap takes a Monarch shape of any order", "[nn]") {
  MonarchMap<3, double, Cpu> map(MonarchShape<3>{2, 3, 2}, false);
  require_module_gradients(map, {1, 2, 12});
}

TEST_CASE("ChannelLinear is the layer chosen at run time", "[nn]") {
  for (const auto mixing : {ChannelMixing::dense, ChannelMixing::block_diagonal, ChannelMixing::monarch}) {
    ChannelLinear<double, Cpu> layer(4, 6, {.mixing = mixing, .blocks = 2});
    require_module_gradients(layer, {1, 3, 4});
    Cpu be;
    const Index count = ParameterStore<double, Cpu>(be, layer, 1).parameter_count();
    REQUIRE(count == 6 + (mixing == ChannelMixing::dense ? 24 : mixing == ChannelMixing::block_diagonal ? 12 : 8 + 12));
  }
}

TEST_CASE("Monarch layers name both shapes when they do not fit", "[nn]") {
  BlockDiagonalLinear<double, Cpu> blocks(8, 4);
  require_shape_errors(blocks, {2, 3, 8}, {2, 3, 7}, {"monarch linear", "(2, 3, 7)", "4 x 8"});
  MonarchLinear<double, Cpu> monarch(8, 4);
  require_shape_errors(monarch, {2, 3, 8}, {2, 3, 9}, {"monarch linear", "(2, 3, 9)", "4 x 8"});
}
