#include "m2/models/gpt.hpp"

#include "m2/train/adamw.hpp"
#include "m2/train/loop.hpp"
#include "tests/support.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Trainable<Gpt<float, Cpu>, TokenBatch<Cpu>> && Trainable<Gpt<double, Serial>, TokenBatch<Serial>>);

namespace {

GptOptions tiny() {
  return {
      .vocabulary = 7, .length = 6, .channels = 4, .layers = 2, .expansion = 1, .blocks = 2, .filter = {.width = 2}};
}

/// Tokens and targets of which some are not scored; the views have room between their rows.
template <class B>
struct Tokens {
  Tokens(B& be, Index vocabulary, Index batch, Index length)
      : memory(be, {batch, length + 1}), targets(be, {batch, length}) {
    Rng rng(8);
    for_every(memory.view(), [&](std::int32_t& id, Index) { id = static_cast<std::int32_t>(rng.below(vocabulary)); });
    for_every(targets.view(), [&](std::int32_t& id, Index i) {
      id = i % 3 == 1 ? ignored_target : static_cast<std::int32_t>(rng.below(vocabulary));
    });
  }
  TokenBatch<B> batch() { return {memory.cview().slice(1, 0, targets.extent(1)), targets.cview(), 0}; }

  Tensor<std::int32_t, 2, B> memory, targets;
};

template <class T, class B>
void require_gpt_gradients(const GptOptions& options) {
  B be;
  Gpt<T, B> model(options);
  ParameterStore<T, B> store(be, model, 1);
  Tokens<B> tokens(be, options.vocabulary, 2, 5);
  const double loss = model.loss_and_gradients(be, tokens.batch(), 0.5);
  REQUIRE(loss == model.loss(be, tokens.batch()));
  std::vector<double> gradients = to_host(store.gradients());
  store.zero_gradients(be);
  REQUIRE(model.loss_and_gradients(be, tokens.batch(), 0.5) == loss);
  REQUIRE(to_host(store.gradients()) == gradients);
  for (double& g : gradients) g *= 2;
  std::size_t i = 0;
  for_each_parameter<T, B>(model, [&](const std::string& name, auto& parameter) {
    INFO("parameter " << name);
    const auto begin = gradients.begin() + store.entries()[i++].offset;
    require_gradient(parameter.flat_value(), std::vector<double>(begin, begin + parameter.size()),
                     [&] { return model.loss(be, tokens.batch()); });
  });
}

}  // namespace

TEMPLATE_TEST_CASE("The loss of Gpt is the cross entropy of its logits over the scored targets", "[models]",
                   M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Gpt<T, B> model(tiny());
  const ParameterStore<T, B> store(be, model, 1);
  Tokens<B> tokens(be, 7, 3, 6);
  Strided<T, 3, B> logits(be, {3, 6, 7}, 2);
  model.logits(be, tokens.batch().inputs, logits.view());
  const auto scores = to_host(logits.view());
  const auto targets = to_host(tokens.targets.view());
  double total = 0, counted = 0;
  for (std::size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] < 0) continue;
    double normalizer = 0;
    for (std::size_t v = 0; v < 7; ++v) normalizer += std::exp(scores[row * 7 + v]);
    total += std::log(normalizer) - scores[row * 7 + static_cast<std::size_t>(targets[row])];
    ++counted;
  }
  REQUIRE(std::abs(model.loss(be, tokens.batch()) - total / counted) <= tolerance<T>(64, 2.0));
}

TEST_CASE("Gpt has its gradients", "[models]") {
  require_gpt_gradients<double, Cpu>(tiny());
  GptOptions options = tiny();
  options.layers = 1;
  options.channel_mixing = ChannelMixing::dense;
  options.tied_head = options.position_embedding = true;
  require_gpt_gradients<double, Cpu>(options);
  options.channel_mixing = ChannelMixing::monarch;
  require_gpt_gradients<double, Serial>(options);
}

TEMPLATE_TEST_CASE("Changing a token leaves the logits before it equal to round-off", "[models]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  constexpr Index length = 70, changed = 45;
  B be;
  Gpt<T, B> model({.length = length, .channels = 8, .layers = 2, .filter = {.width = 8}});
  ParameterStore<T, B> store(be, model, 1);
  Tokens<B> tokens(be, 256, 2, length);
  Tensor<T, 3, B> logits(be, {2, length, 256});
  model.logits(be, tokens.batch().inputs, logits.view());
  const auto past = to_host(logits.view().slice(1, 0, changed)), all = to_host(logits.view());
  for (Index sample = 0; sample < 2; ++sample) tokens.memory.view()(sample, changed) ^= 1;
  model.logits(be, tokens.batch().inputs, logits.view());
  require_close(to_host(logits.view().slice(1, 0, changed)), past, tolerance<T>(length, std::max(1.0, largest(all))));
  const auto now = to_host(logits.view().slice(1, changed, 1));
  REQUIRE(now != to_host(logits.view().slice(1, changed - 1, 1)));
  bool moved = false;
  for (std::size_t v = 0; v < 256; ++v) {
    const double difference = std::abs(now[v] - all[static_cast<std::size_t>(changed * 256) + v]);
    moved = moved || difference > 100 * tolerance<T>(length, std::max(1.0, largest(all)));
  }
  REQUIRE(moved);
}

TEST_CASE("Gpt forgets no result when shapes take turns", "[models]") {
  Cpu be;
  Gpt<float, Cpu> model(tiny());
  const ParameterStore<float, Cpu> store(be, model, 1);
  Tokens<Cpu> first(be, 7, 2, 6), second(be, 7, 3, 4), third(be, 7, 1, 5);
  const double loss = model.loss(be, first.batch());
  for (int round = 0; round < 2; ++round) {
    model.loss(be, second.batch());
    REQUIRE(model.loss(be, first.batch()) == loss);
    model.loss(be, third.batch());
    model.loss(be, second.batch());
    REQUIRE(model.loss(be, first.batch()) == loss);
  }
}

TEST_CASE("Gpt drops out in training only, and the same for the same key", "[models]") {
  Cpu be;
  GptOptions options = tiny();
  options.dropout = 0.5;
  Gpt<double, Cpu> model(options);
  const ParameterStore<double, Cpu> store(be, model, 1);
  Tokens<Cpu> tokens(be, 7, 2, 6);
  const double evaluated = model.loss(be, tokens.batch());
  std::uint64_t key = 1;
  for (RandomSite* site : random_sites(model)) *site = {.training = true, .key = key++};
  const double trained = model.loss(be, tokens.batch());
  REQUIRE(trained != evaluated);
  REQUIRE(model.loss_and_gradients(be, tokens.batch(), 1.0) == trained);
  set_training(model, false);
  REQUIRE(model.loss(be, tokens.batch()) == evaluated);
}

TEST_CASE("Gpt learns a batch by heart", "[models]") {
  Cpu be;
  Gpt<float, Cpu> model(tiny());
  ParameterStore<float, Cpu> store(be, model, 1);
  Tokens<Cpu> tokens(be, 7, 2, 6);
  const double start = model.loss(be, tokens.batch());
  AdamW<float, Cpu> optimizer(be, store, {.learning_rate = 0.01});
  for (int step = 0; step < 150; ++step) {
    store.zero_gradients(be);
    model.loss_and_gradients(be, tokens.batch(), 1.0);
    optimizer.step(be, store, 1.0, clipping_scale(gradient_norm(be, store), 1.0));
  }
  REQUIRE(model.loss(be, tokens.batch()) < 0.5 * start);
}

TEST_CASE("Gpt with causal_monarch convolutions starts with the plain loss, has its gradients and learns", "[models]") {
  Cpu be;
  GptOptions options = tiny();
  options.convolution = {.kind = Convolution::causal_monarch, .order = 2, .heads = 2};
  Tokens<Cpu> tokens(be, 7, 2, 6);
  Gpt<double, Cpu> plain(tiny()), model(options);
  ParameterStore<double, Cpu> plain_store(be, plain, 1), store(be, model, 1);
  const double start = plain.loss(be, tokens.batch());
  REQUIRE(std::abs(model.loss(be, tokens.batch()) - start) <= tolerance<double>(64, start));
  REQUIRE(store.parameter_count() > plain_store.parameter_count());
  AdamW<double, Cpu> optimizer(be, store, {.learning_rate = 0.01});
  for (int step = 0; step < 150; ++step) {
    store.zero_gradients(be);
    model.loss_and_gradients(be, tokens.batch(), 1.0);
    optimizer.step(be, store, 1.0, clipping_scale(gradient_norm(be, store), 1.0));
  }
  REQUIRE(model.loss(be, tokens.batch()) < 0.5 * start);
  options.layers = 1;
  require_gpt_gradients<double, Cpu>(options);
}

TEST_CASE("Gpt names both shapes when they do not fit", "[models]") {
  Cpu be;
  Gpt<float, Cpu> model(tiny());
  const ParameterStore<float, Cpu> store(be, model, 1);
  Tokens<Cpu> tokens(be, 7, 2, 6), longer(be, 7, 2, 9);
  require_error([&] { model.loss(be, longer.batch()); }, {"gpt", "(2, 9)", "<= 6"});
  Tensor<float, 3, Cpu> logits(be, {2, 6, 8});
  require_error([&] { model.logits(be, tokens.batch().inputs, logits.view()); }, {"gpt", "(2, 6, 8)", "(2, 6, 7)"});
  const TokenBatch<Cpu> uneven{tokens.batch().inputs, longer.batch().targets, 0};
  require_error([&] { model.loss(be, uneven); }, {"gpt: targets", "(2, 9)", "(2, 6)"});
  require_error([] { Gpt<float, Cpu>(GptOptions{.layers = 0}); }, {"gpt", "0 layers"});
  require_error([] { Gpt<float, Cpu>(GptOptions{.channels = 16, .expansion = Index{1} << 62}); }, {"gpt", "too wide"});
}
