#include "m2/io/checkpoint.hpp"

#include <cstring>

#include "tests/io/temporary_folder.hpp"
#include "tests/support.hpp"
#include "tests/train/bigram.hpp"

namespace m2::test {
namespace {

constexpr Index vocabulary = 6;
const CosineSchedule schedule({.warmup = 4, .total = 20});

/// Everything of one training run, fresh.
template <class T>
struct Run {
  explicit Run(std::uint64_t seed = 1, Index size = vocabulary)
      : model(size, true), store(be, model, seed), optimizer(be, store, {.learning_rate = 0.05}) {}

  void train_to(Index steps, const std::vector<std::uint8_t>& text) {
    RandomWindows<Cpu> source(be, text, {.batch = 2, .length = 8}, 3);
    train(be, model, store, optimizer, schedule, source, state, {.steps = steps, .accumulation = 2}, *this);
  }
  void on_step(const StepReport& report) {
    losses.push_back(report.loss);
    norms.push_back(report.gradient_norm);
  }
  std::vector<double> everything() {
    std::vector<double> all = to_host(store.values());
    optimizer.visit_state([&](const std::string&, auto&& member) {
      if constexpr (std::integral<std::remove_cvref_t<decltype(member)>>)
        all.push_back(static_cast<double>(member));
      else
        for (const double value : to_host(member)) all.push_back(value);
    });
    for (const Index number :
         {state.step, state.tokens, static_cast<Index>(state.position), static_cast<Index>(state.seed)})
      all.push_back(static_cast<double>(number));
    return all;
  }

  Cpu be;
  Bigram<T> model;
  ParameterStore<T, Cpu> store;
  AdamW<T, Cpu> optimizer;
  TrainState state{.seed = 77};
  std::vector<double> losses, norms;
};

}  // namespace

TEMPLATE_TEST_CASE("A resumed run has the same losses and parameters, bit for bit", "[io]", float, double) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const auto text = counting_text(500, vocabulary);
  Run<TestType> straight, first;
  straight.train_to(20, text);
  first.train_to(10, text);
  save_checkpoint(first.be, path, first.store, first.optimizer, first.state, {{"model", R"({"vocabulary": 6})"}});

  Run<TestType> second(999);  // another start, which loading must overwrite
  second.state = {};
  const Metadata metadata = load_checkpoint(second.be, path, second.store, second.optimizer, second.state);
  REQUIRE(metadata.at("model") == R"({"vocabulary": 6})");
  REQUIRE(read_checkpoint_metadata(path).at("model") == R"({"vocabulary": 6})");
  REQUIRE(second.everything() == first.everything());
  second.train_to(20, text);
  REQUIRE(second.losses == std::vector<double>(straight.losses.begin() + 10, straight.losses.end()));
  REQUIRE(second.norms == std::vector<double>(straight.norms.begin() + 10, straight.norms.end()));
  REQUIRE(second.everything() == straight.everything());
  REQUIRE(folder.count() == 1);
}

TEST_CASE("The parameters of a checkpoint can be loaded alone", "[io]") {
  const TemporaryFolder folder;
  const auto text = counting_text(500, vocabulary);
  Run<float> trained, fresh(999);
  trained.train_to(5, text);
  save_checkpoint(trained.be, folder / "run", trained.store, trained.optimizer, trained.state);
  load_parameters(fresh.be, folder / "run", fresh.store);
  REQUIRE(to_host(fresh.store.values()) == to_host(trained.store.values()));
  REQUIRE(fresh.optimizer.steps() == 0);

  SafetensorsWriter plain(folder / "plain");  // what another program may write
  const std::vector<float> table(36, 2.0F), bias(6, 3.0F);
  plain.declare<float>("bias", {6});
  plain.declare<float>("table", {6, 6});
  plain.write("table", std::span<const float>(table));
  plain.write("bias", std::span<const float>(bias));
  plain.commit();
  load_parameters(fresh.be, folder / "plain", fresh.store);
  REQUIRE(fresh.store.values()(35) == 2.0F);
  require_error([&] { load_checkpoint(fresh.be, folder / "plain", fresh.store, fresh.optimizer, fresh.state); },
                {"checkpoint ", "plain", "no checkpoint of version 1"});
}

TEST_CASE("A checkpoint that does not fit names the first difference and changes nothing", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const auto text = counting_text(500, vocabulary);
  Run<float> run;
  run.train_to(3, text);
  const auto before = run.everything();
  const auto refuse = [&](std::initializer_list<std::string_view> parts) {
    require_error([&] { load_checkpoint(run.be, path, run.store, run.optimizer, run.state); }, parts);
    REQUIRE(run.everything() == before);
  };
  const auto refuse_parameters = [&](std::initializer_list<std::string_view> parts) {
    require_error([&] { load_parameters(run.be, path, run.store); }, parts);
    REQUIRE(run.everything() == before);
  };

  refuse({"checkpoint " + path + ": there is no such file"});
  write_raw(path, "not a checkpoint");
  refuse({"checkpoint " + path + ": it is no safetensors file"});

  Run<float> wide(1, 7);
  save_checkpoint(wide.be, path, wide.store, wide.optimizer, wide.state);
  refuse({"checkpoint " + path + ": parameter table is (7, 7), the model needs (6, 6)"});
  refuse_parameters({"checkpoint " + path + ": parameter table is (7, 7), the model needs (6, 6)"});

  Run<double> precise;
  save_checkpoint(precise.be, path, precise.store, precise.optimizer, precise.state);
  refuse({"parameter table is F64, the model needs F32"});

  save_checkpoint(run.be, path, run.store, run.optimizer, run.state);
  const auto whole = SafetensorsFile::open(path);
  // The same file without one array, or with one more or another number.
  const auto rewrite = [&](const std::string& without, const std::string& with, Index step) {
    SafetensorsWriter writer(path, whole.metadata());
    for (const TensorEntry& entry : whole.entries())
      if (entry.name != without) writer.declare(entry.name, entry.type, entry.shape);
    if (!with.empty()) writer.declare(with, DataType::F32, {0, 2});
    for (const TensorEntry& entry : whole.entries()) {
      if (entry.name == without) continue;
      std::vector<std::byte> bytes(static_cast<std::size_t>(entry.end - entry.begin));
      whole.read_bytes(entry.name, bytes);
      if (entry.name == "train/step") std::memcpy(bytes.data(), &step, sizeof(step));
      writer.write_bytes(entry.name, bytes);
    }
    if (!with.empty()) writer.write_bytes(with, {});
    writer.commit();
  };
  rewrite("bias", "", 3);
  refuse({"parameter bias is missing, the model needs it"});
  refuse_parameters({"parameter bias is missing"});
  rewrite("", "extra.weight", 3);
  refuse({"parameter extra.weight (0, 2) is not in the model"});
  refuse_parameters({"parameter extra.weight (0, 2) is not in the model"});
  rewrite("optimizer/second_moment/bias", "", 3);
  refuse({"optimizer/second_moment/bias is missing"});
  rewrite("train/seed", "", 3);
  refuse({"train/seed is missing, this training needs it"});
  rewrite("", "optimizer/third_moment/bias", 3);
  refuse({"optimizer/third_moment/bias (0, 2) is not part of this training"});
  rewrite("", "", -3);
  refuse({"train/step is -3, it cannot be negative"});
  rewrite("", "", 3);
  load_checkpoint(run.be, path, run.store, run.optimizer, run.state);
  REQUIRE(run.everything() == before);
}

TEST_CASE("A checkpoint that cannot be written leaves the one before", "[io]") {
  const TemporaryFolder folder;
  const auto text = counting_text(500, vocabulary);
  Run<float> run;
  const std::string path = folder / "run";
  save_checkpoint(run.be, path, run.store, run.optimizer, run.state);
  const std::string before = read_raw(path);
  run.train_to(3, text);
  require_error(
      [&] {
        save_checkpoint(run.be, path, run.store, run.optimizer, run.state, {{"m2.mine", "x"}});
      },
      {"checkpoint " + path, "m2.mine", "taken"});
  require_error(
      [&] {
        save_checkpoint(run.be, path, run.store, run.optimizer, run.state, {{"text", "\xFF"}});
      },
      {"checkpoint " + path, "UTF-8"});
  require_error([&] { save_checkpoint(run.be, path + "/below", run.store, run.optimizer, run.state); }, {"below"});
  REQUIRE(read_raw(path) == before);
  REQUIRE(folder.count() == 1);
}

}  // namespace m2::test
