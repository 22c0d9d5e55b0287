#include "m2/train/loop.hpp"

#include "tests/support.hpp"
#include "tests/train/bigram.hpp"

namespace m2::test {
namespace {

constexpr Index vocabulary = 6;
const LinearSchedule constant_rate({.total = 1, .final_fraction = 1.0});

/// y = a x + b with batches of (x, y) that do not come from text: nothing in the loop is about tokens.
struct PointBatch {
  std::vector<double> x, y;
  Index counted = 0;
};

class Points {
 public:
  using Batch = PointBatch;
  explicit Points(Index size) : size_(size) {}
  const PointBatch& next(Cpu&) {
    batch_ = {};
    for (Index i = 0; i < size_; ++i) {
      batch_.x.push_back(rng_.uniform<double>(-1, 1));
      batch_.y.push_back(3 * batch_.x.back() - 2);
      ++batch_.counted;
    }
    return batch_;
  }
  std::uint64_t position() const { return rng_.position(); }
  void seek(std::uint64_t position) { rng_.seek(position); }

 private:
  Index size_;
  Rng rng_{17};
  PointBatch batch_;
};

struct Line {
  using Scalar = double;
  using Backend = Cpu;
  Parameter<double, Cpu> slope{{1}, constant<double>(0), {.weight_decay = false}};
  Parameter<double, Cpu> offset{{1}, constant<double>(0), {.weight_decay = false}};
  double poison = 0;  ///< added to the loss

  void visit(auto&& visitor) { visitor("slope", slope), visitor("offset", offset); }
  double loss(Cpu& be, const PointBatch& batch) { return loss_and_gradients(be, batch, 0); }
  double loss_and_gradients(Cpu&, const PointBatch& batch, double scale) {
    double total = 0;
    const double n = static_cast<double>(batch.x.size());
    for (std::size_t i = 0; i < batch.x.size(); ++i) {
      const double error = slope.flat_value()(0) * batch.x[i] + offset.flat_value()(0) - batch.y[i];
      total += error * error / n;
      slope.flat_gradient()(0) += scale * 2 * error * batch.x[i] / n;
      offset.flat_gradient()(0) += scale * 2 * error / n;
    }
    return total + poison;
  }
};

static_assert(Trainable<Line, PointBatch> && !Trainable<Line, TokenBatch<Cpu>>);
static_assert(Trainable<Bigram<float>, TokenBatch<Cpu>>);

struct Run {
  Cpu be;
  Line model;
  ParameterStore<double, Cpu> store{be, model, 1};
  AdamW<double, Cpu> optimizer{be, store, {.learning_rate = 0.05}};
  TrainState state;
};

/// Plain gradient descent: it shows the size of the gradient, which Adam hides.
struct Descent {
  double learning_rate() const { return 0.5; }
  void visit_state(auto&&) {}
  void step(Cpu&, ParameterStore<double, Cpu>& store, double rate_scale, double gradient_scale) {
    for (Index i = 0; i < store.values().extent(0); ++i)
      store.values()(i) -= learning_rate() * rate_scale * gradient_scale * store.gradients()(i);
  }
};
static_assert(Optimizer<Descent, double, Cpu>);

}  // namespace

TEST_CASE("The loop fits a line", "[train]") {
  Run run;
  Points source(16);
  train(run.be, run.model, run.store, run.optimizer, CosineSchedule({.warmup = 10, .total = 1000}), source, run.state,
        {.steps = 1000});
  REQUIRE(std::abs(run.model.slope.flat_value()(0) - 3) < 1e-3);
  REQUIRE(std::abs(run.model.offset.flat_value()(0) + 2) < 1e-3);
  REQUIRE(run.state.step == 1000);
  REQUIRE(run.state.tokens == 16000);
  REQUIRE(run.state.position == source.position());
}

TEST_CASE("Two accumulated half batches make the update of one whole batch", "[train]") {
  Run whole, halves;
  Points source(16), half_source(8);
  train(whole.be, whole.model, whole.store, whole.optimizer, constant_rate, source, whole.state, {.steps = 20});
  std::vector<StepReport> reports;
  struct {
    std::vector<StepReport>& reports;
    void on_step(const StepReport& report) { reports.push_back(report); }
  } callbacks{reports};
  train(halves.be, halves.model, halves.store, halves.optimizer, constant_rate, half_source, halves.state,
        {.steps = 20, .accumulation = 2}, callbacks);
  require_close(to_host(halves.store.values()), to_host(whole.store.values()), 20 * tolerance<double>(16, 3.0));
  REQUIRE(halves.state.tokens == whole.state.tokens);
  REQUIRE(halves.state.position == whole.state.position);
  REQUIRE(reports.size() == 20);
}

TEST_CASE("Clipping makes the update that the clipped gradient makes", "[train]") {
  Descent descent;
  Run run;
  Points source(16);
  struct {
    double norm = 0;
    void on_step(const StepReport& report) { norm = report.gradient_norm; }
  } callbacks;
  train(run.be, run.model, run.store, descent, constant_rate, source, run.state, {.steps = 1, .clip_norm = 0.01},
        callbacks);
  const double moved = std::hypot(run.model.slope.flat_value()(0), run.model.offset.flat_value()(0));
  REQUIRE(callbacks.norm > 1.0);
  REQUIRE(std::abs(moved - 0.5 * 0.01) <= tolerance<double>(2));
}

TEST_CASE("A loss or gradient that is not finite stops the run and changes nothing", "[train]") {
  Run run;
  Points source(16);
  train(run.be, run.model, run.store, run.optimizer, constant_rate, source, run.state, {.steps = 3});
  const auto values = to_host(run.store.values());
  const TrainState before = run.state;

  SECTION("loss") {
    run.model.poison = std::numeric_limits<double>::quiet_NaN();
    require_error(
        [&] { train(run.be, run.model, run.store, run.optimizer, constant_rate, source, run.state, {.steps = 10}); },
        {"train: the loss of step 4 is nan", "after step 3"});
  }
  SECTION("gradient") {
    struct BadGradient : Line {
      double loss_and_gradients(Cpu& be, const PointBatch& batch, double scale) {
        const double loss = Line::loss_and_gradients(be, batch, scale);
        slope.flat_gradient()(0) = std::numeric_limits<double>::infinity();
        return loss;
      }
    } bad;
    bad.slope.bind(run.store.values().data(), run.store.gradients().data());
    bad.offset = run.model.offset;
    require_error(
        [&] { train(run.be, bad, run.store, run.optimizer, constant_rate, source, run.state, {.steps = 10}); },
        {"train: the norm of the gradient of step 4 is inf", "after step 3"});
  }
  REQUIRE(to_host(run.store.values()) == values);
  REQUIRE(run.optimizer.steps() == 3);
  REQUIRE(run.state.step == before.step);
  REQUIRE(run.state.position == before.position);
  REQUIRE(run.state.tokens == before.tokens);
}

TEST_CASE("Callbacks are called when they should be, and a stop request ends the run with a checkpoint", "[train]") {
  Run run;
  Points source(4);
  struct Callbacks {
    std::vector<Index> steps, evaluations, checkpoints;
    Index stop_after = 1000;
    void on_step(const StepReport& report) {
      REQUIRE(report.tokens == report.step * 4);
      REQUIRE(report.learning_rate == 0.05);
      steps.push_back(report.step);
    }
    void on_evaluation(const TrainState& state) { evaluations.push_back(state.step); }
    void on_checkpoint(const TrainState& state) { checkpoints.push_back(state.step); }
    bool should_stop() const { return static_cast<Index>(steps.size()) >= stop_after; }
  } callbacks;
  const TrainOptions options{.steps = 10, .evaluate_every = 3, .checkpoint_every = 4};
  const auto go = [&] {
    train(run.be, run.model, run.store, run.optimizer, constant_rate, source, run.state, options, callbacks);
  };
  callbacks.stop_after = 7;
  go();
  REQUIRE(run.state.step == 7);
  REQUIRE(callbacks.evaluations == std::vector<Index>{3, 6});
  REQUIRE(callbacks.checkpoints == std::vector<Index>{4, 7});
  callbacks.stop_after = 1000;
  go();
  REQUIRE(callbacks.steps == std::vector<Index>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  REQUIRE(callbacks.evaluations == std::vector<Index>{3, 6, 9, 10});
  REQUIRE(callbacks.checkpoints == std::vector<Index>{4, 7, 8, 10});
  go();  // nothing is left to do
  REQUIRE(callbacks.steps.size() == 10);
  REQUIRE(callbacks.checkpoints.size() == 4);
}

TEST_CASE("Random sites train with a key of their own in every batch and are off in evaluation", "[train]") {
  Cpu be;
  Bigram<float> model(vocabulary, true);
  ParameterStore<float, Cpu> store(be, model, 1);
  AdamW<float, Cpu> optimizer(be, store, {.learning_rate = 0.02});
  const auto text = counting_text(600, vocabulary);
  RandomWindows<Cpu> source(be, text, {.batch = 2, .length = 8}, 1);
  SequentialWindows<Cpu> held_out(be, text, 500, {.batch = 3, .length = 7});
  struct Callbacks {
    Cpu& be;
    Bigram<float>& model;
    SequentialWindows<Cpu>& held_out;
    std::vector<std::uint64_t> keys;
    std::vector<double> losses;
    void on_step(const StepReport&) {
      REQUIRE(model.site().training);
      keys.push_back(model.site().key);
    }
    void on_evaluation(const TrainState&) {
      REQUIRE(!model.site().training);
      losses.push_back(evaluate(be, model, held_out));
    }
  } callbacks{be, model, held_out, {}, {}};
  TrainState state{.seed = 99};
  train(be, model, store, optimizer, constant_rate, source, state,
        {.steps = 300, .accumulation = 2, .evaluate_every = 100}, callbacks);
  REQUIRE(!model.site().training);
  for (std::size_t i = 0; i < callbacks.keys.size(); ++i)
    REQUIRE(callbacks.keys[i] == random_site_key(99, static_cast<Index>(i), 1, 0));
  std::sort(callbacks.keys.begin(), callbacks.keys.end());
  REQUIRE(std::adjacent_find(callbacks.keys.begin(), callbacks.keys.end()) == callbacks.keys.end());
  REQUIRE(callbacks.losses.size() == 3);
  REQUIRE(callbacks.losses.back() < 1.0);  // from log 6 = 1.79; the text has 0.56 nats a token
}

TEST_CASE("Evaluation weighs every target the same, whatever the batch shape", "[train]") {
  Cpu be;
  Bigram<double> model(vocabulary, true);
  ParameterStore<double, Cpu> store(be, model, 1);
  const auto text = counting_text(203, vocabulary);
  set_training(model, true);
  std::vector<double> losses;
  for (const BatchShape shape : {BatchShape{1, 1}, BatchShape{2, 7}, BatchShape{5, 64}}) {
    SequentialWindows<Cpu> source(be, text, 100, shape);
    losses.push_back(evaluate(be, model, source));
    REQUIRE(evaluate(be, model, source) == losses.back());  // again from the start
  }
  REQUIRE(model.site().training);  // as before
  REQUIRE(std::abs(losses[1] - losses[0]) <= tolerance<double>(103, losses[0]));
  REQUIRE(std::abs(losses[2] - losses[0]) <= tolerance<double>(103, losses[0]));
}

TEST_CASE("An evaluation that fails leaves the model's random sites as they were", "[train]") {
  struct Failing : Bigram<double> {
    using Bigram<double>::Bigram;
    double loss(Cpu&, const TokenBatch<Cpu>&) {
      REQUIRE(!site().training);
      throw Error("this loss fails");
    }
  };
  Cpu be;
  Failing model(vocabulary, true);
  ParameterStore<double, Cpu> store(be, model, 1);
  const auto text = counting_text(20, vocabulary);
  SequentialWindows<Cpu> source(be, text, 10, {.batch = 1, .length = 4});
  set_training(model, true);
  require_error([&] { evaluate(be, model, source); }, {"this loss fails"});
  REQUIRE(model.site().training);
}

TEST_CASE("The loop refuses impossible options", "[train]") {
  Run run;
  Points source(4);
  const auto go = [&](const TrainOptions& options) {
    train(run.be, run.model, run.store, run.optimizer, constant_rate, source, run.state, options);
  };
  require_error([&] { go({.steps = -1}); }, {"train: -1 steps"});
  require_error([&] { go({.accumulation = 0}); }, {"train: accumulation is 0"});
  require_error([&] { go({.clip_norm = -1}); }, {"train: clip_norm is -1"});
  require_error([&] { go({.evaluate_every = -1}); }, {"train: evaluate_every is -1"});
}

}  // namespace m2::test
