#include <nlohmann/json.hpp>

#include "commands.hpp"

namespace gpt {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrainingPlan, data, held_out, length, channels, layers, expansion, blocks, mixing,
                                   dropout, batch, steps, warmup, learning_rate, final_rate, weight_decay, clip_norm,
                                   seed, evaluate_every, checkpoint_every)

m2::GptOptions model_options(const TrainingPlan& plan) {
  const auto mixing = plan.mixing == "monarch"          ? m2::ChannelMixing::monarch
                      : plan.mixing == "block-diagonal" ? m2::ChannelMixing::block_diagonal
                                                        : m2::ChannelMixing::dense;
  M2_REQUIRE(mixing != m2::ChannelMixing::dense || plan.mixing == "dense", "mixing is ", plan.mixing,
             "; monarch, block-diagonal and dense are known");
  return {.length = plan.length,
          .channels = plan.channels,
          .layers = plan.layers,
          .expansion = plan.expansion,
          .blocks = plan.blocks,
          .channel_mixing = mixing,
          .dropout = plan.dropout};
}

std::string to_json(const TrainingPlan& plan) { return nlohmann::json(plan).dump(); }

TrainingPlan plan_from_json(const std::string& text, const std::string& file) {
  try {
    return nlohmann::json::parse(text).get<TrainingPlan>();
  } catch (const nlohmann::json::exception& error) {
    throw m2::Error("checkpoint " + file + ": its training plan cannot be read (" + error.what() + ")");
  }
}

std::string checkpoint_path(const std::string& folder) { return folder + "/checkpoint.safetensors"; }

}  // namespace gpt
