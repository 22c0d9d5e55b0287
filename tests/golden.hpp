#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "m2/core/index.hpp"

namespace m2::test {

/// tests/golden/<name>: numbers that other programs computed. Parsed in golden.cpp, so that one file compiles the
/// parser.
nlohmann::json read_golden(const std::string& name);

/// Element j of array number i as both sides compute it.
double golden_value(Index i, Index j);

}  // namespace m2::test
