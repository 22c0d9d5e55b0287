#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "m2/io/checkpoint.hpp"

namespace gpt {

// What every checkpoint has; those of before there was a choice of sequence mixing lack its settings.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrainingPlan, data, held_out, length, channels, layers, expansion, blocks, mixing,
                                   dropout, batch, steps, warmup, learning_rate, final_rate, weight_decay, clip_norm,
                                   seed, evaluate_every, checkpoint_every)

m2::GptOptions model_options(const TrainingPlan& plan) {
  const auto mixing = plan.mixing == "monarch"          ? m2::ChannelMixing::monarch
                      : plan.mixing == "block-diagonal" ? m2::ChannelMixing::block_diagonal
                                                        : m2::ChannelMixing::dense;
  M2_REQUIRE(mixing != m2::ChannelMixing::dense || plan.mixing == "dense", "mixing is ", plan.mixing,
             "; monarch, block-diagonal and dense are known");
  const bool monarch = plan.sequence_mixing == "causal-monarch";
  M2_REQUIRE(monarch || plan.sequence_mixing == "convolution", "sequence-mixing is ", plan.sequence_mixing,
             "; convolution and causal-monarch are known");
  M2_REQUIRE(plan.order >= 1 && plan.order <= 4, "order is ", plan.order, "; 1 to 4 are possible");
  // Each layer costs memory before any size is asked for: a slip in the number must not take all that the machine has.
  constexpr m2::Index most_layers = 1000;
  M2_REQUIRE(plan.layers <= most_layers, "layers is ", plan.layers, "; at most ", most_layers, " are possible");
  return {.length = plan.length,
          .channels = plan.channels,
          .layers = plan.layers,
          .expansion = plan.expansion,
          .blocks = plan.blocks,
          .channel_mixing = mixing,
          .dropout = plan.dropout,
          .convolution = {.kind = monarch ? m2::Convolution::causal_monarch : m2::Convolution::plain,
                          .order = static_cast<int>(plan.order),
                          .heads = plan.heads}};
}

std::string to_json(const TrainingPlan& plan) {
  try {
    nlohmann::json json(plan);
    json["sequence_mixing"] = plan.sequence_mixing;
    json["order"] = plan.order;
    json["heads"] = plan.heads;
    return json.dump();
  } catch (const nlohmann::json::exception&) {
    throw m2::Error("the path " + plan.data + " is not UTF-8, a checkpoint cannot name it");
  }
}

TrainingPlan saved_plan(const std::string& folder) {
  const std::string path = checkpoint_path(folder);
  const m2::Metadata metadata = m2::read_checkpoint_metadata(path);
  const auto plan = metadata.find("gpt.plan");
  M2_REQUIRE(plan != metadata.end(), "checkpoint ", path, ": it was not made by m2_gpt");
  try {
    const auto json = nlohmann::json::parse(plan->second);
    auto result = json.get<TrainingPlan>();
    result.sequence_mixing = json.value("sequence_mixing", result.sequence_mixing);
    result.order = json.value("order", result.order);
    result.heads = json.value("heads", result.heads);
    return result;
  } catch (const nlohmann::json::exception& error) {
    throw m2::Error("checkpoint " + path + ": its training plan cannot be read (" + error.what() + ")");
  }
}

std::string checkpoint_path(const std::string& folder) { return folder + "/checkpoint.safetensors"; }

}  // namespace gpt
