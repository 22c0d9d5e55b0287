#include "m2/nn/mixer_block.hpp"

#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<MixerBlock<float, Cpu>> && Module<MixerBlock<double, Serial>>);

namespace {

MixerBlockOptions tiny() {
  return {.mixer = {.max_length = 4, .filter = {.width = 2}}, .mlp = {.inner = 4, .blocks = 2}, .dropout = 0.4};
}

}  // namespace

TEMPLATE_TEST_CASE("MixerBlock adds both branches and has its gradients", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  MixerBlock<T, B> block(4, tiny());
  ModuleRun<MixerBlock<T, B>> run(block, {1, 4, 4});
  run.forward();

  // With W_out = 0 and biases b the branches are the biases, whatever x is.
  for (const std::string name : {"mixer.out.weight", "mlp.out.weight"})
    for_every(parameter_named<T, B>(block, name).flat_value(), [](T& element, Index) { element = 0; });
  run.forward();
  const auto mixer = to_host(parameter_named<T, B>(block, "mixer.out.bias").flat_value());
  const auto mlp = to_host(parameter_named<T, B>(block, "mlp.out.bias").flat_value());
  auto expected = to_host(run.x.view());
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += mixer[i % 4] + mlp[i % 4];
  require_close(to_host(run.y.view()), expected, tolerance<T>(4, largest(expected)));

  const bool training = GENERATE(false, true);
  auto train = [&](const std::string&, RandomSite& site) { site = {.training = training, .key = 9}; };
  visit_member(train, "", "", block);
  require_module_gradients(block, {1, 4, 4});
}

TEST_CASE("MixerBlock names both shapes when they do not fit", "[nn]") {
  MixerBlock<double, Cpu> block(4, tiny());
  require_shape_errors(block, {1, 4, 4}, {1, 5, 4}, {"(1, 5, 4)", "4, 4)"});
}
