#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

TEST_CASE("the largest difference is NaN wherever a NaN stands", "[core][support]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> zeros(4);
  for (std::size_t at = 0; at < zeros.size(); ++at) {
    std::vector<double> values = zeros;
    values[at] = nan;
    const LargestDifference of_actual(values, zeros), of_expected(zeros, values);
    REQUIRE(std::isnan(of_actual.worst));
    REQUIRE(of_actual.where == at);
    REQUIRE(std::isnan(of_expected.worst));
  }
  const LargestDifference numbers({1, -3, 2}, {1, 1, 1});
  REQUIRE(numbers.worst == 4);
  REQUIRE(numbers.where == 1);
}
