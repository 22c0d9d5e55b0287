#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <new>
#include <vector>

#include "commands.hpp"

namespace {

/// The options that belong to the plan. Those given on the command line are assigned again after a checkpoint's plan
/// has been read.
class PlanOptions {
 public:
  explicit PlanOptions(CLI::App& app) : app_(app) {}

  template <class V>
  CLI::Option* add(const std::string& name, V gpt::TrainingPlan::*member, const std::string& help) {
    CLI::Option* option = app_.add_option(name, given_.*member, help)->capture_default_str();
    assignments_.push_back([this, option, member](gpt::TrainingPlan& plan) {
      if (option->count() > 0) plan.*member = given_.*member;
    });
    return option;
  }

  gpt::TrainingPlan& given() { return given_; }
  gpt::TrainingPlan over(gpt::TrainingPlan plan) const {
    for (const auto& assign : assignments_) assign(plan);
    return plan;
  }

 private:
  CLI::App& app_;
  gpt::TrainingPlan given_;
  std::vector<std::function<void(gpt::TrainingPlan&)>> assignments_;
};

void add_plan(PlanOptions& options) {
  using Plan = gpt::TrainingPlan;
  const auto fraction = CLI::Range(0.0, 0.9);
  const auto number = CLI::Range(m2::Index{1}, m2::Index{1} << 40);
  options.add("--data", &Plan::data, "UTF-8 text file to train on [the sources and documents of m2]");
  options.add("--held-out", &Plan::held_out, "fraction at the end of the text for validation")
      ->check(CLI::Range(0.001, 0.9));
  options.add("--length", &Plan::length, "bytes of a sequence")->check(number);
  options.add("--channels", &Plan::channels, "width of the model")->check(number);
  options.add("--layers", &Plan::layers, "mixer blocks")->check(number);
  options.add("--expansion", &Plan::expansion, "inner width of the channel mixers, over the width")->check(number);
  options.add("--blocks", &Plan::blocks, "blocks of the channel mixers' factors")->check(number);
  options
      .add("--mixing", &Plan::mixing,
           "channel mixing: two Monarch factors, one block-diagonal factor, or dense matrices")
      ->check(CLI::IsMember({"monarch", "block-diagonal", "dense"}));
  options
      .add("--sequence-mixing", &Plan::sequence_mixing,
           "long convolution, or causal Monarch matrices that start as one and are learned")
      ->check(CLI::IsMember({"convolution", "causal-monarch"}));
  options.add("--order", &Plan::order, "factors of causal-monarch")->check(CLI::Range(1, 4));
  options.add("--heads", &Plan::heads, "groups of channels with matrices of their own, for causal-monarch")
      ->check(number);
  options.add("--dropout", &Plan::dropout, "probability of dropping a value in training")->check(fraction);
  options.add("--batch", &Plan::batch, "sequences of a step")->check(number);
  options.add("--steps", &Plan::steps, "updates in all")->check(number);
  options.add("--warmup", &Plan::warmup, "steps over which the learning rate rises")->check(CLI::NonNegativeNumber);
  options.add("--learning-rate", &Plan::learning_rate, "largest learning rate of AdamW")->check(CLI::PositiveNumber);
  options.add("--final-rate", &Plan::final_rate, "learning rate at the end, over the largest")
      ->check(CLI::Range(0.0, 1.0));
  options.add("--weight-decay", &Plan::weight_decay, "decoupled weight decay")->check(CLI::NonNegativeNumber);
  options.add("--clip-norm", &Plan::clip_norm, "largest norm of the gradient, 0 for no limit")
      ->check(CLI::NonNegativeNumber);
  options.add("--seed", &Plan::seed, "same seed, same threads: same run");
  options.add("--evaluate-every", &Plan::evaluate_every, "steps between validations")->check(number);
  options.add("--checkpoint-every", &Plan::checkpoint_every, "steps between checkpoints")->check(number);
}

int run(int argc, char** argv) {
  CLI::App app("Trains a small causal Monarch Mixer language model on the bytes of a text, and writes text with it.");
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);

  gpt::TrainCommand train;
  CLI::App* train_app = app.add_subcommand("train", "train a model; Ctrl-C saves, --resume goes on");
  PlanOptions plan(*train_app);
  add_plan(plan);
  train_app->add_option("--out", train.folder, "folder for checkpoint.safetensors, losses.csv and losses.svg")
      ->capture_default_str();
  CLI::Option* resume = train_app->add_flag("--resume", train.resume,
                                            "go on with the checkpoint in the folder; options not given are its own");
  train_app->add_flag("--overwrite", train.overwrite, "start again although the folder has a checkpoint")
      ->excludes(resume);

  gpt::SampleCommand sample;
  CLI::App* sample_app = app.add_subcommand("sample", "write text with a trained model");
  sample_app->add_option("--run", sample.folder, "the folder of the training run")->capture_default_str();
  sample_app->add_option("--prompt", sample.prompt, "text to go on from [a new line]");
  sample_app->add_option("--bytes", sample.bytes, "bytes to write")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sample_app->add_option("--temperature", sample.temperature, "0: always the likeliest byte; 1: as the model thinks")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 100.0));
  sample_app->add_option("--top", sample.top, "draw from this many likeliest bytes only, 0: from all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sample_app->add_option("--seed", sample.seed, "same seed, same text")->capture_default_str();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  if (train_app->parsed()) {
    train.plan = train.resume ? plan.over(gpt::saved_plan(train.folder)) : plan.given();
    return gpt::train(train);
  }
  return gpt::sample(sample);
}

/// OpenMP's threads spin while they wait for one another. On a machine that has other work to do this can cost several
/// times the work itself, so they should sleep; OpenMP reads how to wait before main, hence the program starts itself
/// again with that said. Whoever has set OMP_WAIT_POLICY is left alone.
void wait_without_spinning(char** argv) {
#ifdef __linux__
  if (setenv("OMP_WAIT_POLICY", "passive", 0) == 0) execv("/proc/self/exe", argv);  // on failure: go on as it is
#else
  (void)argv;
#endif
}

}  // namespace

int main(int argc, char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) wait_without_spinning(argv);
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "m2_gpt: there is not enough memory for a model and a batch of this size\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "m2_gpt: %s\n", error.what());
  }
  return 1;
}
