// The identities of Monarch algebra on random orders, radices and elements.
#include "tests/catch.hpp"

#ifdef M2_HAS_RAPIDCHECK
#include <rapidcheck.h>

#include "m2/monarch.hpp"
#include "tests/monarch/oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

template <int Order>
typename MonarchShape<Order>::Radices any_radices() {
  typename MonarchShape<Order>::Radices radices{};
  for (Index& radix : radices) radix = *rc::gen::inRange<Index>(1, 6);
  return radices;
}

template <int Order, class T>
Monarch<Order, T> any_monarch(const MonarchShape<Order>& shape) {
  return normal_monarch<Cpu, T>(shape, *rc::gen::arbitrary<std::uint64_t>());
}

/// A rectangular matrix; sometimes its last inputs and outputs are padding.
template <int Order, class T>
Monarch<Order, T> any_rectangular() {
  const auto shape = MonarchShape<Order>::rectangular(any_radices<Order>(), any_radices<Order>());
  const auto cut = [](Index padded) { return *rc::gen::inRange<Index>(1, padded + 1); };
  const bool padded = *rc::gen::arbitrary<bool>();
  return any_monarch<Order, T>(
      padded ? MonarchShape<Order>(shape.factors(), cut(shape.in_features()), cut(shape.out_features())) : shape);
}

template <class Wide>
void close(const std::vector<Wide>& a, const std::vector<Wide>& b, double magnitude) {
  RC_ASSERT(a.size() == b.size());
  const auto [worst, where] = LargestDifference(as_doubles(a), as_doubles(b));
  (void)where;
  RC_ASSERT(worst <= tolerance<Wide>(1000, 1 + magnitude));
}

/// <x, y> = sum of x conj(y).
template <class T>
T inner_product(const std::vector<T>& x, const std::vector<T>& y) {
  T sum(0);
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * conjugate(y[i]);
  return sum;
}

template <int Order, class T>
void check_any() {
  const auto m = any_rectangular<Order, T>();
  const auto dense = oracle_dense(m.view());
  const double norm = norm_of(dense);
  RC_ASSERT(std::abs(m.norm() - norm) <= tolerance<T>(1000, 1 + norm));
  RC_ASSERT(to_host(m.transpose().transpose().weights()) == to_host(m.weights()));

  // <M x, y> = <x, M^H y>
  Rng rng(*rc::gen::arbitrary<std::uint64_t>());
  Cpu be;
  Tensor<T, 2, Cpu> x(be, {1, m.cols()}), y(be, {1, m.rows()}), mx(be, {1, m.rows()}), my(be, {1, m.cols()});
  fill_normal(x.view(), rng);
  fill_normal(y.view(), rng);
  m.multiply(be, x.view(), mx.view());
  m.adjoint().multiply(be, y.view(), my.view());
  const T left = inner_product(to_wide(mx.view()), to_wide(y.view()));
  const T right = inner_product(to_wide(x.view()), to_wide(my.view()));
  const double size = norm_of(to_wide(x.view())) * norm_of(to_wide(y.view())) * norm;
  RC_ASSERT(std::abs(left - right) <= tolerance<T>(1000, 1 + size));

  // (A B)^T = B^T A^T; B has what A takes as its padded outputs, cut to what A takes.
  auto inner = m.shape().padded_in();
  const MonarchShape<1> other({FactorShape{1, *rc::gen::inRange<Index>(1, 9), inner, 1}}, 0, m.cols());
  const auto b = any_monarch<1, T>(other);
  const auto product = m * b;
  close(oracle_dense(product.view()), dense_product(dense, oracle_dense(b.view()), static_cast<std::size_t>(m.cols())),
        100 * norm_of(dense));
  const auto reversed = b.transpose() * m.transpose();
  RC_ASSERT(product.transpose().shape() == reversed.shape());
  RC_ASSERT(product.transpose().equivalent(reversed));
  RC_ASSERT(product.equivalent(lazy_product(m.clone(), b.clone()), 1e3 * epsilon_of<T>()));

  // Scaled rows of a factor and columns of the next one: the same matrix. One other weight: another one.
  if constexpr (Order > 1) {
    RC_ASSERT(merge_factors<Order - 2>(m).equivalent(m, 1e3 * epsilon_of<T>()));
    auto scaled = m.clone();
    const T by = T(*rc::gen::inRange<int>(1, 100));
    const int f = *rc::gen::inRange<int>(0, Order - 1);
    for (Index i = 0; i < scaled.factor(f).size(); ++i) scaled.factor(f).data()[i] *= by;
    for (Index i = 0; i < scaled.factor(f + 1).size(); ++i) scaled.factor(f + 1).data()[i] /= by;
    RC_ASSERT(m.equivalent(scaled));
    if (norm > 0) {
      for (Index i = 0; i < scaled.factor(f).size(); ++i) scaled.factor(f).data()[i] *= T(1.001);
      RC_ASSERT(!m.equivalent(scaled));
    }
  }
}

template <int Order, class T>
void check_square() {
  auto shape = MonarchShape<Order>::square(any_radices<Order>());
  if (*rc::gen::arbitrary<bool>()) shape = transposed(shape);
  const auto m = any_monarch<Order, T>(shape);
  const auto inverse = m.inverse();
  const double condition = m.condition_bound();
  RC_PRE(condition < 1e8);
  Cpu be;
  Rng rng(*rc::gen::arbitrary<std::uint64_t>());
  Tensor<T, 2, Cpu> x(be, {2, m.cols()}), mx(be, {2, m.cols()}), back(be, {2, m.cols()});
  fill_normal(x.view(), rng);
  m.multiply(be, x.view(), mx.view());
  inverse.multiply(be, mx.view(), back.view());
  close(to_wide(back.view()), to_wide(x.view()), 10 * condition);
  m.solve(be, mx.view(), back.view());
  close(to_wide(back.view()), to_wide(x.view()), 10 * condition);
  RC_ASSERT(inverse.inverse().equivalent(m, tolerance<T>(m.cols(), 10 * condition)));
  RC_ASSERT(m.transpose().inverse().equivalent(inverse.transpose(), tolerance<T>(m.cols(), 10 * condition)));
  // det(M^-1) det(M) = 1 = det(M^-1 M), by logarithms.
  const auto a = m.log_determinant(), b = inverse.log_determinant(), both = (inverse * m).log_determinant();
  const double allowed = tolerance<T>(1000, condition * static_cast<double>(m.cols()));
  RC_ASSERT(std::abs(a.log_abs + b.log_abs) <= allowed);
  RC_ASSERT(std::abs(a.sign * b.sign - T(1)) <= allowed);
  RC_ASSERT(std::abs(both.log_abs) <= allowed);
  RC_ASSERT(std::abs(both.sign - T(1)) <= allowed);
  const auto transposed_determinant = m.transpose().log_determinant();
  RC_ASSERT(std::abs(transposed_determinant.log_abs - a.log_abs) <= allowed);
  RC_ASSERT(std::abs(transposed_determinant.sign - a.sign) <= allowed);
}

}  // namespace

TEST_CASE("Norm, adjoint, products and equivalence of random Monarch matrices", "[monarch][properties]") {
  REQUIRE(rc::check("order 1", check_any<1, double>));
  REQUIRE(rc::check("order 2", check_any<2, double>));
  REQUIRE(rc::check("order 3", check_any<3, double>));
  REQUIRE(rc::check("order 2, complex", check_any<2, std::complex<double>>));
}

TEST_CASE("Inverse, solve and determinant of random Monarch matrices", "[monarch][properties]") {
  REQUIRE(rc::check("order 1", check_square<1, double>));
  REQUIRE(rc::check("order 2", check_square<2, double>));
  REQUIRE(rc::check("order 3", check_square<3, double>));
  REQUIRE(rc::check("order 2, complex", check_square<2, std::complex<double>>));
}
#endif
