#pragma once

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/nn/module_check.hpp"

/// tests/golden/mixer.json: numbers of the published M2 modules.
namespace m2::test {

inline nlohmann::json mixer_golden(const std::string& model) {
  std::ifstream file(M2_TEST_DATA "/mixer.json");
  REQUIRE(file.good());
  return nlohmann::json::parse(file)[model];
}

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
      const double value = std::sin(0.7 * static_cast<double>(i + 1) + 1.3 * static_cast<double>(j) +
                                    0.11 * static_cast<double>((i + 1) * (j + 1) % 17));
      element = (added ? element : 0.0) + entry["offset"].get<double>() + entry["scale"].get<double>() * value;
    });
  });
}

}  // namespace m2::test
