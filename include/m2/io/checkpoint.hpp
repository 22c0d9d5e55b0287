#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "m2/io/safetensors.hpp"
#include "m2/nn/parameter.hpp"

/// A checkpoint is one safetensors file:
///
///   <parameter>                      every parameter under its own name
///   optimizer/<array>/<parameter>    the arrays of the optimizer's state, cut up like the parameters
///   optimizer/<number>               its counts
///   train/<number>                   where the run is: step, position in the data, seed
///
/// and free text, such as the configuration of the model, as metadata. Names of modules have no slash, so nothing
/// collides. An optimizer and a run's state are whatever calls visit_state(visitor) with arrays and numbers (AdamW,
/// TrainState).
namespace m2 {

namespace detail {

inline constexpr const char* checkpoint_key = "m2.checkpoint";
inline constexpr const char* checkpoint_version = "1";

/// Calls visitor.number(name, integer) and visitor.array(name, view) for what `state` holds, names prefixed.
template <class T, class B, class State, class Visitor>
void visit_prefixed(State& state, const std::string& prefix, Visitor& visitor) {
  state.visit_state([&](const std::string& name, auto&& member) {
    using Member = std::remove_cvref_t<decltype(member)>;
    if constexpr (std::integral<Member>) {
      visitor.number(prefix + name, member);
    } else {
      static_assert(std::same_as<Member, View<T, 1, B>>, "m2: a state consists of integers and flat arrays.");
      visitor.array(prefix + name + '/', member);
    }
  });
}

/// Declares what a file will hold.
template <class T, class B>
struct CheckpointDeclaration {
  SafetensorsWriter& file;
  const ParameterStore<T, B>& store;

  template <class N>
  void number(const std::string& name, N&) {
    file.declare<N>(name, {});
  }
  void array(const std::string& prefix, View<T, 1, B>) {
    for (const auto& entry : store.entries()) file.template declare<T>(prefix + entry.name, entry.shape);
  }
};

/// Writes values, one parameter at a time through host memory.
template <class T, class B>
struct CheckpointOutput {
  B& be;
  SafetensorsWriter& file;
  const ParameterStore<T, B>& store;
  std::vector<T> host = {};

  template <class N>
  void number(const std::string& name, N& value) {
    file.write(name, std::span<const N>(&value, 1));
  }
  void array(const std::string& prefix, View<T, 1, B> values) {
    for (const auto& entry : store.entries()) {
      host.resize(static_cast<std::size_t>(entry.size));
      be.download(static_cast<const T*>(values.data() + entry.offset), host.data(), entry.size);
      file.write(prefix + entry.name, std::span<const T>(host));
    }
  }
};

/// Compares what a file holds with what is needed, and changes nothing.
template <class T, class B>
struct CheckpointCheck {
  const SafetensorsFile& file;
  const ParameterStore<T, B>& store;
  const char* kind = "";
  const char* user = "this training";
  std::unordered_set<std::string> needed = {};

  template <class N>
  void number(const std::string& name, N&) {
    check<N>(name, {});
    N value{};
    file.read(name, std::span<N>(&value, 1));
    if constexpr (std::signed_integral<N>)
      M2_REQUIRE(value >= 0, file.name(), ": ", name, " is ", value, ", it cannot be negative");
  }
  void array(const std::string& prefix, View<T, 1, B>) {
    for (const auto& entry : store.entries()) check<T>(prefix + entry.name, entry.shape);
  }

  template <class N>
  void check(const std::string& name, const std::vector<Index>& shape) {
    const TensorEntry* const found = file.find(name);
    M2_REQUIRE(found != nullptr, file.name(), ": ", kind, name, " is missing, ", user, " needs it");
    M2_REQUIRE(found->shape == shape, file.name(), ": ", kind, name, " is ", shape_text(found->shape), ", ", user,
               " needs ", shape_text(shape));
    M2_REQUIRE(found->type == data_type<N>(), file.name(), ": ", kind, name, " is ", data_type_name(found->type), ", ",
               user, " needs ", data_type_name(data_type<N>()));
    needed.insert(name);
  }
  void parameters() {
    kind = "parameter ", user = "the model";
    array("", {});
    kind = "", user = "this training";
  }
  void no_others(bool parameters_only) const {
    for (const TensorEntry& entry : file.entries()) {
      if (needed.contains(entry.name)) continue;
      const bool is_state = entry.name.starts_with("optimizer/") || entry.name.starts_with("train/");
      if (is_state && parameters_only) continue;
      throw_error({file.name(), ": ", is_state ? "" : "parameter ", printable(entry.name), " ", shape_text(entry.shape),
                   is_state ? " is not part of this training" : " is not in the model"});
    }
  }
};

/// Reads values from a file that CheckpointCheck has accepted.
template <class T, class B>
struct CheckpointInput {
  B& be;
  const SafetensorsFile& file;
  const ParameterStore<T, B>& store;
  std::vector<T> host = {};

  template <class N>
  void number(const std::string& name, N& value) {
    file.read(name, std::span<N>(&value, 1));
  }
  void array(const std::string& prefix, View<T, 1, B> values) {
    for (const auto& entry : store.entries()) {
      host.resize(static_cast<std::size_t>(entry.size));
      file.read(prefix + entry.name, std::span<T>(host));
      be.upload(static_cast<const T*>(host.data()), values.data() + entry.offset, entry.size);
      be.synchronize();  // the host array is used again for the next one
    }
  }
};

}  // namespace detail

/// Saves a run so that load_checkpoint goes on with it bit for bit. The file is complete or, on any error, as before.
///
/// metadata  free text for whoever loads it; keys that begin with "m2." are taken
/// Errors    m2::Error if the file cannot be written or a key is taken
/// Cost      host memory for the largest parameter
template <Scalar T, Backend B, class Optimizer, class State>
void save_checkpoint(B& be, const std::string& path, ParameterStore<T, B>& store, Optimizer& optimizer, State state,
                     Metadata metadata = {}) {
  for (const auto& [key, text] : metadata)
    M2_REQUIRE(!key.starts_with("m2."), "checkpoint ", path, ": the metadata key ", key, " is taken");
  metadata[detail::checkpoint_key] = detail::checkpoint_version;
  SafetensorsWriter file(path, std::move(metadata), "checkpoint");
  const auto write_all = [&](auto&& visitor) {
    visitor.array("", store.values());
    detail::visit_prefixed<T, B>(optimizer, "optimizer/", visitor);
    detail::visit_prefixed<T, B>(state, "train/", visitor);
  };
  write_all(detail::CheckpointDeclaration<T, B>{file, store});
  write_all(detail::CheckpointOutput<T, B>{be, file, store});
  file.commit();
}

/// Loads what save_checkpoint saved into a model, an optimizer and a state that fit it.
///
/// Writes   store.values(), the optimizer's and the run's state; returns the metadata
/// Errors   m2::Error that names the first difference if the file is no checkpoint, or names, shapes or types do not
///          fit; nothing is changed then
template <Scalar T, Backend B, class Optimizer, class State>
Metadata load_checkpoint(B& be, const std::string& path, ParameterStore<T, B>& store, Optimizer& optimizer,
                         State& state) {
  const SafetensorsFile file = SafetensorsFile::open(path, "checkpoint");
  const auto version = file.metadata().find(detail::checkpoint_key);
  M2_REQUIRE(version != file.metadata().end() && version->second == detail::checkpoint_version, file.name(),
             ": it is a safetensors file, but no checkpoint of version ", detail::checkpoint_version);
  detail::CheckpointCheck<T, B> check{file, store};
  check.parameters();
  check.no_others(true);  // before the optimizer: a model that does not fit is the thing to say
  detail::visit_prefixed<T, B>(optimizer, "optimizer/", check);
  detail::visit_prefixed<T, B>(state, "train/", check);
  check.no_others(false);
  detail::CheckpointInput<T, B> input{be, file, store};
  input.array("", store.values());
  detail::visit_prefixed<T, B>(optimizer, "optimizer/", input);
  detail::visit_prefixed<T, B>(state, "train/", input);
  return file.metadata();
}

/// Loads only the parameters, of a checkpoint or of any safetensors file that has exactly them.
///
/// Errors   as load_checkpoint
template <Scalar T, Backend B>
Metadata load_parameters(B& be, const std::string& path, ParameterStore<T, B>& store) {
  const SafetensorsFile file = SafetensorsFile::open(path, "checkpoint");
  detail::CheckpointCheck<T, B> check{file, store};
  check.parameters();
  check.no_others(true);
  detail::CheckpointInput<T, B>{be, file, store}.array("", store.values());
  return file.metadata();
}

/// The metadata of a checkpoint, read before there is a model to load it into.
inline Metadata read_checkpoint_metadata(const std::string& path) {
  return SafetensorsFile::open(path, "checkpoint").metadata();
}

}  // namespace m2
