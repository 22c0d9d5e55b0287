#include "m2/nn/sequence_mixer.hpp"

#include "tests/nn/golden.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<SequenceMixer<float, Cpu>> && Module<SequenceMixer<double, Serial>>);

TEST_CASE("SequenceMixer gives the numbers of the published modules", "[nn]") {
  for (const std::string model : {"m2_default", "causal_no_residual"}) {
    INFO("model " << model);
    const auto golden = mixer_golden(model);
    const auto extents = golden["shape"].get<std::array<Index, 3>>();
    SequenceMixer<double, Cpu> mixer(extents[2], {.max_length = extents[1],
                                                  .bidirectional = golden["bidirectional"].get<bool>(),
                                                  .residual_convolution = golden["residual"].get<bool>(),
                                                  .filter = {.width = golden["width"].get<Index>()}});
    ModuleRun<SequenceMixer<double, Cpu>> run(mixer, extents);
    load_golden<Cpu>(mixer, golden, "");
    const auto input = golden["input"].get<std::vector<double>>();
    for_every(run.x.view(), [&](double& element, Index i) { element = input[static_cast<std::size_t>(i)]; });
    run.forward();
    const auto expected = golden["output"].get<std::vector<double>>();
    require_close(to_host(run.y.view()), expected, golden_tolerance(expected, extents[1] * extents[2]));
  }
}

TEMPLATE_TEST_CASE("SequenceMixer has its gradients", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  const bool bidirectional = GENERATE(false, true);
  SequenceMixer<T, B> mixer(
      2,
      {.max_length = 6, .bidirectional = bidirectional, .residual_convolution = bidirectional, .filter = {.width = 3}});
  require_module_gradients(mixer, {2, 5, 2});
}

TEMPLATE_TEST_CASE("A causal SequenceMixer does not see the future", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  SequenceMixer<T, B> mixer(4, {.max_length = 40, .residual_convolution = true, .filter = {.width = 4}});
  ModuleRun<SequenceMixer<T, B>> run(mixer, {1, 40, 4});
  run.forward();
  const auto before = to_host(run.y.view());
  const auto past = to_host(run.y.view().slice(1, 0, 29));
  for_every(run.x.view().slice(1, 29, 11), [](T& element, Index) { element += 1; });
  run.forward();
  require_close(to_host(run.y.view().slice(1, 0, 29)), past, tolerance<T>(40, 1 + largest(to_host(run.y.view()))));
  REQUIRE(to_host(run.y.view().slice(1, 29, 11)) != std::vector<double>(before.begin() + 29 * 4, before.end()));
}

TEST_CASE("SequenceMixer names both shapes when they do not fit", "[nn]") {
  SequenceMixer<double, Cpu> mixer(4, {.max_length = 8, .filter = {.width = 4}});
  require_shape_errors(mixer, {2, 8, 4}, {2, 8, 6}, {"sequence_mixer", "(2, 8, 6)", "8, 4)"});
  require_shape_errors(mixer, {2, 8, 4}, {2, 9, 4}, {"sequence_mixer", "(2, 9, 4)", "8, 4)"});
  require_error([] { SequenceMixer<float, Cpu>(Index{1} << 62, {.max_length = 8}); },
                {"sequence_mixer", "3 x 4611686018427387904"});
}
