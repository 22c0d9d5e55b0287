#include "m2/monarch/shape.hpp"

#include <limits>

#include "m2/monarch/long_convolution.hpp"
#include "tests/sizes.hpp"
#include "tests/support.hpp"

using m2::FactorShape;
using m2::Index;
using m2::MonarchShape;

TEST_CASE("A square shape mixes the last digit first", "[shape]") {
  const MonarchShape<3> shape{3, 5, 7};
  CHECK(shape.in_features() == 105);
  CHECK(shape.out_features() == 105);
  CHECK(shape.factor(0) == FactorShape{15, 7, 7, 1});
  CHECK(shape.factor(1) == FactorShape{3, 5, 5, 7});
  CHECK(shape.factor(2) == FactorShape{1, 3, 3, 35});
  CHECK(shape.parameter_count() == 105 * (3 + 5 + 7));
  CHECK(shape.multiply_flops(2) == 2.0 * 2 * 105 * 15);
}

TEST_CASE("A rectangular shape sees output radices behind the digit it mixes", "[shape]") {
  const auto shape = MonarchShape<2>::rectangular({3, 4}, {5, 2});
  CHECK(shape.in_features() == 12);
  CHECK(shape.out_features() == 10);
  CHECK(shape.factor(0) == FactorShape{3, 4, 2, 1});
  CHECK(shape.factor(1) == FactorShape{1, 3, 5, 2});
}

TEST_CASE("The reference's shapes", "[shape]") {
  const auto butterfly = MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 6);
  CHECK(butterfly.in_features() == 15);
  CHECK(butterfly.out_features() == 14);
  const auto linear = MonarchShape<2>::linear(10, 14, 4);  // blocks of 3 and 4, so 12 padded and 16 cut
  CHECK(linear.padded_in() == 12);
  CHECK(linear.padded_out() == 16);
  CHECK(linear.factor(0) == FactorShape{4, 3, 3, 1});
  CHECK(linear.factor(1) == FactorShape{1, 3, 4, 4});
  const auto blocks = MonarchShape<1>::block_diagonal(10, 7, 3);
  CHECK(blocks.factor(0) == FactorShape{3, 4, 3, 1});
  CHECK(blocks.in_features() == 10);
  CHECK(blocks.out_features() == 7);
}

TEST_CASE("Shapes that do not fit say so", "[shape]") {
  m2::test::require_error([] { MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 5); },
                          {"monarch shape", "factor 0 gives 12", "factor 1 takes 10"});
  m2::test::require_error([] { MonarchShape<2>(4, 0); }, {"extent is 0"});
  m2::test::require_error([] { MonarchShape<2>(4, -3); }, {"extent is -3"});
  for (const int f : {-1, 2})
    m2::test::require_error([=] { (void)MonarchShape<2>(4, 3).factor(f); },
                            {"there is no factor " + std::to_string(f)});
  m2::test::require_error([] { MonarchShape<1>::block_diagonal(10, 7, 0); }, {"10 features into 0 blocks"});
  const Index large = Index{1} << 32;
  m2::test::require_error([&] { MonarchShape<2>(large, large); }, {"does not fit 64 bits"});
  const Index largest = std::numeric_limits<Index>::max();
  m2::test::require_error([&] { MonarchShape<1>::block_diagonal(largest, largest, 2); }, {"does not fit 64 bits"});
  // Each factor fits, their sum does not.
  m2::test::require_error([] { MonarchShape<2>(2000000, 2000000); },
                          {"monarch shape: 8000000000000000000 + 8000000000000000000 does not fit 64 bits"});
}

TEST_CASE("Sizes of transforms and convolutions that do not fit say so", "[shape]") {
  m2::Cpu be;
  const Index large = Index{1} << 62;
  using Convolution = m2::LongConvolution<float, m2::Cpu>;
  for (const auto engine : {m2::ConvolutionEngine::direct, m2::ConvolutionEngine::monarch_dft}) {
    const m2::LongConvolutionOptions options{.engine = engine};
    m2::test::require_error([&] { Convolution(be, {1, large + 1, 1}, options); }, {"long_convolution", "2^39"});
    m2::test::require_error([&] { Convolution(be, {large, 4, 1}, options); }, {"long_convolution", "too large"});
    m2::test::require_error(
        [&] {
          Convolution(be, {large, 1, 1}, options);
        },
        {"long_convolution", "no size of memory"});
    m2::test::require_error([&] { Convolution(be, {1, 0, 1}, options); }, {"long_convolution", "at least 1"});
  }
  m2::test::require_error([&] { m2::dft_plan(std::vector<int>(21, 8)); }, {"dft", "x 8 does not fit 64 bits"});
  m2::test::require_error([&] { m2::dft_plan(std::vector<int>(20, 8)); }, {"dft", "no size of memory"});
  m2::test::require_error([&] { m2::smooth_size(large); }, {"smooth_size", "2^40"});
}

#ifdef M2_HAS_RAPIDCHECK
namespace {

using m2::test::any_size;
using m2::test::ExactSize;

/// What a shape says is exact: every factor, features, parameters. A shape that says anything else is an error.
template <int Order, class F>
void check_any(F&& make, bool positive, const std::array<FactorShape, std::size_t{Order}>& factors, bool chained) {
  ExactSize count = 0;
  for (const FactorShape& f : factors) count = count + ExactSize(f.outer) * f.inner * f.in * f.out;
  const bool valid = positive && chained && count.fits();
  try {
    const MonarchShape<Order> shape = make();
    RC_ASSERT(valid);
    RC_ASSERT(shape.factors() == factors);
    RC_ASSERT(count.is(shape.parameter_count()));
    RC_ASSERT(shape.in_features() <= shape.padded_in() && shape.out_features() <= shape.padded_out());
    for (const FactorShape& f : factors) RC_ASSERT(f.in_size() <= shape.widest() && f.out_size() <= shape.widest());
    RC_ASSERT(shape.multiply_flops(1) >= 2.0);
  } catch (const m2::Error&) {
    RC_ASSERT(!valid);
  }
}

/// a * b; 0 where it does not fit, which is no factor of a valid shape.
Index product(Index a, Index b) {
  Index result = 0;
  return __builtin_mul_overflow(a, b, &result) ? 0 : result;
}

template <int Order>
void check_rectangular() {
  const bool passed = rc::check("rectangular, order " + std::to_string(Order), [] {
    typename MonarchShape<Order>::Radices in{}, out{};
    for (Index& radix : in) radix = any_size();
    for (Index& radix : out) radix = any_size();
    bool positive = true;
    for (std::size_t d = 0; d < in.size(); ++d) positive = positive && in[d] >= 1 && out[d] >= 1;
    std::array<FactorShape, std::size_t{Order}> factors{};
    bool fits = true;
    for (std::size_t f = 0; f < factors.size(); ++f) {
      const std::size_t digit = factors.size() - 1 - f;
      Index outer = 1, inner = 1;
      for (std::size_t d = 0; d < digit; ++d) outer = product(outer, in[d]);
      for (std::size_t d = digit + 1; d < in.size(); ++d) inner = product(inner, out[d]);
      fits = fits && outer >= 1 && inner >= 1;
      factors[f] = {std::max<Index>(outer, 0), std::max<Index>(in[digit], 0), std::max<Index>(out[digit], 0),
                    std::max<Index>(inner, 0)};
    }
    check_any<Order>([&] { return MonarchShape<Order>::rectangular(in, out); }, positive && fits, factors, true);
  });
  REQUIRE(passed);
}

Index rounded_up(Index a, Index b) { return a >= 1 && b >= 1 ? a / b + (a % b == 0 ? 0 : 1) : 0; }

}  // namespace

TEST_CASE("Shapes of any radices are exact or an error", "[shape][properties]") {
  check_rectangular<1>();
  check_rectangular<2>();
  check_rectangular<3>();
  check_rectangular<4>();
}

TEST_CASE("The reference's shapes of any sizes are exact or an error", "[shape][properties]") {
  const bool passed = rc::check("block-diagonal, linear, butterfly", [] {
    const Index in = any_size(), out = any_size(), blocks = any_size();
    const bool positive = in >= 1 && out >= 1 && blocks >= 1;
    const Index n = rounded_up(in, blocks), m = rounded_up(out, blocks), middle = std::min(n, m);
    const Index b = std::max<Index>(blocks, 0);
    check_any<1>([&] { return MonarchShape<1>::block_diagonal(in, out, blocks); }, positive, {FactorShape{b, n, m, 1}},
                 true);
    check_any<2>([&] { return MonarchShape<2>::linear(in, out, blocks); }, positive,
                 {FactorShape{b, n, middle, 1}, FactorShape{1, middle, m, b}}, true);
    Index k = any_size(), q = any_size(), p = any_size(), l = any_size(), s = any_size(), r = any_size();
    if (*rc::gen::arbitrary<bool>()) l = q, r = k;  // otherwise the factors hardly ever fit each other
    const bool all = k >= 1 && q >= 1 && p >= 1 && l >= 1 && s >= 1 && r >= 1;
    const std::array<FactorShape, 2> factors =
        all ? std::array<FactorShape, 2>{FactorShape{k, p, q, 1}, FactorShape{1, r, s, l}}
            : std::array<FactorShape, 2>{};
    const bool chained = product(k, q) == product(l, r) && product(k, q) > 0;
    check_any<2>([&] { return MonarchShape<2>::butterfly(k, q, p, l, s, r); }, all, factors, chained);
  });
  REQUIRE(passed);
}

TEST_CASE("Transforms and convolutions of any sizes are exact or an error", "[shape][properties]") {
  const bool passed = rc::check("transforms", [] {
    const Index size = any_size();
    constexpr Index largest_transform = Index{1} << 40;
    try {
      RC_ASSERT(m2::smooth_size(size) >= size);
      RC_ASSERT(size >= 1 && size <= largest_transform);
    } catch (const m2::Error&) {
      const bool refused = size < 1 || size > largest_transform;
      RC_ASSERT(refused);
    }
    // Convolutions are made where they take little memory or none is possible, and never between.
    m2::Cpu be;
    const m2::Extents<3> extents{any_size(), any_size(), any_size()};
    const bool negative = extents[0] < 0 || extents[1] < 1 || extents[2] < 0;
    const ExactSize bytes =
        ExactSize(std::max<Index>(extents[0], 1)) * std::max<Index>(extents[1], 1) * std::max<Index>(extents[2], 1) * 8;
    const bool possible = !negative && extents[1] <= largest_transform / 2 && bytes <= Index{1} << 62;
    if (possible && !(bytes <= 100000)) return;
    try {
      const m2::LongConvolution<double, m2::Cpu> plan(be, extents);
      RC_ASSERT(possible);
    } catch (const m2::Error&) {
      RC_ASSERT(!possible);
    }
  });
  REQUIRE(passed);
}
#else
TEST_CASE("Shapes of any sizes", "[shape][properties]") { M2_SKIP("RapidCheck is not installed"); }
#endif
