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

namespace {

SequenceMixerOptions causal_monarch(Index max_length, ConvolutionOptions convolution) {
  convolution.kind = Convolution::causal_monarch;
  return {.max_length = max_length, .filter = {.width = 3}, .convolution = convolution};
}

/// Moves the coefficients of a mixer away from the identity.
template <class M>
void move_coefficients(M& mixer, const std::string& name) {
  using T = typename M::Scalar;
  Rng rng(17);
  auto& coefficients = parameter_named<T, typename M::Backend>(mixer, name);
  for_every(coefficients.flat_value(), [&](T& x, Index) { x += rng.normal(T{0}, static_cast<T>(0.3)); });
}

}  // namespace

TEMPLATE_TEST_CASE("A causal_monarch SequenceMixer starts as the plain one", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  using Mixer = SequenceMixer<T, B>;
  Mixer plain(4, {.max_length = 40, .filter = {.width = 3}});
  ModuleRun<Mixer> expected(plain, {2, 37, 4});
  expected.forward();
  expected.backward();
  const auto y = to_host(expected.y.view()), dx = to_host(expected.dx.view());
  const double allowed = tolerance<T>(1 << 12, 1 + largest(y) + largest(dx));
  for (const int order : {1, 2, 3, 4}) {
    Mixer mixer(4, causal_monarch(40, {.order = order, .heads = 2}));
    ModuleRun<Mixer> run(mixer, {2, 37, 4});
    // Every parameter that both have starts with the same bits.
    for_each_parameter<T, B>(plain, [&](const std::string& name, Parameter<T, B>& parameter) {
      INFO("parameter " << name);
      REQUIRE(to_host(parameter.flat_value()) == to_host(parameter_named<T, B>(mixer, name).flat_value()));
    });
    run.forward();
    run.backward();
    require_close(to_host(run.y.view()), y, allowed);
    require_close(to_host(run.dx.view()), dx, allowed);
    move_coefficients(mixer, "convolution.coefficients");
    run.forward();
    REQUIRE(LargestDifference(to_host(run.y.view()), y).worst > 1000 * allowed);
  }
}

TEST_CASE("A causal_monarch SequenceMixer has its gradients, at the start and away from it", "[nn]") {
  using Mixer = SequenceMixer<double, Cpu>;
  Mixer start(2, causal_monarch(6, {.order = 2, .radices = {3, 2}}));
  require_module_gradients(start, {2, 5, 2});
  SequenceMixerOptions options = causal_monarch(6, {.order = 3, .heads = 2});
  options.residual_convolution = true;
  Mixer mixer(4, options);
  ModuleRun<Mixer> run(mixer, {2, 6, 4});
  move_coefficients(mixer, "convolution.coefficients");
  move_coefficients(mixer, "residual.coefficients");
  run.forward();
  run.backward();
  const auto dy = to_host(run.dy.view());
  const auto loss = [&] {
    run.forward();
    return dot(to_host(run.y.view()), dy);
  };
  require_gradient(run.x.view(), to_host(run.dx.view()), loss);
  const auto gradients = run.gradients();
  std::size_t i = 0;
  for_each_parameter<double, Cpu>(mixer, [&](const std::string& name, auto& parameter) {
    INFO("parameter " << name);
    const auto begin = gradients.begin() + run.store.entries()[i++].offset;
    require_gradient(parameter.flat_value(), std::vector<double>(begin, begin + parameter.size()), loss);
  });
}

TEST_CASE("A causal_monarch SequenceMixer does not see the future, whatever its coefficients", "[nn]") {
  using Mixer = SequenceMixer<double, Cpu>;
  Mixer mixer(4, causal_monarch(90, {.order = 2}));
  ModuleRun<Mixer> run(mixer, {1, 90, 4});
  move_coefficients(mixer, "convolution.coefficients");
  run.forward();
  const auto past = to_host(run.y.view().slice(1, 0, 50));
  const double allowed = tolerance<double>(90, 1 + largest(to_host(run.y.view())));
  for_every(run.x.view().slice(1, 50, 40), [](double& element, Index) { element += 1; });
  run.forward();
  require_close(to_host(run.y.view().slice(1, 0, 50)), past, allowed);
}

TEST_CASE("A causal_monarch SequenceMixer names options that do not fit", "[nn]") {
  const auto make = [](ConvolutionOptions convolution, bool bidirectional = false) {
    SequenceMixerOptions options = causal_monarch(40, std::move(convolution));
    options.bidirectional = bidirectional;
    SequenceMixer<float, Cpu>(4, options);
  };
  require_error([&] { make({.order = 5}); }, {"sequence_mixer", "is 5", "1 to 4"});
  require_error([&] { make({.order = 2, .radices = {40}}); }, {"sequence_mixer", "1 radices", "order 2"});
  require_error([&] { make({.order = 2, .radices = {3, 4}}); }, {"causal_monarch", "length 40", "(3, 4)"});
  require_error([&] { make({.heads = 3}); }, {"sequence_mixer", "3 heads", "4 channels"});
  require_error([&] { make({}, true); }, {"sequence_mixer", "bidirectional"});
}
