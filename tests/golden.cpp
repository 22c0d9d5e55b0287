#include "tests/golden.hpp"

#include <cmath>
#include <fstream>

#include "tests/catch.hpp"

namespace m2::test {

nlohmann::json read_golden(const std::string& name) {
  INFO("golden file " << name);
  std::ifstream file(M2_TEST_DATA "/" + name);
  REQUIRE(file.good());
  return nlohmann::json::parse(file);
}

double golden_value(Index i, Index j) {
  return std::sin(0.7 * static_cast<double>(i + 1) + 1.3 * static_cast<double>(j) +
                  0.11 * static_cast<double>((i + 1) * (j + 1) % 17));
}

}  // namespace m2::test
