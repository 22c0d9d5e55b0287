#include <set>

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

TEST_CASE("philox gives the known answers of Random123", "[ops][random]") {
  using Words = std::array<std::uint32_t, 4>;
  constexpr std::uint32_t ones = 0xFFFFFFFFU;
  STATIC_REQUIRE(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U});
  STATIC_REQUIRE(philox({ones, ones, ones, ones}, {ones, ones}) ==
                 Words{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU});
  REQUIRE(random_bits(0, 0, 0) == philox({0, 0, 0, 0}, {0, 0}));
  REQUIRE(random_bits(0x200000001ULL, 0x400000003ULL, 0x600000005ULL) == philox({5, 6, 3, 4}, {1, 2}));
}

TEMPLATE_TEST_CASE("unit_interval covers [0, 1)", "[ops][random]", float, double) {
  REQUIRE(unit_interval<TestType>(0, 0) == 0);
  const TestType top = unit_interval<TestType>(0xFFFFFFFFU, 0xFFFFFFFFU);
  REQUIRE(top < 1);
  REQUIRE(1 - top <= std::numeric_limits<TestType>::epsilon());
}

TEST_CASE("Rng is a function of seed, stream and position", "[ops][random]") {
  Rng a(7, 3), b(7, 3);
  for (int i = 0; i < 5; ++i) REQUIRE(a.bits() == b.bits());
  const std::uint64_t position = a.position();
  const double next = a.uniform<double>();
  a.seek(position);
  REQUIRE(a.uniform<double>() == next);
  REQUIRE(Rng(7, 4).bits() != Rng(7, 3).bits());
  REQUIRE(Rng(8, 3).bits() != Rng(7, 3).bits());
}

TEST_CASE("Rng streams split without meeting", "[ops][random]") {
  const Rng parent(11);
  std::set<std::uint64_t> streams;
  for (std::uint64_t id = 0; id < 100; ++id) streams.insert(parent.split(id).stream());
  REQUIRE(streams.size() == 100);
  REQUIRE(parent.split(5).bits() == Rng(11).split(5).bits());
}

TEMPLATE_TEST_CASE("Rng draws have the right moments", "[ops][random]", float, double) {
  Rng rng(1);
  constexpr int n = 20000;
  double uniform = 0, normal = 0, square = 0, fourth = 0;
  for (int i = 0; i < n; ++i) {
    const double u = static_cast<double>(rng.uniform<TestType>(2, 4));
    REQUIRE((u >= 2 && u <= 4));
    uniform += u / n;
    const double x = static_cast<double>(rng.normal<TestType>(1, 2));
    normal += x / n;
    square += (x - 1) * (x - 1) / n;
    fourth += std::pow(x - 1, 4) / n;
  }
  // Five standard errors of each estimate: a fair generator fails one seed in a million.
  const double root = std::sqrt(static_cast<double>(n));
  REQUIRE(std::abs(uniform - 3) < 5 * (2 / std::sqrt(12.0)) / root);
  REQUIRE(std::abs(normal - 1) < 5 * 2 / root);
  REQUIRE(std::abs(square - 4) < 5 * 4 * std::sqrt(2.0) / root);
  REQUIRE(std::abs(fourth - 48) < 5 * 16 * std::sqrt(96.0) / root);
}

TEST_CASE("Rng.below is uniform and checks its bound", "[ops][random]") {
  Rng rng(2);
  std::array<int, 7> counts{};
  constexpr int n = 7000;
  for (int i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(rng.below(7))];
  const double mean = n / 7.0;
  for (const int count : counts) REQUIRE(std::abs(count - mean) < 5 * std::sqrt(mean));
  REQUIRE(rng.below(1) == 0);
  require_error([&] { rng.below(0); }, {"below", "0", "at least 1"});
}
