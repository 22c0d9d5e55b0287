#include "m2/monarch/multiply.hpp"

#include "tests/golden.hpp"
#include "tests/support.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

template <class T, int Rank>
void fill(View<T, Rank, Cpu> view, Index i) {
  for_every(view, [&](T& element, Index j) { element = golden_value(i, j); });
}

void check_butterfly(const nlohmann::json& golden) {
  const auto w1 = golden["shapes"]["w1"].get<std::vector<Index>>();
  const auto w2 = golden["shapes"]["w2"].get<std::vector<Index>>();
  const Index batch = golden["shapes"]["x"][0].get<Index>();
  const auto shape = MonarchShape<2>::butterfly(w1[0], w1[1], w1[2], w2[0], w2[1], w2[2]);
  Cpu be;
  Tensor<double, 1, Cpu> first(be, {shape.factor(0).weight_count()}), second(be, {shape.factor(1).weight_count()});
  Tensor<double, 1, Cpu> dfirst(be, {shape.factor(0).weight_count()}), dsecond(be, {shape.factor(1).weight_count()});
  Tensor<double, 2, Cpu> x(be, {batch, shape.in_features()}), dx(be, {batch, shape.in_features()});
  Tensor<double, 2, Cpu> y(be, {batch, shape.out_features()}), dy(be, {batch, shape.out_features()});
  fill(x.view(), 0);
  fill(first.view(), 1);
  fill(second.view(), 2);
  fill(dy.view(), 3);
  const MonarchView<2, const double, Cpu> m{shape, {first.data(), second.data()}};
  monarch_multiply(be, m, x.view(), y.view());
  monarch_multiply_vjp(be, m, x.view(), dy.view(), dx.view(),
                       MonarchView<2, double, Cpu>{shape, {dfirst.data(), dsecond.data()}});
  const double printed = 1e-11;  // the file holds 12 digits
  const auto check = [&](const char* name, const std::vector<double>& actual) {
    INFO(name);
    const auto expected = golden[name].get<std::vector<double>>();
    require_close(actual, expected, printed * (1 + largest(expected)));
  };
  check("y", to_host(y.view()));
  check("dx", to_host(dx.view()));
  check("dw1", to_host(dfirst.view()));
  check("dw2", to_host(dsecond.view()));
}

}  // namespace

TEST_CASE("The two-factor multiply gives the reference code's numbers", "[monarch][golden]") {
  const auto golden = read_golden("ops.json");
  check_butterfly(golden["ops"]["butterfly_square_n16"]);
  check_butterfly(golden["ops"]["butterfly_rect"]);
}
