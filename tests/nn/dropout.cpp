#include "m2/nn/dropout.hpp"

#include "tests/nn/module_check.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

static_assert(Module<Dropout<float, Cpu>> && Module<Dropout<double, Serial>>);

TEMPLATE_TEST_CASE("Dropout is the identity unless its site is training", "[nn]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  Dropout<T, B> dropout(0.25);
  B be;
  Strided<T, 3, B> x(be, {2, 16, 8}, 2), y(be, {2, 16, 8}, 2), dx(be, {2, 16, 8}, 2);
  Rng rng(1);
  fill_normal(x.view(), rng);
  auto cache = dropout.make_cache(be, {2, 16, 8});
  dropout.forward(be, x.view(), y.view(), cache);
  REQUIRE_FALSE(dropout.active());
  REQUIRE(to_host(y.view()) == to_host(x.view()));

  std::vector<std::string> names;
  auto train = [&](const std::string& name, RandomSite& site) {
    names.push_back(name);
    site = {.training = true, .key = 7};
  };
  visit_member(train, "", "", dropout);
  REQUIRE(names == std::vector<std::string>{"site"});
  dropout.forward(be, x.view(), y.view(), cache);
  dropout.backward(be, x.view(), x.view(), cache, dx.view());
  REQUIRE(to_host(dx.view()) == to_host(y.view()));  // the same mask and scale
  const auto before = to_host(x.view()), after = to_host(y.view());
  Index dropped = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (after[i] == 0)
      ++dropped;
    else
      REQUIRE(std::abs(after[i] - before[i] / 0.75) <= tolerance<T>(1, largest(before)));
  }
  REQUIRE(dropped > 30);  // 64 expected, deviation 7
  REQUIRE(dropped < 98);
  dropout.forward(be, x.view(), x.view(), cache);  // in place
  REQUIRE(to_host(x.view()) == after);
}

TEST_CASE("Dropout rejects a rate outside [0, 1)", "[nn]") {
  require_error([] { Dropout<double, Cpu>(1.0); }, {"dropout", "rate is 1"});
  require_error([] { Dropout<double, Cpu>(-0.5); }, {"dropout", "-0.5"});
}
