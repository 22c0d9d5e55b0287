#include "m2/nn/implicit_filter.hpp"

#include "tests/nn/golden.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

template <class T, class B>
struct FilterRun {
  FilterRun(ImplicitFilter<T, B>& f, Index length, Index channels, Index gap = 1)
      : filter(f),
        store(be, f, 3),
        k(be, {length, channels}, gap),
        k_reverse(be, {length, channels}, gap),
        dk(be, {length, channels}, gap),
        dk_reverse(be, {length, channels}, gap),
        cache(f.make_cache(be, length)) {
    Rng rng(4);
    fill_normal(dk.view(), rng);
    fill_normal(dk_reverse.view(), rng);
  }
  void generate() { filter.generate(be, k.view(), k_reverse.view(), cache); }
  void backward() { filter.backward(be, dk.view(), dk_reverse.view(), cache); }
  double loss() {
    generate();
    return dot(to_host(k.view()), to_host(dk.view())) + dot(to_host(k_reverse.view()), to_host(dk_reverse.view()));
  }

  B be;
  ImplicitFilter<T, B>& filter;
  ParameterStore<T, B> store;
  Strided<T, 2, B> k, k_reverse, dk, dk_reverse;
  typename ImplicitFilter<T, B>::Cache cache;
};

}  // namespace

TEST_CASE("ImplicitFilter makes the kernels of the published modules", "[nn]") {
  for (const std::string model : {"m2_default", "causal_no_residual"}) {
    const auto golden = mixer_golden(model);
    const bool bidirectional = golden["bidirectional"].get<bool>();
    const auto [batch, length, channels] = golden["shape"].get<std::array<Index, 3>>();
    ImplicitFilter<double, Cpu> filter(channels, length,
                                       {.width = golden["width"].get<Index>(), .bidirectional = bidirectional});
    FilterRun<double, Cpu> run(filter, length, channels);
    load_golden<Cpu>(filter, golden, "convolution.filter.");
    run.generate();
    const auto expected = golden["k"].get<std::vector<double>>();  // (channels, length)
    require_close(to_host(run.k.view().transpose(0, 1)), expected, golden_tolerance(expected, 8));
    if (!bidirectional) continue;
    const auto reverse = golden["k_reverse"].get<std::vector<double>>();
    require_close(to_host(run.k_reverse.view().transpose(0, 1)), reverse, golden_tolerance(reverse, 8));
  }
}

TEMPLATE_TEST_CASE("A shorter kernel is the first part of the longest one", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  ImplicitFilter<T, B> filter(3, 9, {.width = 4, .embedding = 7});
  std::vector<double> whole, part;
  {
    FilterRun<T, B> run(filter, 9, 3);
    run.generate();
    whole = to_host(run.k.view().slice(0, 0, 5));
  }
  FilterRun<T, B> run(filter, 5, 3, 2);
  run.generate();
  require_close(to_host(run.k.view()), whole, tolerance<T>(16, largest(whole)));
}

TEMPLATE_TEST_CASE("ImplicitFilter has the gradients of both kernels", "[nn]", (On<Cpu, double>),
                   (On<Serial, double>)) {
  using B = typename TestType::Backend;
  const bool bidirectional = GENERATE(false, true);
  ImplicitFilter<double, B> filter(2, 5, {.width = 3, .frequency_scale = 0.7, .bidirectional = bidirectional});
  FilterRun<double, B> run(filter, 4, 2, 2);  // less than the longest: the last row of z has gradient 0
  run.generate();
  run.backward();
  const auto gradients = to_host(run.store.gradients());
  run.store.zero_gradients(run.be);
  run.generate();
  run.backward();
  REQUIRE(to_host(run.store.gradients()) == gradients);
  std::size_t i = 0;
  for_each_parameter<double, B>(filter, [&](const std::string& name, auto& parameter) {
    INFO("parameter " << name);
    const auto begin = gradients.begin() + run.store.entries()[i++].offset;
    require_gradient(parameter.flat_value(), std::vector<double>(begin, begin + parameter.size()),
                     [&] { return run.loss(); });
  });
  REQUIRE(i == (bidirectional ? 16U : 9U));
}

TEST_CASE("ImplicitFilter rejects what it cannot make", "[nn]") {
  Cpu be;
  ImplicitFilter<double, Cpu> filter(2, 5, {.width = 3});
  require_error([&] { filter.make_cache(be, 6); }, {"implicit_filter", "length is 6", "up to 5"});
  require_error([] { ImplicitFilter<double, Cpu>(2, 5, {.embedding = 4}); }, {"embedding is 4", "odd"});
  FilterRun<double, Cpu> run(filter, 5, 2);
  Tensor<double, 2, Cpu> k(be, {4, 2});
  require_error([&] { filter.generate(be, k.view(), {}, run.cache); }, {"(4, 2)", "(5, 2)"});
}
