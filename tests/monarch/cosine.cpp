#include "m2/monarch/cosine.hpp"

#include "tests/monarch/oracle.hpp"
#include "tests/rapidcheck.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// cos(pi k (2 j + 1) / (2 n)) by the definition.
double cosine(Index n, Index k, Index j) {
  const Index turn = k * (2 * j + 1) % (4 * n);
  return static_cast<double>(std::cos(std::numbers::pi_v<long double> * static_cast<long double>(turn) /
                                      (2.0L * static_cast<long double>(n))));
}

/// The matrix of the definition.
template <class W>
DenseMatrix<W> dct_oracle(Index n, bool third, bool ortho) {
  DenseMatrix<W> dense(n, n);
  const double size = static_cast<double>(n);
  for (Index row = 0; row < n; ++row)
    for (Index column = 0; column < n; ++column) {
      const Index k = third ? column : row, j = third ? row : column;
      const double scale = ortho ? std::sqrt((k == 0 ? 1 : 2) / size) : third && k == 0 ? 1 : 2;
      dense(row, column) = scale * cosine(n, k, j);
    }
  return dense;
}

}  // namespace

TEMPLATE_TEST_CASE("dct2 and dct3: the definition, for any radices and layout", "[monarch][cosine]", (On<Cpu, float>),
                   (On<Serial, std::complex<double>>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  for (const Normalization normalization : {Normalization::none, Normalization::ortho})
    for (const bool third : {false, true})
      for (const std::array<Index, 2>& radices :
           {std::array<Index, 2>{1, 1}, {1, 2}, {3, 1}, {2, 3}, {5, 3}, {4, 4}, {8, 3}}) {
        const Index n = radices[0] * radices[1];
        const auto a = third ? dct3<2, T>(be, radices, normalization) : dct2<2, T>(be, radices, normalization);
        const auto expected = dct_oracle<WideOf<T>>(n, third, normalization == Normalization::ortho);
        INFO("radices " << detail::concat({radices}) << ", third " << third);
        const double allowed = tolerance<T>(n, 2);
        require_dense(be, a, expected, allowed);  // an odd batch, and an even one
        Strided<T, 2, B> identity(be, {n, n}, 2), dense(be, {n, n}, 2);
        for (Index i = 0; i < n; ++i) identity.view()(i, i) = T(1);
        a.multiply(be, identity.view(), dense.view().transpose(0, 1));
        require_close(to_host(dense.view()), as_doubles(expected.values), allowed);
      }
}

TEST_CASE("cosine transform: one and three factors, transposes and inverses", "[monarch][cosine]") {
  Cpu be;
  const auto check = [&](const auto& a, bool third, bool ortho) {
    const Index n = a.rows();
    const auto dense = dct_oracle<double>(n, third, ortho);
    const double allowed = tolerance<double>(n, 2);
    require_dense(be, a, dense, allowed);
    require_dense(be, a.transpose(), dense.transpose(), allowed);
    Tensor<double, 2, Cpu> product(be, {n, n});
    a.inverse().multiply(be, a.dense_tensor(be).view().transpose(0, 1), product.view());
    require_close(to_host(product.view()), DenseMatrix<double>::identity(n).values, allowed);
  };
  for (const bool ortho : {false, true}) {
    const Normalization normalization = ortho ? Normalization::ortho : Normalization::none;
    check(dct2<1, double>(be, 7, normalization), false, ortho);
    check(dct2<3, double>(be, {2, 3, 4}, normalization), false, ortho);
    check(dct3<1, double>(be, 7, normalization), true, ortho);
    check(dct3<3, double>(be, {2, 3, 4}, normalization), true, ortho);
  }
}

TEST_CASE("cosine transform: errors say what does not fit", "[monarch][cosine]") {
  Cpu be;
  const auto a = dct2<2, float>(be, {2, 3});
  Tensor<float, 2, Cpu> x(be, {2, 6}), y(be, {2, 5});
  require_error([&] { a.multiply(be, x.view(), y.view()); }, {"cosine transform", "6 x 6", "(2, 5)"});
  require_error(
      [&] {
        (CosineTransform<2, float, Cpu>(be, {2, 3}, false, {1, 2}));
      },
      {"cosine transform", "2 scales", "6"});
  const CosineTransform<2, float, Cpu> singular(be, {1, 2}, false, {1, 0});
  require_error([&] { singular.inverse(); }, {"cosine transform", "scale 1 is 0"});
}

#ifdef M2_HAS_RAPIDCHECK
TEST_CASE("cosine transform: DCT-III of DCT-II is 2 N, orthogonal, adjoint", "[monarch][cosine][properties]") {
  const bool passed = rc::check("cosine transform", [] {
    Cpu be;
    const std::array<Index, 2> radices{*rc::gen::inRange<Index>(1, 12), *rc::gen::inRange<Index>(1, 12)};
    const Index n = radices[0] * radices[1], batch = *rc::gen::inRange<Index>(1, 6);
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    Tensor<double, 2, Cpu> x(be, {batch, n}), y(be, {batch, n}), z(be, {batch, n}), g(be, {batch, n});
    fill_normal(x.view(), rng);
    fill_normal(g.view(), rng);
    const auto norm = [](const auto& t) { return std::sqrt(dot(to_host(t.view()), to_host(t.view()))); };
    const auto compare = [&](double scale) {
      for (Index i = 0; i < x.size(); ++i)
        RC_ASSERT(std::abs(z.data()[i] - scale * x.data()[i]) <= scale * tolerance<double>(n, norm(x)));
    };
    dct2<2, double>(be, radices).multiply(be, x.view(), y.view());
    dct3<2, double>(be, radices).multiply(be, y.view(), z.view());
    compare(2 * static_cast<double>(n));

    const auto orthogonal = dct2<2, double>(be, radices, Normalization::ortho);
    orthogonal.multiply(be, x.view(), y.view());
    RC_ASSERT(std::abs(norm(y) - norm(x)) <= tolerance<double>(n, norm(x)));
    const double product = dot(to_host(y.view()), to_host(g.view()));
    orthogonal.transpose().multiply(be, y.view(), z.view());
    compare(1);
    orthogonal.transpose().multiply(be, g.view(), z.view());
    RC_ASSERT(std::abs(dot(to_host(x.view()), to_host(z.view())) - product) <= tolerance<double>(n, norm(x) * norm(g)));
  });
  REQUIRE(passed);
}
#endif
