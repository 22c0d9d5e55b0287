#include "m2/monarch/hierarchical_causal.hpp"

#include "tests/sizes.hpp"
#include "tests/support.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// T by its definition, entry by entry: the level of a pair (i, j) is the most significant digit in which they differ.
template <int Order, class T, class B>
class Definition {
 public:
  Definition(const HierarchicalCausalShape<Order>& shape, View<T, 1, B> weights)
      : shape_(shape), weights_(to_host(weights)) {}

  double operator()(Index i, Index j) const {
    const auto to = digits(i), from = digits(j);
    std::size_t a = 0;
    while (a + 1 < Order && to[a] == from[a]) ++a;
    if (to[a] < from[a]) return 0;
    const auto l = std::size_t{Order} - 1 - a;
    const auto& level = shape_.level(static_cast<int>(l));
    // Digits above a (the same on both sides), and what each dense factor has transformed already: the ones below it.
    const Index group = number(to, 0, a);
    double value = 1;
    for (std::size_t f = 0; f < l; ++f) {
      const std::size_t b = std::size_t{Order} - 1 - f;
      const Index outer = from[a] * size(a + 1, b) + number(from, a + 1, b), inner = number(to, b + 1, Order);
      const Index n = radix(b);
      const Index block = (group * (level.radix - 1) * size(a + 1, b) + outer) * size(b + 1, Order) + inner;
      value *= at(level.factors[f] + (block * n + to[b]) * n + from[b]);
    }
    const Index row = to[a] * (l == 0 ? to[a] + 1 : to[a] - 1) / 2;
    return value *
           at(level.triangles + (group * level.weight + number(to, a + 1, Order)) * level.triangle + row + from[a]);
  }

  std::vector<double> dense(Index n) const {
    std::vector<double> result;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) result.push_back((*this)(i, j));
    return result;
  }

 private:
  using Digits = typename HierarchicalCausalShape<Order>::Radices;

  Index radix(std::size_t d) const { return shape_.radices()[d]; }
  double at(Index i) const { return weights_[static_cast<std::size_t>(i)]; }
  Digits digits(Index i) const {
    Digits result{};
    for (std::size_t d = Order; d-- > 0; i /= radix(d)) result[d] = i % radix(d);
    return result;
  }
  Index size(std::size_t begin, std::size_t end) const {
    Index result = 1;
    for (std::size_t d = begin; d < end; ++d) result *= radix(d);
    return result;
  }
  Index number(const Digits& digits, std::size_t begin, std::size_t end) const {
    Index result = 0;
    for (std::size_t d = begin; d < end; ++d) result = result * radix(d) + digits[d];
    return result;
  }

  HierarchicalCausalShape<Order> shape_;
  std::vector<double> weights_;
};

/// Shapes of every order, mixed radices, lengths that fill them and lengths that do not; one triangle of several row
/// blocks.
template <class F>
void for_every_hierarchy(F&& f) {
  f(HierarchicalCausalShape<1>({5}));
  f(HierarchicalCausalShape<1>({37}));
  f(HierarchicalCausalShape<2>({4, 4}));
  f(HierarchicalCausalShape<2>({4, 9}, 31));
  f(HierarchicalCausalShape<2>({35, 2}, 69));
  f(HierarchicalCausalShape<2>({3, 1}));
  f(HierarchicalCausalShape<2>({9, 5}, 4));
  f(HierarchicalCausalShape<3>({3, 3, 3}));
  f(HierarchicalCausalShape<3>({4, 2, 5}, 33));
  f(HierarchicalCausalShape<3>({2, 19, 1}, 27));
  f(HierarchicalCausalShape<4>({2, 2, 2, 2}));
  f(HierarchicalCausalShape<4>({2, 3, 2, 3}, 35));
}

template <class T, class B, int Order>
Tensor<T, 1, B> random_weights(B& be, const HierarchicalCausalShape<Order>& shape, Rng& rng) {
  Tensor<T, 1, B> weights(be, {shape.parameter_count()});
  fill_normal(weights.view(), rng);
  return weights;
}

/// y by the dense matrix, (batch, length, channels) with weights of any strides.
template <class T, class B>
std::vector<double> dense_product(const std::vector<double>& dense, Index stride, View<T, 3, B> u) {
  std::vector<double> result;
  for (Index s = 0; s < u.extent(0); ++s)
    for (Index i = 0; i < u.extent(1); ++i)
      for (Index c = 0; c < u.extent(2); ++c) {
        double sum = 0;
        for (Index j = 0; j <= i; ++j)
          sum += dense[static_cast<std::size_t>(i * stride + j)] * static_cast<double>(u(s, j, c));
        result.push_back(sum);
      }
  return result;
}

template <class B, class T, int Order>
void check_forward(const HierarchicalCausalShape<Order>& shape, Index length, Index gap) {
  B be;
  Rng rng(static_cast<std::uint64_t>(length));
  const auto weights = random_weights<T, B>(be, shape, rng);
  const Extents<3> extents{2, length, 5};
  Strided<T, 3, B> u(be, extents, gap), y(be, extents, gap);
  fill_normal(u.view(), rng);
  fill_normal(y.view(), rng);  // what was in y must not matter
  HierarchicalCausal<Order, T, B> plan(be, shape, 5);
  plan.forward(be, u.view(), weights.view(), y.view());
  const auto expected = dense_product<T, B>(Definition<Order, const T, B>(shape, weights.view()).dense(shape.length()),
                                            shape.length(), u.view());
  require_close(to_host(y.view()), expected, tolerance<T>(shape.length() * Order, 4 * (1 + largest(expected))));
}

}  // namespace

TEMPLATE_TEST_CASE("HierarchicalCausal equals its definition at every length", "[hierarchical]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  for_every_hierarchy([](const auto& shape) {
    for (Index length = 1; length <= shape.length(); length += shape.length() < 20 ? 1 : 7)
      check_forward<B, T>(shape, length, 1);
    check_forward<B, T>(shape, shape.length(), 2);
  });
}

TEST_CASE("HierarchicalCausal has every pair j <= i, once, and no other", "[hierarchical]") {
  Cpu be;
  for_every_hierarchy([&]<int Order>(const HierarchicalCausalShape<Order>& shape) {
    Rng rng(3);
    const auto weights = random_weights<double, Cpu>(be, shape, rng);
    const auto dense = HierarchicalCausal<Order, double, Cpu>::to_dense(be, shape, weights.view());
    const Index n = shape.length();
    require_close(to_host(dense.view()), Definition<Order, const double, Cpu>(shape, weights.view()).dense(n),
                  tolerance<double>(n * Order, 100));
    bool complete = true;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) complete = complete && (dense.view()(i, j) != 0) == (j <= i);
    REQUIRE(complete);
  });
}

TEST_CASE("HierarchicalCausal counts its weights, each of which is used once a vector", "[hierarchical]") {
  // A unit vector of the longest sequence has a gradient for every weight: nothing is stored in vain.
  Cpu be;
  const auto check = [&]<int Order>(const HierarchicalCausalShape<Order>& shape) {
    Rng rng(4);
    const Index n = shape.length();
    const auto weights = random_weights<double, Cpu>(be, shape, rng);
    Tensor<double, 1, Cpu> gradient(be, {shape.parameter_count()});
    Tensor<double, 2, Cpu> u(be, {1, n}), dy(be, {1, n}), du(be, {1, n});
    fill_normal(u.view(), rng);
    fill_normal(dy.view(), rng);
    HierarchicalCausal<Order, double, Cpu> plan(be, shape, 1);
    plan.backward(be, u.view(), weights.view(), dy.view(), du.view(), gradient.view());
    for (Index i = 0; i < gradient.size(); ++i) REQUIRE(gradient.view()(i) != 0);
    // math.md D7: at most sum_l N (n_0 + .. + n_l), the triangles not halved.
    Index bound = 0, sum = 0;
    for (std::size_t l = 0; l < Order; ++l) {
      sum += shape.radices()[std::size_t{Order} - 1 - l];
      bound += n * sum;
    }
    REQUIRE(shape.parameter_count() <= bound);
    REQUIRE(shape.multiply_flops(3) == 6.0 * static_cast<double>(shape.parameter_count()));
  };
  check(HierarchicalCausalShape<1>({16}));
  check(HierarchicalCausalShape<2>({4, 9}));
  check(HierarchicalCausalShape<3>({3, 3, 3}));
  check(HierarchicalCausalShape<4>({2, 2, 3, 2}));
  REQUIRE(HierarchicalCausalShape<1>({16}).parameter_count() == 16 * 17 / 2);
  REQUIRE(HierarchicalCausalShape<2>({4, 9}).parameter_count() == 4 * 45 + 3 * 81 + 9 * 6);
  // Sub-quadratic: at N = 4096, a fiftieth of the lower triangle for order 3.
  REQUIRE(HierarchicalCausalShape<3>({16, 16, 16}).parameter_count() * 20 < 4096 * 4097 / 2);
  REQUIRE(HierarchicalCausalShape<3>::of_length(1000).length() == 1000);
  REQUIRE(HierarchicalCausalShape<3>::of_length(1000).size() < 1100);
}

namespace {

/// Which elements of (1, length, 3) activations differ in any bit; NaN differs from all.
template <class T, class B>
std::vector<bool> changed(View<T, 3, B> before, View<T, 3, B> now) {
  std::vector<bool> result;
  for (Index t = 0; t < now.extent(1); ++t)
    for (Index c = 0; c < 3; ++c) result.push_back(!(before(0, t, c) == now(0, t, c)));
  return result;
}

/// What a change of channel 1 at a position reaches: the same channel, from there on.
std::vector<bool> reached(Index length, Index position) {
  std::vector<bool> result;
  for (Index t = 0; t < length; ++t)
    for (Index c = 0; c < 3; ++c) result.push_back(t >= position && c == 1);
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("the future of HierarchicalCausal does not reach its past by one bit", "[hierarchical]",
                   M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  for_every_hierarchy([&]<int Order>(const HierarchicalCausalShape<Order>& shape) {
    Rng rng(5);
    const Extents<3> extents{1, shape.length(), 3};
    const auto weights = random_weights<T, B>(be, shape, rng);
    Tensor<T, 3, B> u(be, extents), y(be, extents), z(be, extents);
    fill_normal(u.view(), rng);
    HierarchicalCausal<Order, T, B> plan(be, shape, 3);
    plan.forward(be, u.view(), weights.view(), y.view());
    constexpr T infinity = std::numeric_limits<T>::infinity();
    for (Index t = 0; t < shape.length(); ++t) {
      const T saved = u.view()(0, t, 1);
      for (const T value : {T{-7}, infinity, std::numeric_limits<T>::quiet_NaN()}) {
        u.view()(0, t, 1) = value;
        plan.forward(be, u.view(), weights.view(), z.view());
        INFO("position " << t << " of " << shape.length() << " is " << value);
        REQUIRE(changed(y.view(), z.view()) == reached(shape.length(), t));
      }
      u.view()(0, t, 1) = saved;
    }
  });
}

TEST_CASE("HierarchicalCausal: gradients by differences, those of weights accumulate", "[hierarchical]") {
  Cpu be;
  const auto check = [&]<int Order>(const HierarchicalCausalShape<Order>& shape, Index length, Index gap) {
    Rng rng(6);
    auto weights = random_weights<double, Cpu>(be, shape, rng);
    Tensor<double, 1, Cpu> dweights(be, weights.extents());
    const Extents<3> extents{2, length, 3};
    Strided<double, 3, Cpu> u(be, extents, gap), y(be, extents, gap), dy(be, extents, gap), du(be, extents, gap);
    fill_normal(u.view(), rng);
    fill_normal(dy.view(), rng);
    fill_normal(du.view(), rng);
    HierarchicalCausal<Order, double, Cpu> plan(be, shape, 3);
    const auto loss = [&] {
      plan.forward(be, u.view(), weights.view(), y.view());
      return dot(to_host(y.view()), to_host(dy.view()));
    };
    plan.backward(be, u.view(), weights.view(), dy.view(), du.view(), dweights.view());
    require_gradient(u.view(), to_host(du.view()), loss);
    const auto once = to_host(dweights.view());
    require_gradient(weights.view(), once, loss);
    plan.backward(be, u.view(), weights.view(), dy.view(), du.view(), dweights.view());
    std::vector<double> twice = once;
    for (double& value : twice) value *= 2;
    require_close(to_host(dweights.view()), twice, tolerance<double>(4 * length, 1 + largest(twice)));
  };
  check(HierarchicalCausalShape<1>({18}), 18, 1);
  check(HierarchicalCausalShape<2>({3, 4}), 12, 2);
  check(HierarchicalCausalShape<2>({18, 2}, 36), 35, 1);
  check(HierarchicalCausalShape<3>({2, 3, 2}, 11), 11, 1);
  check(HierarchicalCausalShape<3>({2, 3, 2}), 7, 1);
  check(HierarchicalCausalShape<4>({2, 2, 2, 2}), 15, 2);
}

TEMPLATE_TEST_CASE("HierarchicalCausal on plain vectors, either side contiguous", "[hierarchical]", Cpu, Serial) {
  TestType be;
  Rng rng(7);
  const HierarchicalCausalShape<2> shape({5, 6}, 28);
  const auto weights = random_weights<double, TestType>(be, shape, rng);
  const auto dense = Definition<2, const double, TestType>(shape, weights.view()).dense(28);
  HierarchicalCausal<2, double, TestType> plan(be, shape, 9);
  Tensor<double, 2, TestType> rows(be, {9, 28}), dy(be, {9, 28}), y(be, {9, 28}), du(be, {9, 28});
  Tensor<double, 2, TestType> columns(be, {28, 9}), y_columns(be, {28, 9}), du_columns(be, {28, 9});
  Tensor<double, 1, TestType> dweights(be, weights.extents()), dweights_columns(be, weights.extents());
  fill_normal(rows.view(), rng);
  fill_normal(dy.view(), rng);
  copy(be, rows.cview(), columns.view().transpose(0, 1));
  plan.forward(be, rows.view(), weights.view(), y.view());
  plan.forward(be, columns.view().transpose(0, 1), weights.view(), y_columns.view().transpose(0, 1));
  plan.backward(be, rows.view(), weights.view(), dy.view(), du.view(), dweights.view());
  plan.backward(be, columns.view().transpose(0, 1), weights.view(), dy.view(), du_columns.view().transpose(0, 1),
                dweights_columns.view());
  const View<const double, 3, TestType> u(rows.data(), {9, 28, 1});
  const auto expected = dense_product<const double, TestType>(dense, 28, u);
  const double allowed = tolerance<double>(28, 1 + largest(expected));
  require_close(to_host(y.view()), expected, allowed);
  require_close(to_host(y_columns.view().transpose(0, 1)), expected, allowed);
  require_close(to_host(du.view()), to_host(du_columns.view().transpose(0, 1)), allowed);
  require_close(to_host(dweights.view()), to_host(dweights_columns.view()), 4 * allowed);
}

TEST_CASE("HierarchicalCausal starts as the identity", "[hierarchical]") {
  Cpu be;
  for_every_hierarchy([&]<int Order>(const HierarchicalCausalShape<Order>& shape) {
    Rng rng(8);
    std::vector<float> weights(static_cast<std::size_t>(shape.parameter_count()), 7.0F);
    shape.write_identity(std::span<float>(weights), rng);
    const auto dense =
        HierarchicalCausal<Order, float, Cpu>::to_dense(be, shape, {weights.data(), {std::ssize(weights)}});
    std::vector<double> identity;
    for (Index i = 0; i < dense.size(); ++i) identity.push_back(i % (shape.length() + 1) == 0 ? 1 : 0);
    REQUIRE(to_host(dense.view()) == identity);
  });
}

TEST_CASE("HierarchicalCausal names what does not fit", "[hierarchical]") {
  Cpu be;
  const HierarchicalCausalShape<2> shape({4, 5}, 18);
  require_error(
      [] {
        HierarchicalCausalShape<2>({4, 5}, 21);
      },
      {"hierarchical_causal", "length is 21", "20 positions"});
  require_error([] { HierarchicalCausalShape<2>({4, 5}, -1); }, {"hierarchical_causal", "length is -1"});
  require_error([] { HierarchicalCausalShape<2>({4, 0}); }, {"extent is 0"});
  require_error([] { HierarchicalCausalShape<1>({Index{1} << 32}); }, {"hierarchical_causal", "does not fit 64 bits"});
  require_error([&] { HierarchicalCausal<2, float, Cpu>(be, shape, -1); }, {"hierarchical_causal: -1 channels"});
  HierarchicalCausal<2, float, Cpu> plan(be, shape, 3);
  Tensor<float, 1, Cpu> weights(be, {shape.parameter_count()}), few(be, {7});
  Tensor<float, 3, Cpu> u(be, {2, 18, 3}), y(be, {2, 18, 3}), longer(be, {2, 19, 3}), wider(be, {2, 18, 4});
  require_error([&] { plan.forward(be, longer.view(), weights.view(), longer.view()); },
                {"hierarchical_causal", "(2, 19, 3)", "18"});
  require_error([&] { plan.forward(be, wider.view(), weights.view(), wider.view()); }, {"(2, 18, 4)", "3)"});
  require_error([&] { plan.forward(be, u.view(), weights.view(), wider.view()); }, {"y is (2, 18, 4)"});
  require_error([&] { plan.forward(be, u.view(), few.view(), y.view()); }, {"7 weights"});
  require_error([&] { plan.backward(be, u.view(), weights.view(), wider.view(), y.view(), weights.view()); },
                {"hierarchical_causal_vjp", "dy is (2, 18, 4)"});
  require_error([&] { plan.backward(be, u.view(), weights.view(), u.view(), y.view(), few.view()); },
                {"hierarchical_causal_vjp", "gradient is (7)"});
  std::vector<float> start(3);
  Rng rng(1);
  require_error([&] { shape.write_identity(std::span<float>(start), rng); }, {"3 weights"});
  Tensor<float, 3, Cpu> none(be, {0, 18, 3});
  plan.forward(be, none.view(), weights.view(), none.view());
}

#ifdef M2_HAS_RAPIDCHECK
namespace {

template <int Order>
void check_any_hierarchy() {
  const bool passed = rc::check("order " + std::to_string(Order), [] {
    Cpu be;
    typename HierarchicalCausalShape<Order>::Radices radices{};
    Index size = 1;
    for (Index& radix : radices) size *= radix = *rc::gen::inRange<Index>(1, Order <= 2 ? 20 : 5);
    const HierarchicalCausalShape<Order> shape(radices, *rc::gen::inRange<Index>(1, size + 1));
    const Index length = *rc::gen::inRange<Index>(1, shape.length() + 1), channels = *rc::gen::inRange<Index>(1, 20);
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    const auto weights = random_weights<double, Cpu>(be, shape, rng);
    Tensor<double, 1, Cpu> dweights(be, weights.extents());
    const Extents<3> extents{*rc::gen::inRange<Index>(1, 3), length, channels};
    Tensor<double, 3, Cpu> u(be, extents), y(be, extents), dy(be, extents), du(be, extents);
    fill_normal(u.view(), rng);
    fill_normal(dy.view(), rng);
    HierarchicalCausal<Order, double, Cpu> plan(be, shape, channels);
    plan.forward(be, u.view(), weights.view(), y.view());
    plan.backward(be, u.view(), weights.view(), dy.view(), du.view(), dweights.view());
    const auto dense = Definition<Order, const double, Cpu>(shape, weights.view()).dense(shape.length());
    const auto expected = dense_product<double, Cpu>(dense, shape.length(), u.view()), actual = to_host(y.view());
    const double scale = 1 + largest(expected);
    RC_ASSERT(LargestDifference(actual, expected).worst <= tolerance<double>(length * Order, 100 * scale));
    // The adjoint: <T u, dy> = <u, T^T dy>. Every level is linear in its triangles: the sum over them is <T u, dy>,
    // too.
    const double product = dot(actual, to_host(dy.view())), adjoint = dot(to_host(u.view()), to_host(du.view()));
    const double allowed = tolerance<double>(10000, 100 * scale * static_cast<double>(y.size()));
    RC_ASSERT(std::abs(adjoint - product) <= allowed);
    double linear = 0;
    for (int l = 0; l < Order; ++l) {
      const auto& level = shape.level(l);
      for (Index i = level.triangles; i < level.triangles + level.groups * level.weight * level.triangle; ++i)
        linear += weights.view()(i) * dweights.view()(i);
    }
    RC_ASSERT(std::abs(linear - product) <= allowed);
  });
  REQUIRE(passed);
}

}  // namespace

TEST_CASE("HierarchicalCausal: definition, adjoint, linear in its triangles", "[hierarchical][properties]") {
  check_any_hierarchy<1>();
  check_any_hierarchy<2>();
  check_any_hierarchy<3>();
  check_any_hierarchy<4>();
}

TEST_CASE("hierarchies of any sizes are exact or an error", "[hierarchical][properties]") {
  const bool passed = rc::check("order 3", [] {
    const std::array<Index, 3> radices{any_size(), any_size(), any_size()};
    const Index length = any_size();
    const ExactSize size =
        ExactSize(std::max<Index>(radices[0], 1)) * std::max<Index>(radices[1], 1) * std::max<Index>(radices[2], 1);
    try {
      const HierarchicalCausalShape<3> shape(radices, length);
      RC_ASSERT(radices[0] >= 1 && radices[1] >= 1 && radices[2] >= 1);
      RC_ASSERT(ExactSize(shape.length()) <= size);
      const auto [r, s, t] = shape.radices();
      const ExactSize n = ExactSize(r) * s * t, twice = ExactSize(r) * s * t * (t + 1) +  // twice each level's count
                                                        n * (s - 1) + ExactSize(r) * (s - 1) * t * t * 2 + n * (r - 1) +
                                                        ExactSize(r - 1) * s * t * (s + t) * 2;
      if (twice.fits()) RC_ASSERT(twice.is(2 * shape.parameter_count()));
    } catch (const Error&) {
      const bool small = size <= 2000000 && length >= 0 && length <= 1;
      const bool positive = radices[0] >= 1 && radices[1] >= 1 && radices[2] >= 1;
      RC_ASSERT(!(small && positive));
    }
  });
  REQUIRE(passed);
}
#else
TEST_CASE("HierarchicalCausal properties", "[hierarchical][properties]") { M2_SKIP("RapidCheck is not installed"); }
#endif
