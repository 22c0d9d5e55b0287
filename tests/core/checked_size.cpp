#include "m2/core/checked_size.hpp"

#include "tests/sizes.hpp"
#include "tests/support.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

constexpr Index largest_index = std::numeric_limits<Index>::max();

}  // namespace

TEST_CASE("products and sums that do not fit are errors that name both numbers", "[core][sizes]") {
  STATIC_REQUIRE(detail::checked_product("op", Index{1} << 31, Index{1} << 31) == Index{1} << 62);
  STATIC_REQUIRE(detail::checked_product("op", -(Index{1} << 32), Index{1} << 31) == std::numeric_limits<Index>::min());
  STATIC_REQUIRE(detail::checked_sum("op", largest_index - 1, 1) == largest_index);
  require_error([] { detail::checked_product("op", Index{1} << 32, Index{1} << 31); },
                {"op: 4294967296 x 2147483648 does not fit 64 bits"});
  require_error([] { detail::checked_sum("op", largest_index, 1); }, {"op: 9223372036854775807 + 1 does not fit"});
}

TEST_CASE("the extents of an array are checked, those of empty ones too", "[core][sizes]") {
  const Index half = Index{1} << 32;
  STATIC_REQUIRE(element_count(Extents<3>{2, 3, 5}) == 30);
  STATIC_REQUIRE(element_count(Extents<3>{2, 0, 5}) == 0);
  require_error([&] { element_count(Extents<2>{half, half}); }, {"(4294967296, 4294967296)", "do", "too large"});
  require_error([&] { element_count(Extents<3>{half, half, 0}); }, {"too large"});
  require_error([&] { element_count(Extents<3>{0, half, half}); }, {"too large"});
  require_error([&] { element_count(Extents<3>{half, -1, half}); }, {"(4294967296, -1, 4294967296)", "negative"});
}

TEST_CASE("views of more elements than an Index counts say so", "[core][sizes]") {
  int element = 0;
  const Index half = Index{1} << 32;
  using Host = View<int, 2, Cpu>;
  require_error([&] { Host(&element, {half, half}); }, {"view", "too large"});
  require_error([&] { Host(&element, {-1, 2}); }, {"view", "negative"});
  const Host repeated(&element, {half, half}, {0, 0});
  require_error([&] { repeated.size(); }, {"view", "too large"});
  require_error([&] { repeated.merge(0); }, {"too large"});
  require_error([&] { Host(&element, {half, half}, {half, 1}).is_contiguous(); }, {"does not fit"});
  require_error([&] { Host(&element, {half, 2}, {half, 1}).split(0, half); }, {"split", "does not fit"});
}

TEMPLATE_TEST_CASE("buffers of no possible size are errors", "[core][sizes]", Cpu, Serial) {
  TestType be;
  require_error([&] { be.template allocate<float>(-1); }, {"allocate: -1 elements of 4 bytes"});
  require_error([&] { be.template allocate<double>((Index{1} << 59) + 1); }, {"allocate", "no size of memory"});
  require_error([&] { be.template allocate<float>(largest_index); }, {"allocate", "no size of memory"});
  REQUIRE(be.template allocate<double>(0).data() == nullptr);
}

#ifdef M2_HAS_RAPIDCHECK
namespace {

/// f gives what `exact` says where that fits, and m2::Error otherwise.
template <class F>
void require_exact_or_error(F&& f, ExactSize exact, bool valid = true) {
  try {
    const Index result = f();
    RC_ASSERT(valid && exact.fits());
    RC_ASSERT(exact.is(result));
  } catch (const Error&) {
    RC_ASSERT(!valid || !exact.fits());
  }
}

template <int Rank>
Extents<Rank> any_extents() {
  Extents<Rank> extents{};
  for (Index& extent : extents) extent = any_size();
  return extents;
}

/// The product with zeros as ones, which must fit even of an empty array.
template <int Rank>
ExactSize product(const Extents<Rank>& extents) {
  ExactSize result = 1;
  for (const Index extent : extents) result = result * std::max<Index>(extent, 1);
  return result;
}

template <int Rank>
void check_rank() {
  const bool passed = rc::check("rank " + std::to_string(Rank), [] {
    const auto extents = any_extents<Rank>();
    const bool valid = std::ranges::all_of(extents, [](Index extent) { return extent >= 0; });
    const bool empty = std::ranges::any_of(extents, [](Index extent) { return extent == 0; });
    const ExactSize exact = product<Rank>(extents);
    const bool fits = valid && exact.fits();
    float element = 0;
    require_exact_or_error([&] { return element_count(extents); }, empty ? 0 : exact, fits);
    require_exact_or_error([&] { return View<float, Rank, Cpu>(&element, extents).size(); }, empty ? 0 : exact, fits);
    const View<float, Rank, Cpu> repeated(&element, extents, {});
    require_exact_or_error([&] { return repeated.size(); }, empty ? 0 : exact, fits);
    if (fits) {
      const View<float, Rank, Cpu> view(&element, extents);
      RC_ASSERT(view.is_contiguous());
      ExactSize stride = 1;
      for (int d = Rank - 1; d >= 0; stride = stride * view.extent(d--)) RC_ASSERT(stride.is(view.stride(d)));
      const int d = *rc::gen::inRange(0, Rank);
      const Index inner = any_size();
      const bool divides = inner > 0 && view.extent(d) % inner == 0;
      const bool countable = view.extent(d) > 0 || (exact * std::max<Index>(inner, 1)).fits();  // (0, inner, ..)
      try {
        const auto split = view.split(d, inner);
        RC_ASSERT(divides);
        RC_ASSERT(split.size() == view.size() && split.merge(d).extents() == extents);
      } catch (const Error&) {
        RC_ASSERT(!divides || !countable);
      }
    }
    // Memory: only what is surely possible, or surely not, is asked for.
    Cpu be;
    constexpr Index most_bytes = Index{1} << 62;
    const bool possible = fits && exact * Index{sizeof(double)} <= most_bytes;
    if (!possible && !empty) {
      try {
        Tensor<double, Rank, Cpu>(be, extents);
        RC_FAIL("a tensor of impossible extents");
      } catch (const Error&) {
      }
    } else if (possible && exact <= 1000) {
      RC_ASSERT((Tensor<double, Rank, Cpu>(be, extents).size() == element_count(extents)));
    }
  });
  REQUIRE(passed);
}

}  // namespace

TEST_CASE("arithmetic on any sizes is exact or an error", "[core][sizes][properties]") {
  const bool passed = rc::check("products and sums", [] {
    const Index a = std::abs(any_size()), b = std::abs(any_size());
    require_exact_or_error([&] { return detail::checked_product("op", a, b); }, ExactSize(a) * b);
    require_exact_or_error([&] { return detail::checked_sum("op", a, b); }, ExactSize(a) + b);
    const bool possible = ExactSize(a) * 8 <= ExactSize(Index{1} << 62);
    require_exact_or_error([&] { return static_cast<Index>(detail::checked_bytes("op", a, 8)); }, ExactSize(a) * 8,
                           possible);
  });
  REQUIRE(passed);
}

TEST_CASE("views and tensors of any extents are exact or an error", "[core][sizes][properties]") {
  check_rank<1>();
  check_rank<2>();
  check_rank<3>();
  check_rank<4>();
}
#else
TEST_CASE("arithmetic on any sizes", "[core][sizes][properties]") { M2_SKIP("RapidCheck is not installed"); }
#endif
