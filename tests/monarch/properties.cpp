// What must hold for every Monarch matrix, on random orders, radices, batches and layouts.
#include "tests/catch.hpp"

#ifdef M2_HAS_RAPIDCHECK
#include <rapidcheck.h>

#include "m2/monarch/long_convolution.hpp"
#include "tests/monarch/oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// A rectangular shape with radices from 1 to 6.
template <int Order>
MonarchShape<Order> any_shape() {
  typename MonarchShape<Order>::Radices in{}, out{};
  for (auto& radix : in) radix = *rc::gen::inRange<Index>(1, 7);
  for (auto& radix : out) radix = *rc::gen::inRange<Index>(1, 7);
  return MonarchShape<Order>::rectangular(in, out);
}

/// A tensor of vectors in either layout.
struct Vectors {
  Vectors(Index batch, Index features, bool batch_contiguous, Rng& rng)
      : batch_contiguous_(batch_contiguous),
        data_(be_, batch_contiguous ? Extents<2>{features, batch} : Extents<2>{batch, features}) {
    fill_normal(data_.view(), rng);
  }
  View<double, 2, Cpu> view() { return batch_contiguous_ ? data_.view().transpose(0, 1) : data_.view(); }

 private:
  Cpu be_;
  bool batch_contiguous_;
  Tensor<double, 2, Cpu> data_;
};

template <int Order>
void check_order() {
  const bool passed = rc::check("order " + std::to_string(Order), [] {
    Cpu be;
    const auto shape = any_shape<Order>();
    const Index batch = *rc::gen::inRange<Index>(1, 70);
    const bool column = *rc::gen::arbitrary<bool>();
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    Tensor<double, 1, Cpu> weights(be, {shape.parameter_count()}), dweights(be, {shape.parameter_count()});
    fill_normal(weights.view(), rng);
    const auto m = monarch_view(shape, weights.cview());
    Vectors x(batch, shape.in_features(), column, rng), y(batch, shape.out_features(), column, rng);
    Vectors dy(batch, shape.out_features(), column, rng), dx(batch, shape.in_features(), column, rng);
    monarch_multiply(be, m, x.view(), y.view());
    monarch_multiply_vjp(be, m, x.view(), dy.view(), dx.view(), monarch_view(shape, dweights.view()));

    const auto close = [](double a, double b, double magnitude) {
      RC_ASSERT(std::abs(a - b) <= tolerance<double>(10000, 1 + magnitude));
    };
    // Every vector by the definition.
    for (Index b = 0; b < batch; ++b) {
      const auto expected = oracle_multiply(m, to_wide(x.view().select(0, b)));
      const auto actual = to_host(y.view().select(0, b));
      for (std::size_t i = 0; i < expected.size(); ++i) close(actual[i], expected[i], largest(expected));
    }
    // The adjoint: <M x, dy> = <x, M^T dy>. Every factor is linear: <W, dW> = <M x, dy> for each of them.
    const double product = dot(to_host(y.view()), to_host(dy.view()));
    double magnitude = 0;
    const auto left = to_host(y.view()), right = to_host(dy.view());
    for (std::size_t i = 0; i < left.size(); ++i) magnitude += std::abs(left[i] * right[i]);
    close(dot(to_host(x.view()), to_host(dx.view())), product, magnitude);
    for (int f = 0; f < Order; ++f)
      close(dot(to_host(m.factor(f)), to_host(monarch_view(shape, dweights.view()).factor(f))), product, magnitude);
  });
  REQUIRE(passed);
}

}  // namespace

TEST_CASE("Monarch multiply and VJP: definition, adjoint, linear in every factor", "[monarch][properties]") {
  check_order<1>();
  check_order<2>();
  check_order<3>();
  check_order<4>();
}

TEST_CASE("Long convolution: causal, linear, and shifts with its input", "[convolution][properties]") {
  const bool passed = rc::check("long convolution", [] {
    Cpu be;
    const Index batch = *rc::gen::inRange<Index>(1, 4), length = *rc::gen::inRange<Index>(1, 200);
    const Index channels = *rc::gen::inRange<Index>(1, 20), shift = *rc::gen::inRange<Index>(0, length);
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    const Extents<3> extents{batch, length, channels};
    Tensor<double, 3, Cpu> u(be, extents), shifted(be, extents), y(be, extents), z(be, extents);
    Tensor<double, 2, Cpu> k(be, {length, channels});
    fill_normal(u.view(), rng);
    fill_normal(k.view(), rng);
    be.for_each(batch * (length - shift), [&](Index i) {
      const Index b = i / (length - shift), t = i % (length - shift);
      for (Index c = 0; c < channels; ++c) shifted.view()(b, t + shift, c) = -2 * u.view()(b, t, c);
    });
    LongConvolution<double, Cpu> plan(be, extents);
    plan.forward(be, u.view(), k.view(), {}, {}, y.view());
    plan.forward(be, shifted.view(), k.view(), {}, {}, z.view());
    const double allowed = tolerance<double>(length, 10.0 * static_cast<double>(length));
    for (Index b = 0; b < batch; ++b)
      for (Index t = 0; t < length; ++t)
        for (Index c = 0; c < channels; ++c) {
          const double expected = t < shift ? 0.0 : -2 * y.view()(b, t - shift, c);
          RC_ASSERT(std::abs(z.view()(b, t, c) - expected) <= allowed);
        }
  });
  REQUIRE(passed);
}
#else
TEST_CASE("Monarch properties", "[monarch][properties]") { M2_SKIP("RapidCheck is not installed"); }
#endif
