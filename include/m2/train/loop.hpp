#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "m2/train/batch_source.hpp"
#include "m2/train/gradient_clipping.hpp"
#include "m2/train/optimizer.hpp"
#include "m2/train/random_sites.hpp"

namespace m2 {

/// A model that the training loop can use with batches of this type.
///
/// loss(be, batch)                        the mean loss over the scored targets of a batch
/// loss_and_gradients(be, batch, scale)   the same, and adds scale x its gradient to the gradients of the parameters
/// visit(visitor)                         its parameters and random sites, as in Module
template <class M, class Batch>
concept Trainable = Scalar<typename M::Scalar> && Backend<typename M::Backend> &&
    requires(M& model, typename M::Backend& be, const Batch& batch, double scale) {
  { model.loss(be, batch) } -> std::convertible_to<double>;
  { model.loss_and_gradients(be, batch, scale) } -> std::convertible_to<double>;
  model.visit(detail::VisitProbe{});
};

/// Where a training run is: with the parameters and the optimizer, all that is needed to go on as if it had never
/// stopped.
struct TrainState {
  Index step = 0;              ///< updates made
  Index tokens = 0;            ///< targets trained on
  std::uint64_t position = 0;  ///< of the source of batches
  std::uint64_t seed = 0;      ///< of the random sites; all randomness is a function of it and the step

  template <class Visitor>
  void visit_state(Visitor&& visitor) {
    visitor("step", step);
    visitor("tokens", tokens);
    visitor("position", position);
    visitor("seed", seed);
  }
};

struct TrainOptions {
  Index steps = 1000;          ///< training ends when TrainState::step reaches this
  Index accumulation = 1;      ///< batches whose gradients make one update
  double clip_norm = 1.0;      ///< largest norm of the gradient, 0 for no limit
  Index evaluate_every = 0;    ///< steps between calls of on_evaluation; 0: only at the end
  Index checkpoint_every = 0;  ///< steps between calls of on_checkpoint; 0: only at the end
};

/// What one update did.
struct StepReport {
  Index step;            ///< number of the update, from 1
  double loss;           ///< mean over its batches, before the update
  double gradient_norm;  ///< before clipping
  double learning_rate;  ///< schedule included
  Index tokens;          ///< targets trained on since the start of the run
};

struct NoCallbacks {};

namespace detail {

/// Leaves a model in evaluation mode however the loop ends.
class TrainingMode {
 public:
  explicit TrainingMode(const std::vector<RandomSite*>& sites) : sites_(sites) { set(true); }
  ~TrainingMode() { set(false); }
  TrainingMode(const TrainingMode&) = delete;
  TrainingMode& operator=(const TrainingMode&) = delete;
  void set(bool training) {
    for (RandomSite* site : sites_) site->training = training;
  }

 private:
  const std::vector<RandomSite*>& sites_;
};

/// Switches random sites off and, however the evaluation ends, back to what they were.
class EvaluationMode {
 public:
  explicit EvaluationMode(const std::vector<RandomSite*>& sites) {
    for (RandomSite* site : sites) sites_.emplace_back(site, std::exchange(site->training, false));
  }
  ~EvaluationMode() {
    for (const auto& [site, training] : sites_) site->training = training;
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  std::vector<std::pair<RandomSite*, bool>> sites_;
};

inline const TrainOptions& checked(const TrainOptions& options) {
  M2_REQUIRE(options.steps >= 0, "train: ", options.steps, " steps are asked for");
  M2_REQUIRE(options.accumulation >= 1, "train: accumulation is ", options.accumulation, ", at least 1 is needed");
  M2_REQUIRE(options.clip_norm >= 0, "train: clip_norm is ", options.clip_norm, ", a number >= 0 is needed");
  M2_REQUIRE(options.evaluate_every >= 0 && options.checkpoint_every >= 0, "train: evaluate_every is ",
             options.evaluate_every, " and checkpoint_every is ", options.checkpoint_every, ", both must be >= 0");
  return options;
}

/// A callback of the right name that cannot be called would never be, in silence: this makes it not compile.
template <class C>
constexpr void check_callbacks() {
  static_assert(
      !requires { &C::on_step; } || requires(C & c, const StepReport& r) { c.on_step(r); },
      "m2: on_step must be callable with a const StepReport&.");
  static_assert(
      !requires { &C::on_evaluation; } || requires(C & c, const TrainState& s) { c.on_evaluation(s); },
      "m2: on_evaluation must be callable with a const TrainState&.");
  static_assert(
      !requires { &C::on_checkpoint; } || requires(C & c, const TrainState& s) { c.on_checkpoint(s); },
      "m2: on_checkpoint must be callable with a const TrainState&.");
  static_assert(
      !requires { &C::should_stop; } ||
          requires(C & c) {
            { c.should_stop() } -> std::convertible_to<bool>;
          },
      "m2: should_stop must be callable without arguments and return bool.");
}

}  // namespace detail

/// The mean loss over one pass of a finite source, each scored target counting the same, in evaluation mode: random
/// sites are off during the call and as before after it, also after an error.
///
/// Errors   m2::Error if no target is scored, and those of the model
template <Backend B, class M, FiniteBatchSource<B> S>
requires Trainable<M, typename S::Batch>
double evaluate(B& be, M& model, S& source) {
  const detail::EvaluationMode mode(random_sites(model));
  source.seek(0);
  double total = 0;
  Index counted = 0;
  for (Index i = 0; i < source.batches(); ++i) {
    const auto& batch = source.next(be);
    total += model.loss(be, batch) * static_cast<double>(batch.counted);
    counted += batch.counted;
  }
  M2_REQUIRE(counted > 0, "evaluate: the source has no target to score");
  return total / static_cast<double>(counted);
}

/// Trains from `state` until options.steps updates are made or the callbacks ask to stop. One update: the mean gradient
/// of `accumulation` batches, clipped to clip_norm, and optimizer.step with the schedule's factor.
///
/// Of the callbacks those that exist are called:
///   on_step(const StepReport&)         after every update
///   on_evaluation(const TrainState&)   every evaluate_every updates and after the last; random sites are off
///   on_checkpoint(const TrainState&)   every checkpoint_every updates and after the last, also when stopped early
///   should_stop() -> bool              before every update
///
/// Writes   the store, the optimizer, the position of the source, state (after each complete update)
/// Errors   m2::Error naming the step if a loss or the gradient's norm is not finite; parameters, optimizer and state
///          are those after the update before, and the model is in evaluation mode
template <Backend B, Scalar T, class M, Optimizer<T, B> O, class Schedule, BatchSource<B> S,
          class Callbacks = NoCallbacks>
requires Trainable<M, typename S::Batch> && std::is_invocable_r_v<double, const Schedule&, Index>
void train(B& be, M& model, ParameterStore<T, B>& store, O& optimizer, const Schedule& schedule, S& source,
           TrainState& state, const TrainOptions& options, Callbacks&& callbacks = {}) {
  detail::check_callbacks<std::remove_cvref_t<Callbacks>>();
  detail::checked(options);
  const std::vector<RandomSite*> sites = random_sites(model);
  detail::TrainingMode mode(sites);
  const double scale = 1.0 / static_cast<double>(options.accumulation);
  source.seek(state.position);
  Index checkpointed = state.step, evaluated = state.step;

  const auto evaluation = [&] {
    evaluated = state.step;
    if constexpr (requires { callbacks.on_evaluation(std::as_const(state)); }) {
      mode.set(false);
      callbacks.on_evaluation(std::as_const(state));
      mode.set(true);
    }
  };
  const auto checkpoint = [&] {
    checkpointed = state.step;
    if constexpr (requires { callbacks.on_checkpoint(std::as_const(state)); })
      callbacks.on_checkpoint(std::as_const(state));
  };

  while (state.step < options.steps) {
    if constexpr (requires { callbacks.should_stop(); }) {
      if (callbacks.should_stop()) break;
    }
    store.zero_gradients(be);
    double loss = 0;
    Index counted = 0;
    for (Index micro = 0; micro < options.accumulation; ++micro) {
      for (std::size_t i = 0; i < sites.size(); ++i)
        sites[i]->key = random_site_key(state.seed, state.step, micro, static_cast<Index>(i));
      const auto& batch = source.next(be);
      loss += scale * static_cast<double>(model.loss_and_gradients(be, batch, scale));
      counted += batch.counted;
      M2_REQUIRE(std::isfinite(loss), "train: the loss of step ", state.step + 1, " is ", loss,
                 "; the parameters are those after step ", state.step);
    }
    const double norm = gradient_norm(be, store);
    M2_REQUIRE(std::isfinite(norm), "train: the norm of the gradient of step ", state.step + 1, " is ", norm,
               "; the parameters are those after step ", state.step);
    const double factor = static_cast<double>(schedule(state.step));
    optimizer.step(be, store, factor, clipping_scale(norm, options.clip_norm));
    ++state.step;
    state.tokens += counted;
    state.position = source.position();

    if constexpr (requires(const StepReport& report) { callbacks.on_step(report); })
      callbacks.on_step(StepReport{state.step, loss, norm, optimizer.learning_rate() * factor, state.tokens});
    if (options.evaluate_every > 0 && state.step % options.evaluate_every == 0) evaluation();
    if (options.checkpoint_every > 0 && state.step % options.checkpoint_every == 0) checkpoint();
  }
  if (evaluated != state.step && state.step >= options.steps) evaluation();
  if (checkpointed != state.step) checkpoint();
}

}  // namespace m2
