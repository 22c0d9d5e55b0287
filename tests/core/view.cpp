#include <numeric>

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

template <class T, int R>
using Host = View<T, R, Cpu>;

std::vector<int> numbers(Index n) {
  std::vector<int> result(static_cast<std::size_t>(n));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

}  // namespace

TEST_CASE("contiguous views are row-major", "[core][view]") {
  auto data = numbers(24);
  const Host<int, 3> v(data.data(), {2, 3, 4});
  REQUIRE(v.strides() == Extents<3>{12, 4, 1});
  REQUIRE(v.size() == 24);
  REQUIRE(v.is_contiguous());
  for (Index i = 0; i < 2; ++i)
    for (Index j = 0; j < 3; ++j)
      for (Index k = 0; k < 4; ++k) REQUIRE(v(i, j, k) == 12 * i + 4 * j + k);
  v(1, 2, 3) = -1;
  REQUIRE(data[23] == -1);
  REQUIRE(Host<int, 2>{}.size() == 0);
}

TEST_CASE("views of mutable elements convert to views of const elements only", "[core][view]") {
  STATIC_REQUIRE(std::is_convertible_v<Host<int, 2>, Host<const int, 2>>);
  STATIC_REQUIRE(!std::is_convertible_v<Host<const int, 2>, Host<int, 2>>);
  STATIC_REQUIRE(!std::is_convertible_v<Host<int, 2>, Host<const long, 2>>);
  STATIC_REQUIRE(std::is_trivially_copyable_v<Host<int, 2>>);
}

TEST_CASE("transpose, slice and select only change strides", "[core][view]") {
  auto data = numbers(24);
  const Host<int, 3> v(data.data(), {2, 3, 4});
  const auto t = v.transpose(0, 2);
  REQUIRE(t.extents() == Extents<3>{4, 3, 2});
  REQUIRE_FALSE(t.is_contiguous());
  const auto s = v.slice(1, 1, 2);
  REQUIRE(s.extents() == Extents<3>{2, 2, 4});
  const auto row = v.select(1, 2);
  REQUIRE(row.extents() == Extents<2>{2, 4});
  for (Index i = 0; i < 2; ++i)
    for (Index k = 0; k < 4; ++k) {
      for (Index j = 0; j < 3; ++j) REQUIRE(t(k, j, i) == v(i, j, k));
      for (Index j = 0; j < 2; ++j) REQUIRE(s(i, j, k) == v(i, j + 1, k));
      REQUIRE(row(i, k) == v(i, 2, k));
    }
  REQUIRE(v.slice(2, 4, 0).size() == 0);
  REQUIRE(v.select(0, 0).is_contiguous());
}

TEST_CASE("split and merge undo each other", "[core][view]") {
  auto data = numbers(24);
  const Host<int, 2> v(data.data(), {4, 6});
  const auto split = v.split(1, 2);
  REQUIRE(split.extents() == Extents<3>{4, 3, 2});
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 6; ++j) REQUIRE(split(i, j / 2, j % 2) == v(i, j));
  const auto merged = split.merge(1);
  REQUIRE(merged.extents() == v.extents());
  REQUIRE(merged.strides() == v.strides());
  REQUIRE(v.merge(0).extents() == Extents<1>{24});
  REQUIRE(v.transpose(0, 1).split(0, 3).merge(0).strides() == v.transpose(0, 1).strides());
}

TEST_CASE("merge accepts single and empty dimensions of any stride", "[core][view]") {
  auto data = numbers(24);
  const Host<int, 2> column(data.data(), {4, 1}, {6, 99});
  REQUIRE(column.merge(0).stride(0) == 6);
  const Host<int, 2> row(data.data(), {1, 4}, {99, 5});
  REQUIRE(row.merge(0).stride(0) == 5);
  REQUIRE(Host<int, 2>(data.data(), {0, 4}, {99, 5}).merge(0).size() == 0);
}

TEST_CASE("views name what does not fit", "[core][view]") {
  auto data = numbers(24);
  const Host<int, 2> v(data.data(), {4, 6});
  require_error([&] { v.slice(0, 2, 3); }, {"slice: 3 indices from 2 on", "(4, 6)"});
  require_error([&] { v.slice(1, -1, 2); }, {"slice", "-1"});
  require_error([&] { v.slice(0, 1, std::numeric_limits<Index>::max()); }, {"slice", "from 1 on"});
  require_error([&] { v.select(1, 6); }, {"select", "6", "(4, 6)"});
  require_error([&] { v.split(1, 4); }, {"split", "multiple of 4"});
  require_error([&] { v.split(1, 0); }, {"split"});
  require_error([&] { v.transpose(0, 1).merge(0); }, {"merge", "(6, 4)", "not one run"});
}
