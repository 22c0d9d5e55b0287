#pragma once

#include "tests/golden.hpp"
#include "tests/nn/module_check.hpp"

/// tests/golden/mixer.json: numbers of the published M2 modules.
namespace m2::test {

inline nlohmann::json mixer_golden(const std::string& model) { return read_golden("mixer.json")[model]; }

/// The file's numbers have 12 significant digits.
constexpr double golden_digits = 1e-12;

/// What may differ from the file: its rounding, in inputs and outputs, and that of sums of `terms` products.
inline double golden_tolerance(const std::vector<double>& expected, Index terms) {
  return static_cast<double>(terms) * golden_digits * std::max(1.0, largest(expected));
}

/// Gives a module the parameters of the golden model; `prefix` is the module's place in the mixer.
template <class B, class M>
void load_golden(M& module, const nlohmann::json& golden, const std::string& prefix) {
  for_each_parameter<double, B>(module, [&](const std::string& name, Parameter<double, B>& parameter) {
    INFO("parameter " << name);
    const nlohmann::json& entry = golden["parameters"].at(prefix + name);
    REQUIRE(entry["size"].get<Index>() == parameter.size());
    const Index i = entry["rank"].get<Index>();
    const bool added = name.ends_with("filter.z") || name == "z";  // keeps its own start below the formula
    for_every(parameter.flat_value(), [&](double& element, Index j) {
      element =
          (added ? element : 0.0) + entry["offset"].get<double>() + entry["scale"].get<double>() * golden_value(i, j);
    });
  });
}

}  // namespace m2::test
