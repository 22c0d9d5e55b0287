#include "m2/train/schedule.hpp"

#include "tests/support.hpp"

namespace m2::test {

TEMPLATE_TEST_CASE("Schedules meet their documented endpoints", "[train]", LinearSchedule, CosineSchedule) {
  const double near = tolerance<double>(1);
  const TestType schedule({.warmup = 10, .total = 110, .final_fraction = 0.02});
  REQUIRE(std::abs(schedule(0) - 0.1) <= near);  // update number 1 of 10
  REQUIRE(std::abs(schedule(4) - 0.5) <= near);
  REQUIRE(std::abs(schedule(9) - 1.0) <= near);
  REQUIRE(std::abs(schedule(59) - 0.51) <= near);  // halfway, both shapes are at the mean of 1 and 0.02
  REQUIRE(std::abs(schedule(109) - 0.02) <= near);
  REQUIRE(schedule(110) == schedule(109));
  REQUIRE(schedule(1'000'000) == schedule(109));
  for (Index step = 10; step < 110; ++step) REQUIRE(schedule(step) < schedule(step - 1));
}

TEST_CASE("A linear schedule is linear, a cosine schedule is a cosine", "[train]") {
  const double near = tolerance<double>(1);
  REQUIRE(std::abs(LinearSchedule({.total = 4})(0) - 0.75) <= near);
  REQUIRE(std::abs(LinearSchedule({.total = 4})(2) - 0.25) <= near);
  REQUIRE(std::abs(CosineSchedule({.total = 4})(0) - 0.5 * (1 + std::sqrt(0.5))) <= near);
  REQUIRE(std::abs(CosineSchedule({.total = 4})(1) - 0.5) <= near);
  REQUIRE(LinearSchedule({.warmup = 3, .total = 9, .final_fraction = 1})(8) == 1.0);  // warm-up, then constant
}

TEST_CASE("Schedules refuse impossible options", "[train]") {
  require_error([] { LinearSchedule({.total = 0}); }, {"schedule", "total is 0"});
  require_error([] { LinearSchedule({.warmup = 5, .total = 5}); }, {"schedule", "warm-up is 5", "total of 5"});
  require_error([] { CosineSchedule({.warmup = -1, .total = 5}); }, {"schedule", "warm-up is -1"});
  require_error([] { CosineSchedule({.total = 5, .final_fraction = 1.5}); }, {"schedule", "final fraction is 1.5"});
  require_error([] { CosineSchedule({.total = 5})(-1); }, {"schedule", "step is -1"});
}

}  // namespace m2::test
