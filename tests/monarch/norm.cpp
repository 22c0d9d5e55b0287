#include "m2/monarch/norm.hpp"

#include "m2/monarch.hpp"
#include "tests/monarch/oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// The same matrix with other factors: the rows of factor f times s, the columns of the next one divided by it, another
/// power of two for every entry of the middle vector, so that nothing is rounded.
template <int Order, class T>
void rescale_middle(Monarch<Order, T>& m, int f) {
  const FactorShape a = m.shape().factor(f), b = m.shape().factor(f + 1);
  const auto scale = [](Index middle) { return static_cast<float>(1 << middle % 3) / 2; };
  for (Index o = 0; o < a.outer; ++o)
    for (Index i = 0; i < a.inner; ++i)
      for (Index e = 0; e < a.out; ++e)
        for (Index d = 0; d < a.in; ++d)
          m.factor(f)(o, i, e, d) *= element_cast<T>(scale((o * a.out + e) * a.inner + i));
  for (Index o = 0; o < b.outer; ++o)
    for (Index i = 0; i < b.inner; ++i)
      for (Index e = 0; e < b.out; ++e)
        for (Index d = 0; d < b.in; ++d)
          m.factor(f + 1)(o, i, e, d) *= element_cast<T>(1 / scale((o * b.in + d) * b.inner + i));
}

}  // namespace

TEMPLATE_TEST_CASE("The norm is that of the dense matrix, for every shape", "[monarch]", M2_SOME_ELEMENTS) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  const auto check = []<int Order>(const MonarchShape<Order>& shape) {
    const auto m = normal_monarch<B, T>(shape, 1);
    const double expected = norm_of(oracle_dense(m.view()));
    CHECK(std::abs(m.norm() - expected) <= tolerance<double>(shape.widest() * shape.widest(), expected));
    const double transposed = m.transpose().norm();
    CHECK(std::abs(transposed - expected) <= tolerance<double>(shape.widest() * shape.widest(), expected));
  };
  for_every_shape(check);
  check(MonarchShape<2>::butterfly(2, 12, 3, 4, 2, 6));                                         // rank 3 slices
  check(MonarchShape<2>(std::array{FactorShape{1, 4, 6, 3}, FactorShape{2, 9, 2, 1}}, 11, 3));  // digits that overlap
  check(MonarchShape<3>(std::array{FactorShape{3, 4, 4, 1}, FactorShape{1, 3, 3, 4}, FactorShape{3, 4, 4, 1}}, 0, 10));
}

TEST_CASE("Which shapes have one path between any two features", "[monarch]") {
  CHECK(has_single_paths(MonarchShape<1>(7)));
  CHECK(has_single_paths(MonarchShape<3>::rectangular({2, 3, 4}, {3, 2, 5})));
  CHECK(has_single_paths(transposed(MonarchShape<3>::rectangular({2, 3, 4}, {3, 2, 5}))));
  CHECK(has_single_paths(MonarchShape<2>::butterfly(3, 4, 5, 4, 7, 3)));
  CHECK_FALSE(has_single_paths(MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 6)));
  CHECK_FALSE(has_single_paths(MonarchShape<2>::linear(64, 64, 4)));
}

TEMPLATE_TEST_CASE("Equivalent matrices may differ in factors, orders and padding, not in entries", "[monarch]", float,
                   std::complex<double>, bfloat16) {
  using T = TestType;
  Cpu be;
  for_every_shape([&]<int Order>(const MonarchShape<Order>& shape) {
    const auto m = normal_monarch<Cpu, T>(shape, 2);
    auto other = m.clone();
    for (int f = 0; f + 1 < Order; ++f) rescale_middle(other, f);
    CHECK(m.equivalent(other));
    CHECK(monarch_distance(be, m, other) == 0.0);
    if constexpr (Order > 1) {
      CHECK(m.equivalent(merge_factors<0>(m)));
      CHECK((shape.widest() <= 2 || to_host(m.weights()) != to_host(other.weights())));
    }
    T& weight = other.factor(Order - 1)(0, 0, 0, 0);
    weight = weight + element_cast<T>(4.0F);
    CHECK_FALSE(m.equivalent(other));
    CHECK(monarch_distance(be, m, other) > 0);
  });
  const auto square = normal_monarch<Cpu, T>(MonarchShape<2>(4, 3), 3);
  CHECK_FALSE(square.equivalent(normal_monarch<Cpu, T>(MonarchShape<2>(5, 3), 3)));
  CHECK_FALSE(square.equivalent(normal_monarch<Cpu, T>(MonarchShape<2>(4, 3), 4)));
  CHECK(Monarch<2, T>(MonarchShape<2>(4, 3)).equivalent(Monarch<3, T>(MonarchShape<3>(2, 2, 3))));
}

TEST_CASE("The distance of two matrices is the norm of their difference", "[monarch]") {
  Cpu be;
  const auto a = normal_monarch<Cpu, float>(MonarchShape<2>::rectangular({10, 20}, {4, 6}), 5);
  const auto b = normal_monarch<Cpu, float>(MonarchShape<1>(24), 6) * normal_monarch<Cpu, float>(a.shape(), 7);
  auto difference = oracle_dense(a.view());
  const auto other = oracle_dense(b.view());
  for (std::size_t i = 0; i < other.size(); ++i) difference[i] -= other[i];
  const double expected = norm_of(difference), distance = monarch_distance(be, a, b);
  CHECK(std::abs(distance - expected) <= tolerance<double>(24 * 200, 100 * expected));
  auto near = a.cast<double>();
  near.factor(0)(0, 0, 0, 0) += 1e-12;  // a difference of squares would lose it
  const double seen = monarch_distance(be, a, near);
  CHECK(seen > 0);
  CHECK(seen < 1e-10);
  require_error([&] { (void)monarch_distance(be, a, a.transpose()); }, {"monarch_distance", "24 x 200", "200 x 24"});
}
