#pragma once

#include <cstdint>
#include <string>

#include "m2/backend/cpu.hpp"
#include "m2/models.hpp"

extern template class m2::Gpt<float, m2::Cpu>;  // compiled once, in model.cpp

namespace gpt {

/// Everything that decides what is trained, on what and how. A checkpoint holds it as JSON.
struct TrainingPlan {
  std::string data;  ///< text file; empty: the sources and documents of m2
  double held_out = 0.1;
  // model
  m2::Index length = 256, channels = 128, layers = 4, expansion = 4, blocks = 4;
  std::string mixing = "monarch";
  std::string sequence_mixing = "convolution";
  m2::Index order = 2, heads = 1;  // of causal-monarch
  double dropout = 0.0;
  // training
  m2::Index batch = 16, steps = 1000, warmup = 50;
  double learning_rate = 4e-3, final_rate = 0.1, weight_decay = 0.1, clip_norm = 1.0;
  std::uint64_t seed = 1;
  // reports
  m2::Index evaluate_every = 100, checkpoint_every = 200;
};

struct TrainCommand {
  TrainingPlan plan;  ///< on resuming: the checkpoint's, with what the command line says otherwise
  std::string folder = "gpt-run";
  bool resume = false, overwrite = false;
};

struct SampleCommand {
  std::string folder = "gpt-run";
  std::string prompt = "\n";
  m2::Index bytes = 500;
  double temperature = 0.8;
  m2::Index top = 0;  ///< draw from the most likely ones only; 0: from all
  std::uint64_t seed = 1;
};

/// The model's shape, from the plan.
///
/// Errors   m2::Error if a kind of mixing or the order is unknown, or there are more than 1000 layers
m2::GptOptions model_options(const TrainingPlan& plan);

/// What a checkpoint's metadata holds.
///
/// Errors   m2::Error if the path of the data is not UTF-8
std::string to_json(const TrainingPlan& plan);

/// The plan in the checkpoint of a folder.
///
/// Errors   m2::Error if there is no checkpoint, or none that `train` made
TrainingPlan saved_plan(const std::string& folder);

std::string checkpoint_path(const std::string& folder);

/// The exit code of the program; errors are exceptions.
int train(const TrainCommand& command);
int sample(const SampleCommand& command);

}  // namespace gpt
