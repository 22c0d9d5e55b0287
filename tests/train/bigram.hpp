#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "m2/backend/cpu.hpp"
#include "m2/train.hpp"

namespace m2::test {

/// The smallest language model: the logits of the next token are row `input` of a table plus a bias. In training, each
/// table element is dropped with probability 1/2 (and doubled otherwise), so that a run depends on its random site.
template <class T>
class Bigram {
 public:
  using Scalar = T;
  using Backend = Cpu;

  explicit Bigram(Index vocabulary, bool with_dropout = false)
      : vocabulary_(vocabulary),
        with_dropout_(with_dropout),
        table_({vocabulary, vocabulary}, normal<T>(0.1)),
        bias_({vocabulary}, constant<T>(0), {.weight_decay = false, .learning_rate_scale = 0.5}) {}

  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("table", table_);
    visitor("bias", bias_);
    visitor("dropout", site_);
  }

  double loss(Cpu&, const TokenBatch<Cpu>& batch) { return pass(batch, 0.0); }
  double loss_and_gradients(Cpu&, const TokenBatch<Cpu>& batch, double scale) { return pass(batch, scale); }

  const RandomSite& site() const { return site_; }

 private:
  double pass(const TokenBatch<Cpu>& batch, double scale) {
    const auto table = table_.template value<2>();
    const auto bias = bias_.template value<1>();
    auto dtable = table_.template gradient<2>();
    auto dbias = bias_.template gradient<1>();
    std::vector<double> logits(static_cast<std::size_t>(vocabulary_)), gain(logits.size());
    double total = 0;
    for (Index row = 0; row < batch.inputs.extent(0); ++row)
      for (Index t = 0; t < batch.inputs.extent(1); ++t) {
        const Index in = batch.inputs(row, t), target = batch.targets(row, t);
        if (target == ignored_target) continue;
        double normalizer = 0;
        for (Index v = 0; v < vocabulary_; ++v) {
          const auto at = static_cast<std::size_t>(v);
          gain[at] = 1;
          if (with_dropout_ && site_.training)
            gain[at] = random_bits(site_.key, 0, static_cast<std::uint64_t>(in * vocabulary_ + v))[0] % 2 == 0 ? 0 : 2;
          logits[at] = gain[at] * static_cast<double>(table(in, v)) + static_cast<double>(bias(v));
          normalizer += std::exp(logits[at]);
        }
        total += std::log(normalizer) - logits[static_cast<std::size_t>(target)];
        if (scale == 0) continue;
        for (Index v = 0; v < vocabulary_; ++v) {
          const auto at = static_cast<std::size_t>(v);
          const double d = scale / static_cast<double>(batch.counted) *
                           (std::exp(logits[at]) / normalizer - (v == target ? 1.0 : 0.0));
          dtable(in, v) += static_cast<T>(gain[at] * d);
          dbias(v) += static_cast<T>(d);
        }
      }
    return total / static_cast<double>(batch.counted);
  }

  Index vocabulary_;
  bool with_dropout_;
  Parameter<T, Cpu> table_, bias_;
  RandomSite site_;
};

/// Tokens 0 .. vocabulary - 1 where each is mostly the one before plus 1.
inline std::vector<std::uint8_t> counting_text(Index size, Index vocabulary) {
  Rng rng(5);
  std::vector<std::uint8_t> text(static_cast<std::size_t>(size));
  Index token = 0;
  for (auto& element : text) {
    element = static_cast<std::uint8_t>(token);
    token = (token + (rng.below(4) == 0 ? 2 : 1)) % vocabulary;
  }
  return text;
}

}  // namespace m2::test
