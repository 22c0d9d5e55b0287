#include "m2/monarch/multiply.hpp"
#include "tests/monarch/oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// The same array for the loop-only backend.
template <class T, int Rank>
View<const T, Rank, Serial> serial(View<const T, Rank, Cpu> view) {
  return {view.data(), view.extents(), view.strides()};
}

enum class Layout { features, batch };

/// The Cpu's gradients beside those of the loop-only backend, which finite differences check. Vectors lie `gap` numbers
/// apart; gradients of weights are added to what is there; the second run gives the same bits.
template <class T, int Order>
void check_vjp(const MonarchShape<Order>& shape, Index batch, Layout layout, Index gap = 0) {
  INFO(shape << ", " << batch << " vectors");
  Cpu be;
  Serial loops;
  Rng rng(5);
  const auto vectors = [&](Index features) {
    return layout == Layout::features ? Tensor<T, 2, Cpu>(be, {batch, features + gap})
                                      : Tensor<T, 2, Cpu>(be, {features, batch + gap});
  };
  const auto view = [&](auto& memory, Index features) {
    return layout == Layout::features ? memory.view().slice(1, 0, features)
                                      : memory.view().slice(1, 0, batch).transpose(0, 1);
  };
  const Index in = shape.in_features(), out = shape.out_features();
  auto x = vectors(in), dx = vectors(in), dy = vectors(out);
  Tensor<T, 1, Cpu> weights(be, {shape.parameter_count()}), start(be, weights.extents());
  for (auto* memory : {&x, &dx, &dy}) fill_normal(memory->view(), rng);
  for (auto* memory : {&weights, &start}) fill_normal(memory->view(), rng);

  Tensor<T, 1, Serial> expected(loops, weights.extents());
  Tensor<T, 2, Serial> expected_dx(loops, {batch, in});
  std::copy_n(start.data(), start.size(), expected.data());
  monarch_multiply_vjp(loops, monarch_view(shape, serial<T>(weights.cview())),
                       serial<T>(View<const T, 2, Cpu>(view(x, in))), serial<T>(View<const T, 2, Cpu>(view(dy, out))),
                       expected_dx.view(), monarch_view(shape, expected.view()));
  const std::vector<double> right = to_host(expected.view()), right_dx = to_host(expected_dx.view());

  std::vector<double> first;
  for (int run = 0; run < 2; ++run) {
    Tensor<T, 1, Cpu> dweights(be, weights.extents());
    std::copy_n(start.data(), start.size(), dweights.data());
    monarch_multiply_vjp(be, monarch_view(shape, weights.cview()), Input<T, 2, Cpu>(view(x, in)),
                         Input<T, 2, Cpu>(view(dy, out)), view(dx, in), monarch_view(shape, dweights.view()));
    require_close(to_host(view(dx, in)), right_dx, tolerance<T>(shape.widest(), largest(right_dx)));
    require_close(to_host(dweights.view()), right, tolerance<T>(batch + shape.widest(), largest(right)));
    if (run == 0) first = to_host(dweights.view());
    CHECK(to_host(dweights.view()) == first);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("Monarch VJP over several tiles and threads", "[monarch]", float, double) {
  using T = TestType;
  for (const Layout layout : {Layout::features, Layout::batch}) {
    for (const Index batch : {40, 700}) check_vjp<T>(MonarchShape<2>{16, 24}, batch, layout);
    check_vjp<T>(MonarchShape<2>{32, 64}, 200, layout, 3);  // packed blocks for every width of registers
    check_vjp<T>(MonarchShape<3>{16, 16, 16}, 70, layout);
    check_vjp<T>(MonarchShape<1>::block_diagonal(64, 160, 2), 130, layout, 8);
    check_vjp<T>(MonarchShape<2>({FactorShape{16, 32, 16, 1}, FactorShape{1, 16, 48, 16}}, 500, 700), 150, layout);
    check_vjp<T>(MonarchShape<2>({FactorShape{1, 16, 80, 16}, FactorShape{80, 16, 32, 1}}), 300, layout);
  }
}
