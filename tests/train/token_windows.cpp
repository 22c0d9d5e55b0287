#include "m2/train/token_windows.hpp"

#include <numeric>

#include "tests/support.hpp"

namespace m2::test {
namespace {

/// A text in which every token is its own place.
std::vector<std::int32_t> places(Index size) {
  std::vector<std::int32_t> text(static_cast<std::size_t>(size));
  std::iota(text.begin(), text.end(), 0);
  return text;
}

}  // namespace

static_assert(BatchSource<RandomWindows<Cpu>, Cpu> && !FiniteBatchSource<RandomWindows<Cpu>, Cpu>);
static_assert(FiniteBatchSource<SequentialWindows<Cpu, std::int32_t>, Cpu>);

TEMPLATE_TEST_CASE("Random windows are runs of the text with targets one ahead", "[train]", Cpu, Serial) {
  TestType be;
  const auto text = places(50);
  RandomWindows<TestType, std::int32_t> source(be, text, {.batch = 4, .length = 7}, 11);
  std::vector<bool> seen(text.size());
  for (int i = 0; i < 300; ++i) {
    const auto& batch = source.next(be);
    REQUIRE(batch.inputs.extents() == Extents<2>{4, 7});
    REQUIRE(batch.targets.extents() == Extents<2>{4, 7});
    REQUIRE(batch.counted == 28);
    for (Index row = 0; row < 4; ++row)
      for (Index t = 0; t < 7; ++t) {
        REQUIRE(batch.inputs(row, t) == batch.inputs(row, 0) + t);
        REQUIRE(batch.targets(row, t) == batch.inputs(row, t) + 1);
        seen[static_cast<std::size_t>(batch.targets(row, t))] = true;
      }
  }
  for (std::size_t i = 1; i < seen.size(); ++i) REQUIRE(seen[i]);  // all but the first, which follows nothing
}

TEST_CASE("Random windows go on from a position exactly, and depend on the seed", "[train]") {
  Cpu be;
  const auto text = places(5000);
  const BatchShape shape{.batch = 3, .length = 16};
  RandomWindows<Cpu, std::int32_t> straight(be, text, shape, 7), resumed(be, text, shape, 7), other(be, text, shape, 8);
  for (int i = 0; i < 5; ++i) straight.next(be);
  resumed.seek(straight.position());
  bool differs = false;
  for (int i = 0; i < 5; ++i) {
    const auto expected = to_host(straight.next(be).inputs);
    REQUIRE(to_host(resumed.next(be).inputs) == expected);
    differs = differs || to_host(other.next(be).inputs) != expected;
  }
  REQUIRE(straight.position() == resumed.position());
  REQUIRE(differs);
}

TEST_CASE("A text of exactly one window is enough, a shorter one is an error with both numbers", "[train]") {
  Cpu be;
  const std::string text = "abcdefgh";
  RandomWindows<Cpu> source(be, byte_tokens(text), {.batch = 2, .length = 7}, 1);
  const auto& batch = source.next(be);
  REQUIRE(batch.inputs(1, 0) == 'a');
  REQUIRE(batch.targets(1, 6) == 'h');
  require_error([&] { RandomWindows<Cpu>(be, byte_tokens(text), {.batch = 2, .length = 8}, 1); },
                {"random windows", "8 tokens", "needs 9"});
  require_error([&] { RandomWindows<Cpu>(be, byte_tokens(text), {.batch = 2, .length = Index{1} << 40}, 1); },
                {"random windows", "8 tokens", "needs 1099511627777"});  // said before memory for it is asked for
  require_error([&] { RandomWindows<Cpu>(be, byte_tokens(text), {.batch = 0, .length = 8}, 1); },
                {"token windows", "0"});
}

TEMPLATE_TEST_CASE("Sequential windows score every held-out token exactly once", "[train]", Cpu, Serial) {
  TestType be;
  for (const Index size : {2, 9, 41, 64, 65, 100})
    for (const double fraction : {0.1, 0.5, 0.99})
      for (const BatchShape shape : {BatchShape{1, 1}, BatchShape{2, 5}, BatchShape{3, 8}, BatchShape{4, 200}}) {
        const auto text = places(size);
        const Index begin = std::min(held_out_begin(size, fraction), size - 1);
        SequentialWindows<TestType, std::int32_t> source(be, text, begin, shape);
        REQUIRE(source.counted() == size - std::max<Index>(begin, 1));
        std::vector<int> scored(text.size());
        for (Index i = 0; i < source.batches(); ++i) {
          const auto& batch = source.next(be);
          Index counted = 0;
          for (Index row = 0; row < shape.batch; ++row)
            for (Index t = 0; t < shape.length; ++t) {
              const std::int32_t target = batch.targets(row, t);
              if (target == ignored_target) {
                REQUIRE(batch.inputs(row, t) == 0);
                continue;
              }
              REQUIRE(batch.inputs(row, t) == target - 1);
              ++scored[static_cast<std::size_t>(target)];
              ++counted;
            }
          REQUIRE(counted == batch.counted);
          REQUIRE(counted > 0);
        }
        for (Index i = 0; i < size; ++i)
          REQUIRE(scored[static_cast<std::size_t>(i)] == (i >= std::max<Index>(begin, 1) ? 1 : 0));
      }
}

TEST_CASE("Sequential windows end, start again and seek", "[train]") {
  Cpu be;
  const auto text = places(30);
  SequentialWindows<Cpu, std::int32_t> source(be, text, 10, {.batch = 2, .length = 4});
  REQUIRE(source.batches() == 3);
  source.next(be);
  const auto second = to_host(source.next(be).targets);
  source.next(be);
  require_error([&] { source.next(be); }, {"sequential windows", "all 3 batches"});
  source.seek(1);
  REQUIRE(to_host(source.next(be).targets) == second);
  REQUIRE(source.position() == 2);
  require_error([&] { source.seek(4); }, {"sequential windows", "3 batches", "4"});
  using Source = SequentialWindows<Cpu, std::int32_t>;
  require_error([&] { Source(be, text, 30, {}); }, {"sequential windows", "token 30", "30 tokens"});
  require_error([&] { Source(be, std::span(text).first(1), 0, {}); }, {"sequential windows", "1 tokens"});
}

TEST_CASE("The held-out part is the last fraction", "[train]") {
  REQUIRE(held_out_begin(100, 0.1) == 90);
  REQUIRE(held_out_begin(1115394, 0.1) == 1115394 - 111539);
  REQUIRE(held_out_begin(100, 0.0) == 100);
  require_error([] { held_out_begin(100, 1.0); }, {"held_out_begin", "[0, 1)"});
  require_error([] { held_out_begin(100, -0.1); }, {"held_out_begin", "-0.1"});
}

}  // namespace m2::test
