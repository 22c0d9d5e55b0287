#include "m2/monarch/permutation.hpp"

#include "tests/rapidcheck.hpp"
#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// y[i] = x[map[i]] by the definition: x as an array of these extents, its dimensions in the order of axes, flattened.
std::vector<Index> map_oracle(const std::vector<Index>& radices, const std::vector<int>& axes) {
  Index size = 1;
  for (const Index radix : radices) size *= radix;
  std::vector<Index> map(static_cast<std::size_t>(size));
  for (Index at = 0; at < size; ++at) {  // element `at` of x and where it goes
    std::vector<Index> digits(radices.size());
    Index rest = at;
    for (std::size_t d = radices.size(); d-- > 0;) digits[d] = rest % radices[d], rest /= radices[d];
    Index to = 0;
    for (const int axis : axes)
      to = to * radices[static_cast<std::size_t>(axis)] + digits[static_cast<std::size_t>(axis)];
    map[static_cast<std::size_t>(to)] = at;
  }
  return map;
}

}  // namespace

TEST_CASE("digit permutation: index maps are those of the definition", "[monarch][permutation]") {
  const std::vector<std::pair<std::vector<Index>, std::vector<int>>> cases{{{6}, {0}},
                                                                           {{2, 3}, {1, 0}},
                                                                           {{3, 1, 4}, {2, 1, 0}},
                                                                           {{2, 3, 4}, {1, 2, 0}},
                                                                           {{1, 1}, {1, 0}},
                                                                           {{2, 3, 4}, {0, 1, 2}},
                                                                           {{2, 2, 3, 2, 5}, {4, 0, 2, 1, 3}}};
  for (const auto& [radices, axes] : cases) {
    const DigitPermutation p(radices, axes);
    REQUIRE(p.index_map() == map_oracle(radices, axes));
    const DigitPermutation inverse = p.inverse();
    for (Index i = 0; i < p.size(); ++i) REQUIRE(inverse.from(p.from(i)) == i);
    REQUIRE(inverse.inverse() == p);
  }
}

TEST_CASE("digit permutation: named ones by the formulas of the papers", "[monarch][permutation]") {
  for (const auto& [b, n] : {std::pair<Index, Index>{3, 12}, {4, 12}, {1, 5}, {5, 5}, {4, 16}}) {
    const DigitPermutation p = DigitPermutation::stride(b, n);
    for (Index i = 0; i < n; ++i) REQUIRE(p.from(i) == i % b * (n / b) + i / b);
    REQUIRE(p.inverse() == DigitPermutation::stride(n / b, n));
  }
  REQUIRE(DigitPermutation::stride(4, 16).inverse() == DigitPermutation::stride(4, 16));
  const DigitPermutation bits = DigitPermutation::reversal(std::array<Index, 4>{2, 2, 2, 2});
  for (Index i = 0; i < 16; ++i) REQUIRE(bits.from(i) == (i & 1) * 8 + (i & 2) * 2 + (i & 4) / 2 + (i & 8) / 8);
  REQUIRE(DigitPermutation::reversal(std::vector<Index>{3, 4}) == DigitPermutation::stride(3, 12));
}

TEST_CASE("digit permutation: equal exactly if it moves alike", "[monarch][permutation]") {
  REQUIRE(DigitPermutation({2, 3, 4}, {0, 1, 2}) == DigitPermutation::identity(24));
  REQUIRE(DigitPermutation({2, 3, 4}, {0, 1, 2}).is_identity());
  REQUIRE(DigitPermutation({2, 3, 4}, {2, 0, 1}) == DigitPermutation({6, 4}, {1, 0}));
  REQUIRE(DigitPermutation({1, 6, 4}, {2, 1, 0}) == DigitPermutation({6, 1, 4}, {2, 0, 1}));
  REQUIRE_FALSE(DigitPermutation::stride(3, 12) == DigitPermutation::stride(4, 12));
  REQUIRE_FALSE(DigitPermutation::stride(3, 12).is_identity());
  REQUIRE_FALSE(DigitPermutation::identity(6) == DigitPermutation::identity(7));
  REQUIRE(DigitPermutation() == DigitPermutation::identity(1));
}

TEMPLATE_TEST_CASE("digit permutation: applied to rows of any strides, and as a matrix", "[monarch][permutation]",
                   (On<Cpu, float>), (On<Serial, std::complex<double>>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Rng rng(3);
  const DigitPermutation p({2, 3, 4}, {2, 0, 1});
  const std::vector<Index> map = p.index_map();
  for (const Index gap : {1, 2})
    for (const bool batch_contiguous : {false, true}) {
      const Extents<2> extents = batch_contiguous ? Extents<2>{24, 5} : Extents<2>{5, 24};
      Strided<T, 2, B> xs(be, extents, gap), ys(be, extents, gap);
      const View<T, 2, B> x = batch_contiguous ? xs.view().transpose(0, 1) : xs.view();
      const View<T, 2, B> y = batch_contiguous ? ys.view().transpose(0, 1) : ys.view();
      fill_normal(x, rng);
      p.apply(be, x, y);
      for (Index b = 0; b < 5; ++b)
        for (Index i = 0; i < 24; ++i) REQUIRE(y(b, i) == x(b, map[static_cast<std::size_t>(i)]));
    }
  const auto dense = p.template dense_tensor<T>(be);
  for (Index i = 0; i < 24; ++i)
    for (Index j = 0; j < 24; ++j) REQUIRE(dense.view()(i, j) == T(j == map[static_cast<std::size_t>(i)] ? 1 : 0));
}

TEST_CASE("digit permutation: errors say what does not fit", "[monarch][permutation]") {
  require_error([] { DigitPermutation({2, 3}, {0}); }, {"digit permutation", "2 radices", "1 axes"});
  require_error([] { DigitPermutation({2, 3}, {0, 0}); }, {"digit permutation", "0 is not or comes twice"});
  require_error([] { DigitPermutation({2, 3}, {0, 2}); }, {"digit permutation", "2 is not or comes twice"});
  require_error([] { DigitPermutation({2, 0}, {0, 1}); }, {"digit permutation", "radix 1 is 0"});
  require_error([] { DigitPermutation({Index{1} << 40, Index{1} << 40}, {1, 0}); }, {"digit permutation", "64 bits"});
  require_error([] { DigitPermutation::stride(5, 12); }, {"stride permutation", "5", "12"});
  Cpu be;
  Tensor<float, 2, Cpu> x(be, {2, 6}), y(be, {2, 5});
  require_error([&] { DigitPermutation::stride(2, 6).apply(be, x.view(), y.view()); },
                {"digit permutation", "(2, 6)", "(2, 5)"});
}

#ifdef M2_HAS_RAPIDCHECK
TEST_CASE("digit permutation: definition, inverse and equality for any digits", "[monarch][permutation][properties]") {
  const bool passed = rc::check("digit permutation", [] {
    const auto any = [] {
      const auto count = *rc::gen::inRange<std::size_t>(1, 6);
      std::vector<Index> radices;
      std::vector<int> axes;
      for (std::size_t d = 0; d < count; ++d) {
        radices.push_back(*rc::gen::inRange<Index>(1, 4));
        axes.insert(axes.begin() + *rc::gen::inRange<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(d) + 1),
                    static_cast<int>(d));
      }
      return std::pair(radices, axes);
    };
    const auto [radices, axes] = any();
    const auto [other_radices, other_axes] = any();
    const DigitPermutation p(radices, axes), q(other_radices, other_axes);
    RC_ASSERT(p.index_map() == map_oracle(radices, axes));
    for (Index i = 0; i < p.size(); ++i) RC_ASSERT(p.inverse().from(p.from(i)) == i);
    RC_ASSERT((p == q) == (p.index_map() == q.index_map()));
    RC_ASSERT((p == p.inverse()) == (p.index_map() == p.inverse().index_map()));
  });
  REQUIRE(passed);
}
#endif
