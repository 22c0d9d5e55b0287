#include "m2/monarch/multiply.hpp"
#include "m2/ops/elementwise.hpp"
#include "tests/monarch/layouts.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// The same array for the loop-only backend.
template <class T, int Rank>
View<const T, Rank, Serial> serial(View<const T, Rank, Cpu> view) {
  return {view.data(), view.extents(), view.strides()};
}

/// The Cpu's gradients beside those of the loop-only backend, which finite differences check. Gradients of weights are
/// added to what is there; the second run gives the same bits.
template <class T, int Order>
void check_vjp(const MonarchShape<Order>& shape, Index batch, Layout layout) {
  INFO(shape << ", " << batch << " vectors");
  Cpu be;
  Serial loops;
  Rng rng(5);
  const Index in = shape.in_features(), out = shape.out_features();
  Vectors<T, Cpu> x(be, batch, in, layout), dx(be, batch, in, layout), dy(be, batch, out, layout);
  Tensor<T, 1, Cpu> weights(be, {shape.parameter_count()}), start(be, weights.extents());
  for (auto* vectors : {&x, &dx, &dy}) fill_normal(vectors->view(), rng);
  for (auto* memory : {&weights, &start}) fill_normal(memory->view(), rng);

  Tensor<T, 1, Serial> expected(loops, weights.extents());
  Tensor<T, 2, Serial> expected_dx(loops, {batch, in});
  std::copy_n(start.data(), start.size(), expected.data());
  monarch_multiply_vjp(loops, monarch_view(shape, serial<T>(weights.cview())),
                       serial<T>(View<const T, 2, Cpu>(x.view())), serial<T>(View<const T, 2, Cpu>(dy.view())),
                       expected_dx.view(), monarch_view(shape, expected.view()));
  const std::vector<double> right = to_host(expected.view()), right_dx = to_host(expected_dx.view());

  std::vector<double> first;
  for (int run = 0; run < 2; ++run) {
    Tensor<T, 1, Cpu> dweights(be, weights.extents());
    std::copy_n(start.data(), start.size(), dweights.data());
    monarch_multiply_vjp(be, monarch_view(shape, weights.cview()), Input<T, 2, Cpu>(x.view()),
                         Input<T, 2, Cpu>(dy.view()), dx.view(), monarch_view(shape, dweights.view()));
    require_close(to_host(dx.view()), right_dx, tolerance<T>(shape.widest(), largest(right_dx)));
    require_close(to_host(dweights.view()), right, tolerance<T>(batch + shape.widest(), largest(right)));
    dx.require_gaps();
    if (run == 0) first = to_host(dweights.view());
    CHECK(to_host(dweights.view()) == first);
  }
}

/// The VJP of so many vectors that they are in no near cache, which is read ahead of and written past the caches,
/// beside the VJPs of a few of them at a time, which are not. All sums are of small whole numbers, and exact.
template <int Order>
void check_far(const MonarchShape<Order>& shape, Index batch, Index few) {
  INFO(shape << ", " << batch << " vectors");
  Cpu be;
  const Index n = shape.in_features();
  Tensor<float, 1, Cpu> weights(be, {shape.parameter_count()}), dweights(be, weights.extents()),
      sum(be, weights.extents());
  Tensor<float, 2, Cpu> x(be, {batch, n}), dy(be, {batch, n}), dx(be, {batch, n}), parts(be, {batch, n});
  fill_whole(weights, 3);
  fill_whole(x, 5);
  fill_whole(dy, 7);
  const auto m = monarch_view(shape, weights.cview());
  for (const bool features : {true, false}) {  // the contiguous dimension
    const auto vectors = [=](Tensor<float, 2, Cpu>& memory) { return contiguous_vectors(memory, features); };
    fill(be, 0, dweights.view());
    fill(be, 0, sum.view());
    monarch_multiply_vjp(be, m, Input<float, 2, Cpu>(vectors(x)), Input<float, 2, Cpu>(vectors(dy)), vectors(dx),
                         monarch_view(shape, dweights.view()));
    for (Index begin = 0; begin < batch; begin += few)
      monarch_multiply_vjp(be, m, Input<float, 2, Cpu>(vectors(x).slice(0, begin, few)),
                           Input<float, 2, Cpu>(vectors(dy).slice(0, begin, few)), vectors(parts).slice(0, begin, few),
                           monarch_view(shape, sum.view()));
    CHECK(to_host(dx.view()) == to_host(parts.view()));
    CHECK(to_host(dweights.view()) == to_host(sum.view()));
    CHECK(largest(to_host(dx.view())) > 0);
    CHECK(largest(to_host(sum.view())) > 0);
  }
}

}  // namespace

TEST_CASE("Monarch VJP of vectors that no near cache holds", "[monarch]") {
  check_far(MonarchShape<1>({FactorShape{128, 2, 2, 16}}), 576, 24);  // 9 MiB: dx bypasses the caches
  check_far(MonarchShape<2>(16, 16), 1024, 64);                       // 2 MiB
  check_far(MonarchShape<2>(32, 32), 1024, 64);                       // two groups of blocks along the lanes
  check_far(MonarchShape<2>::linear(128, 128, 4), 8192, 64);          // fewer blocks than lanes
  check_far(MonarchShape<2>(16, 16), 4096, 64);                       // 4 MiB: dx bypasses them in short blocks, too
}

TEMPLATE_TEST_CASE("Monarch VJP over several tiles and threads", "[monarch]", float, double) {
  for (const Layout layout : {Layout::features, Layout::batch, Layout::gaps})
    for (const Index batch : {40, 200}) check_vjp<TestType>(MonarchShape<2>{16, 24}, batch, layout);
}

// Just enough vectors for the kernel that packs weights; the loop-only backend is slow.
TEST_CASE("Monarch VJP by packed weights, and of the same with the batch contiguous", "[monarch]") {
  check_vjp<float>(MonarchShape<2>{32, 32}, 40, Layout::features);
  check_vjp<float>(MonarchShape<3>{16, 16, 16}, 26, Layout::features);
  check_vjp<float>(MonarchShape<3>{16, 16, 16}, 26, Layout::batch);
  for (const Index blocks : {2, 8}) check_vjp<float>(MonarchShape<2>::linear(128, 192, blocks), 40, Layout::features);
  for (const Layout layout : {Layout::features, Layout::batch, Layout::gaps}) {
    check_vjp<float>(MonarchShape<1>::block_diagonal(64, 160, 2), 70, layout);
    check_vjp<float>(MonarchShape<2>({FactorShape{16, 32, 16, 1}, FactorShape{1, 16, 48, 16}}, 500, 700), 40, layout);
    check_vjp<float>(MonarchShape<2>({FactorShape{1, 16, 80, 16}, FactorShape{80, 16, 32, 1}}), 24, layout);
    // Fewer blocks than lanes, in the last factor, in the first one.
    check_vjp<float>(MonarchShape<2>({FactorShape{4, 32, 16, 1}, FactorShape{1, 16, 36, 4}}, 125, 140), 40, layout);
    check_vjp<float>(MonarchShape<2>({FactorShape{2, 20, 8, 4}, FactorShape{4, 16, 48, 1}}), 37, layout);
    check_vjp<double>(MonarchShape<2>::linear(64, 96, 2), 40, layout);
  }
}
