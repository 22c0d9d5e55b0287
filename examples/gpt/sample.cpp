#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "commands.hpp"
#include "m2/backend/cpu.hpp"
#include "m2/io.hpp"

namespace gpt {

namespace {

/// Draws an index with probability proportional to exp(score / temperature); temperature 0 takes the largest. With
/// top > 0 only the `top` largest scores take part.
m2::Index draw(const float* scores, m2::Index count, const SampleCommand& command, m2::Rng& rng) {
  std::vector<m2::Index> order(static_cast<std::size_t>(count));
  for (m2::Index i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = i;
  std::stable_sort(order.begin(), order.end(), [&](m2::Index a, m2::Index b) { return scores[a] > scores[b]; });
  if (command.temperature == 0) return order.front();
  if (command.top > 0 && command.top < count) order.resize(static_cast<std::size_t>(command.top));
  std::vector<double> sums;
  double total = 0;
  for (const m2::Index i : order) {
    total += std::exp(static_cast<double>(scores[i] - scores[order.front()]) / command.temperature);
    sums.push_back(total);
  }
  const auto at = std::upper_bound(sums.begin(), sums.end(), rng.uniform<double>(0, total));
  return order[static_cast<std::size_t>(std::min(at - sums.begin(), std::ssize(sums) - 1))];
}

}  // namespace

int sample(const SampleCommand& command) {
  M2_REQUIRE(!command.prompt.empty(), "the prompt is empty; at least one byte is needed to go on from");
  M2_REQUIRE(command.temperature >= 0, "the temperature is ", command.temperature, "; a number >= 0 is needed");
  m2::Cpu be;
  m2::Gpt<float, m2::Cpu> model(model_options(saved_plan(command.folder)));
  m2::ParameterStore<float, m2::Cpu> store(be, model, 0);
  m2::load_parameters(be, checkpoint_path(command.folder), store);

  // The model is causal: what stands behind the last byte of the text does not matter, so one shape serves all lengths.
  const m2::Index length = model.options().length, vocabulary = model.options().vocabulary;
  m2::Tensor<std::int32_t, 2, m2::Cpu> tokens(be, {1, length});
  m2::Tensor<float, 3, m2::Cpu> scores(be, {1, length, vocabulary});
  m2::Rng rng(command.seed);
  std::string text = command.prompt;
  std::fwrite(text.data(), 1, text.size(), stdout);
  for (m2::Index i = 0; i < command.bytes; ++i) {
    const m2::Index seen = std::min(length, std::ssize(text));
    for (m2::Index t = 0; t < seen; ++t)
      tokens.data()[t] = static_cast<unsigned char>(text[text.size() - static_cast<std::size_t>(seen - t)]);
    model.logits(be, tokens.cview(), scores.view());
    text += static_cast<char>(draw(scores.data() + (seen - 1) * vocabulary, vocabulary, command, rng));
    std::fputc(text.back(), stdout);
    M2_REQUIRE(std::fflush(stdout) == 0, "the text cannot be written");
  }
  std::fputc('\n', stdout);
  M2_REQUIRE(std::fflush(stdout) == 0, "the text cannot be written");
  return 0;
}

}  // namespace gpt
