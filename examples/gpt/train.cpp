#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include "commands.hpp"
#include "corpus.hpp"
#include "loss_curve.hpp"
#include "m2/backend/cpu.hpp"
#include "m2/io.hpp"
#include "m2/train.hpp"

namespace gpt {

namespace {

using Backend = m2::Cpu;
using Model = m2::Gpt<float, Backend>;
using Store = m2::ParameterStore<float, Backend>;
using Optimizer = m2::AdamW<float, Backend>;
using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t stop_requested = 0;

/// The first signal asks the loop to stop after its step, also where the terminal or the reader of the output is gone;
/// the second one ends the program as usual.
extern "C" void request_stop(int signal) {
  stop_requested = 1;
  std::signal(signal, SIG_DFL);
}

std::string duration_text(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

/// What the training loop calls: progress, evaluation, checkpoints, stopping.
class Observer {
 public:
  Observer(Backend& be, Model& model, Store& store, Optimizer& optimizer, m2::SequentialWindows<Backend>& held_out,
           const TrainingPlan& plan, const std::string& folder, std::uint64_t text, LossCurve curve)
      : be_(be),
        model_(model),
        store_(store),
        optimizer_(optimizer),
        held_out_(held_out),
        plan_(plan),
        folder_(folder),
        metadata_{{"gpt.plan", to_json(plan)}, {"gpt.text", std::to_string(text)}},
        curve_(std::move(curve)),
        earlier_(curve_.points().empty() ? 0 : curve_.points().back().seconds) {
    for (const auto& point : curve_.points())
      if (!std::isnan(point.validation)) validation_ = point.validation;
  }

  void on_step(const m2::StepReport& report) {
    curve_.add({report.step, seconds(), report.loss, std::numeric_limits<double>::quiet_NaN()});
    ++steps_;
    smooth_loss_ = steps_ == 1 ? report.loss : 0.9 * smooth_loss_ + 0.1 * report.loss;
    if (terminal_ && seconds() - shown_ > 0.5) show('\r');
  }

  void on_evaluation(const m2::TrainState&) {
    const auto start = Clock::now();
    validation_ = m2::evaluate(be_, model_, held_out_);
    evaluating_ += std::chrono::duration<double>(Clock::now() - start).count();
    curve_.set_validation(validation_);
    show('\n');
  }

  void on_checkpoint(const m2::TrainState& state) {
    m2::save_checkpoint(be_, checkpoint_path(folder_), store_, optimizer_, state, metadata_);
    save_curve();
  }

  void save_curve() const { curve_.save(folder_); }
  bool should_stop() const { return stop_requested != 0; }

  double validation() const { return validation_; }
  /// Of training alone: what evaluation takes is left out.
  double tokens_per_second() const {
    const double trained = seconds() - earlier_ - evaluating_;
    return trained > 0 ? static_cast<double>(steps_ * plan_.batch * plan_.length) / trained : 0.0;
  }
  double seconds() const { return earlier_ + std::chrono::duration<double>(Clock::now() - start_).count(); }

  /// One line: step, loss, validation loss, tokens a second, time left.
  void show(char end) {
    const m2::Index step = curve_.points().empty() ? 0 : curve_.points().back().step;
    const double left =
        steps_ == 0 ? 0
                    : (seconds() - earlier_) / static_cast<double>(steps_) * static_cast<double>(plan_.steps - step);
    const std::string validation = std::isnan(validation_) ? "-" : fmt::format("{:.4f}", validation_);
    fmt::print("{}step {:5}/{}  loss {:.4f}  validation {}  {:6.0f} tokens/s  {} left{}{}", terminal_ ? "\r" : "", step,
               plan_.steps, smooth_loss_, validation, tokens_per_second(), duration_text(left), terminal_ ? "   " : "",
               end == '\n' ? "\n" : "");
    std::fflush(stdout);
    shown_ = seconds();
  }

 private:
  Backend& be_;
  Model& model_;
  Store& store_;
  Optimizer& optimizer_;
  m2::SequentialWindows<Backend>& held_out_;
  const TrainingPlan& plan_;
  std::string folder_;
  m2::Metadata metadata_;
  LossCurve curve_;
  double earlier_;  // seconds of the runs that this one goes on with
  bool terminal_ = isatty(STDOUT_FILENO) != 0;
  Clock::time_point start_ = Clock::now();
  double evaluating_ = 0, shown_ = 0, smooth_loss_ = 0;
  double validation_ = std::numeric_limits<double>::quiet_NaN();
  m2::Index steps_ = 0;
};

void prepare_folder(const TrainCommand& command) {
  if (command.resume) return;  // the checkpoint has been read already
  const std::string checkpoint = checkpoint_path(command.folder);
  M2_REQUIRE(command.overwrite || !std::filesystem::exists(checkpoint), checkpoint,
             " exists: --resume goes on with it, --overwrite starts again, --out names another folder");
  std::error_code error;
  std::filesystem::create_directories(command.folder, error);
  M2_REQUIRE(!error, "the folder ", command.folder, " cannot be made (", error.message(), ")");
}

}  // namespace

int train(const TrainCommand& command) {
  const TrainingPlan& plan = command.plan;
  prepare_folder(command);
  const std::string text = read_corpus(plan.data);
  const auto tokens = m2::byte_tokens(text);
  const m2::Index begin = m2::held_out_begin(static_cast<m2::Index>(text.size()), plan.held_out);

  Backend be;
  m2::RandomWindows<Backend> source(be, tokens.first(static_cast<std::size_t>(begin)), {plan.batch, plan.length},
                                    plan.seed);
  m2::SequentialWindows<Backend> held_out(be, tokens, begin, {plan.batch, plan.length});
  Model model(model_options(plan));
  Store store(be, model, plan.seed);
  Optimizer optimizer(be, store, {.learning_rate = plan.learning_rate, .weight_decay = plan.weight_decay});
  m2::TrainState state{.seed = plan.seed};
  LossCurve curve;
  if (command.resume) {
    const auto metadata = m2::load_checkpoint(be, checkpoint_path(command.folder), store, optimizer, state);
    const auto saved = metadata.find("gpt.text");
    M2_REQUIRE(saved != metadata.end() && saved->second == std::to_string(fingerprint(text)), "the text ",
               plan.data.empty() ? "of m2's own sources" : plan.data,
               " is not the one that the checkpoint was trained on");
    M2_REQUIRE(state.step <= plan.steps, "the checkpoint is at step ", state.step, ", more than the ", plan.steps,
               " steps asked for");
    curve = LossCurve::load(command.folder, state.step);
  }
  Observer observer(be, model, store, optimizer, held_out, plan, command.folder, fingerprint(text), std::move(curve));
  // Before any work, so that what cannot be written shows now. A new run replaces all of the one it overwrites; one
  // that goes on changes the plan in its checkpoint only with its first own.
  if (command.resume)
    observer.save_curve();
  else
    observer.on_checkpoint(state);

  fmt::print("text         {} bytes, the last {} held out\n", text.size(), static_cast<m2::Index>(text.size()) - begin);
  fmt::print(
      "model        {} parameters, {} layers of {} channels, sequences of {}, {} sequence mixing, {} channel mixing\n",
      store.parameter_count(), plan.layers, plan.channels, plan.length, plan.sequence_mixing, plan.mixing);
  fmt::print("training     {} steps of {} bytes on {} threads, from step {}\n", plan.steps, plan.batch * plan.length,
             m2::detail::available_threads(), state.step);

  stop_requested = 0;
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) std::signal(signal, request_stop);
  if (std::signal(SIGHUP, request_stop) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup
  const m2::CosineSchedule schedule(
      {.warmup = std::min(plan.warmup, plan.steps - 1), .total = plan.steps, .final_fraction = plan.final_rate});
  m2::train(be, model, store, optimizer, schedule, source, state,
            {.steps = plan.steps,
             .clip_norm = plan.clip_norm,
             .evaluate_every = plan.evaluate_every,
             .checkpoint_every = plan.checkpoint_every},
            observer);

  if (state.step < plan.steps) {
    fmt::print("\nstopped after step {}; everything is saved. To go on:\n  m2_gpt train --resume --out {}\n",
               state.step, command.folder);
    return 130;
  }
  if (std::isnan(observer.validation()))
    observer.on_evaluation(state);  // nothing was left to do, and no curve is there
  fmt::print(
      "done         {} parameters, validation loss {:.4f} nats per byte, {:.0f} tokens/s, {} in all\n"
      "saved        {}, losses.csv and losses.svg beside it. To write some text:\n"
      "  m2_gpt sample --run {}\n",
      store.parameter_count(), observer.validation(), observer.tokens_per_second(), duration_text(observer.seconds()),
      checkpoint_path(command.folder), command.folder);
  return 0;
}

}  // namespace gpt
