// Monarch matrices as values of polynomials at roots of unity, against polynomials as loops.
#include "m2/monarch/polynomial.hpp"

#include <numbers>

#include "tests/monarch/polynomial_oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

using Complex = std::complex<double>;

Complex oracle_root(Index n, Index exponent) {
  const double turn = 2 * std::numbers::pi * static_cast<double>(exponent % n) / static_cast<double>(n);
  return {std::cos(turn), -std::sin(turn)};
}

template <class T, class B>
Tensor<T, 2, B> random_rows(B& be, Index rows, Index width, Rng& rng) {
  Tensor<T, 2, B> result(be, {rows, width});
  fill_normal(result.view(), rng);
  return result;
}

/// f(radices, top_points) for every order, equal, mixed and odd radices, with and without padding.
template <class F>
void for_every_basis(F&& f) {
  f(std::array<Index, 1>{7}, Index{13});
  f(std::array<Index, 2>{4, 4}, Index{0});
  f(std::array<Index, 2>{4, 9}, Index{8});
  f(std::array<Index, 2>{2, 3}, Index{5});
  f(std::array<Index, 3>{2, 4, 3}, Index{4});
  f(std::array<Index, 4>{2, 3, 2, 2}, Index{4});
}

}  // namespace

TEST_CASE("polynomial: the coefficients of q_j are those of the product of its factors", "[monarch][polynomial]") {
  for_every_basis([]<std::size_t P>(const std::array<Index, P>& radices, Index) {
    Rng rng(1);
    const auto basis = random_basis<static_cast<int>(P), double>(radices, rng, Blocks::full);
    for (Index j = 0; j < basis.size(); ++j) {
      const std::vector<double> expected = multiply_factors(basis, j);
      require_close(basis.polynomial(j), expected, tolerance<double>(4, largest(expected)));
      const Complex z(0.3, -0.8);
      Complex value = 0, power = 1;
      for (const double coefficient : expected) value += coefficient * power, power *= z;
      REQUIRE(std::abs(basis.evaluate(j, z) - value) <= tolerance<double>(basis.size(), 10 * largest(expected)));
    }
  });
}

TEST_CASE("polynomial: lower triangular blocks give q_j of minimum degree j", "[monarch][polynomial]") {
  for_every_basis([]<std::size_t P>(const std::array<Index, P>& radices, Index) {
    Rng rng(2);
    const auto basis = random_basis<static_cast<int>(P), double>(radices, rng);
    REQUIRE(basis.lower_triangular());
    REQUIRE_FALSE(random_basis<static_cast<int>(P), double>(radices, rng, Blocks::full).lower_triangular());
    for (Index j = 0; j < basis.size(); ++j)
      for (Index degree = 0; degree < basis.size(); ++degree) {
        bool dominated = true;
        for (int a = 0; a < static_cast<int>(P); ++a) dominated &= basis.digit(degree, a) >= basis.digit(j, a);
        REQUIRE((basis.coefficient(degree, j) != 0) == dominated);
      }
  });
}

TEST_CASE("polynomial: evaluation is q_j at the roots of unity, on either nodes", "[monarch][polynomial]") {
  Cpu be;
  for_every_basis([&]<std::size_t P>(const std::array<Index, P>& radices, Index top_points) {
    Rng rng(3);
    const auto basis = random_basis<static_cast<int>(P), double>(radices, rng, Blocks::full);
    auto points = radices;
    if (top_points != 0) points[0] = top_points;
    const Index rows = element_count(points);
    for (const Nodes nodes : {Nodes::roots_of_unity, Nodes::grid}) {
      const auto m = evaluation(be, basis, top_points, 0, nodes);
      REQUIRE(m.rows() == rows);
      REQUIRE(m.cols() == basis.size());
      const auto dense = m.dense_tensor(be);
      for (Index i = 0; i < rows; ++i) {
        const Index exponent = evaluation_exponent<static_cast<int>(P)>(radices, points[0], i);
        std::array<Complex, P> x;
        Index weight = rows;
        for (std::size_t a = 0; a < P; ++a) {
          weight /= points[a];
          x[a] = oracle_root(points[a], i / weight);  // the grid: digit a by itself
        }
        for (Index j = 0; j < basis.size(); ++j) {
          const Complex expected =
              nodes == Nodes::grid ? basis.evaluate(j, x) : basis.evaluate(j, oracle_root(rows, exponent));
          REQUIRE(std::abs(dense.view()(i, j) - expected) <= tolerance<double>(100, 100));
        }
      }
    }
  });
}

TEST_CASE("polynomial: the monomials give the DFT in digit-reversed order", "[monarch][polynomial]") {
  test::Serial be;
  const PolynomialBasis<3, float> monomials({3, 4, 2});
  const auto dense = evaluation(be, monomials).dense_tensor(be);
  for (Index i = 0; i < 24; ++i)
    for (Index j = 0; j < 24; ++j) {
      const Complex expected = oracle_root(24, evaluation_exponent<3>({3, 4, 2}, 3, i) * j);
      REQUIRE(std::abs(element_cast<Complex>(dense.view()(i, j)) - expected) <= tolerance<float>(10));
    }
}

TEST_CASE("polynomial: interpolation inverts evaluation, padded too", "[monarch][polynomial]") {
  Cpu be;
  for_every_basis([&]<std::size_t P>(const std::array<Index, P>& radices, Index top_points) {
    Rng rng(4);
    const auto basis = random_basis<static_cast<int>(P), double>(radices, rng);
    const auto m = evaluation(be, basis, top_points);
    const auto inverse = interpolation(be, basis.inverse(), top_points);
    const auto u = random_rows<Complex>(be, 3, basis.size(), rng);
    Tensor<Complex, 2, Cpu> values(be, {3, m.rows()}), back(be, u.extents());
    monarch_multiply(be, m.view(), u.view(), values.view());
    monarch_multiply(be, inverse.view(), values.cview(), back.view());
    require_close(to_host(back.view()), to_host(u.view()), tolerance<double>(100, 100));
  });
}

TEST_CASE("polynomial: real coefficients have Hermitian values", "[monarch][polynomial]") {
  Cpu be;
  Rng rng(5);
  const auto basis = random_basis<2, double>({4, 9}, rng);
  const auto m = evaluation(be, basis);
  Tensor<Complex, 2, Cpu> u(be, {1, 36}), values(be, {1, 36});
  for_every(u.view(), [&](Complex& x, Index) { x = rng.normal<double>(); });
  monarch_multiply(be, m.view(), u.cview(), values.view());
  std::vector<Complex> natural(36);
  for (Index i = 0; i < 36; ++i)
    natural[static_cast<std::size_t>(evaluation_exponent<2>({4, 9}, 4, i))] = values.view()(0, i);
  for (std::size_t i = 0; i < 36; ++i)
    REQUIRE(std::abs(natural[(36 - i) % 36] - std::conj(natural[i])) <= tolerance<double>(36, 36));
}

TEST_CASE("polynomial: products modulo Z^N - 1, plain if padded; on the grid modulo every X^n - 1",
          "[monarch][polynomial]") {
  Cpu be;
  for_every_basis([&]<std::size_t P>(const std::array<Index, P>& radices, Index) {
    constexpr int order = static_cast<int>(P);
    Rng rng(6);
    const PolynomialBasis<order, double> monomials(radices);
    const Index n = monomials.size();
    const auto k = random_rows<Complex>(be, 2, n, rng), u = random_rows<Complex>(be, 2, n, rng);
    for (const Index top_points : {radices[0], 2 * radices[0]})
      for (const Nodes nodes : {Nodes::roots_of_unity, Nodes::grid}) {
        const auto m = evaluation(be, monomials, top_points, 0, nodes);
        auto padded = radices;
        padded[0] = top_points;
        const PolynomialBasis<order, double> all(padded);
        const auto inverse = interpolation(be, all, top_points, 0, nodes);
        Tensor<Complex, 2, Cpu> y(be, {2, all.size()});
        polynomial_product(be, m, k.view(), m, u.view(), inverse, y.view());
        for (Index row = 0; row < 2; ++row) {
          std::vector<Complex> expected(static_cast<std::size_t>(all.size()));
          for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < n; ++j) {
              Index degree = (i + j) % all.size();
              if (nodes == Nodes::grid) {  // digits add without carries
                degree = 0;
                for (int a = 0; a < order; ++a)
                  degree += (all.digit(i, a) + all.digit(j, a)) % all.radix(a) * all.weight(a);
              }
              expected[static_cast<std::size_t>(degree)] += k.view()(row, i) * u.view()(row, j);
            }
          require_close(to_host(y.view().select(0, row)), as_doubles(expected), tolerance<double>(n * n, 10));
        }
      }
  });
}

TEST_CASE("polynomial: errors name what does not fit", "[monarch][polynomial]") {
  Cpu be;
  using Basis = PolynomialBasis<2, double>;
  require_error([] { Basis({0, 4}); }, {"an extent is 0"});
  require_error([] { Basis({Index{1} << 40, Index{1} << 40}); }, {"does not fit 64 bits"});
  Basis basis({2, 3});
  basis.coefficient(1, 0, 2, 2) = 0;
  require_error([&] { static_cast<void>(basis.inverse()); }, {"block 0 of digit 1", "diagonal element 2"});
  basis.coefficient(1, 0, 0, 1) = 1;
  require_error([&] { static_cast<void>(basis.inverse()); }, {"lower triangular"});
  require_error([&] { evaluation(be, basis, -1); }, {"evaluation", "-1 points"});
  for (const Index huge : {Index{1} << 61, Index{1} << 62}) {
    require_error([&] { evaluation(be, basis, huge); }, {"does not fit 64 bits"});
    require_error([&] { interpolation(be, basis, huge); }, {"does not fit 64 bits"});
  }
  require_error([] { static_cast<void>(evaluation_exponent<2>({3, 4}, 0, 0)); }, {"an extent is 0"});
  require_error([] { static_cast<void>(evaluation_exponent<2>({3, 4}, 3, 12)); }, {"no row 12 of 12"});
  require_error([&] { evaluation(be, basis, 4, 7); }, {"12 x 7"});
  const auto m = evaluation(be, basis, 4), small = evaluation(be, basis);
  const auto inverse = interpolation(be, Basis({4, 3}));
  Tensor<Complex, 2, Cpu> k(be, {2, 6}), u(be, {3, 6}), y(be, {3, 12});
  require_error([&] { polynomial_product(be, small, u.view(), m, u.view(), inverse, y.view()); },
                {"6, 12 and 12 points"});
  require_error([&] { polynomial_product(be, m, k.view(), m, u.view(), inverse, y.view()); },
                {"k is (2, 6)", "(3, 6)"});
}
