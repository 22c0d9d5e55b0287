#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

TEST_CASE("M2_REQUIRE throws its arguments as one sentence", "[core][error]") {
  require_error(
      [] {
        M2_REQUIRE(1 > 2, "op: x is ", Extents<2>{7, 12}, ", M is ", 10, " x ", 15, " (", 0.5, ")");
      },
      {"op: x is (7, 12), M is 10 x 15 (0.5)"});
  REQUIRE_NOTHROW([] { M2_REQUIRE(2 > 1, "not thrown"); }());
}

TEST_CASE("M2_REQUIRE evaluates its message only on failure and is one statement", "[core][error]") {
  int evaluated = 0;
  const auto message = [&] { return ++evaluated; };
  if (evaluated == 0)
    M2_REQUIRE(true, message());
  else
    FAIL("the else belongs to this if");
  REQUIRE(evaluated == 0);
  REQUIRE_THROWS_AS([&] { M2_REQUIRE(false, message()); }(), std::runtime_error);
  REQUIRE(evaluated == 1);
}

TEST_CASE("extents of any rank print", "[core][error]") {
  REQUIRE(detail::concat({Extents<1>{3}}) == "(3)");
  REQUIRE(detail::concat({Extents<4>{1, 2, 3, 4}, std::string("!")}) == "(1, 2, 3, 4)!");
}
