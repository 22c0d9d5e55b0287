#include "m2/monarch/kronecker.hpp"

#include "m2/monarch/hadamard.hpp"
#include "tests/monarch/oracle.hpp"
#include "tests/rapidcheck.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// A (x) B by the definition.
template <class W>
DenseMatrix<W> kronecker_oracle(const DenseMatrix<W>& a, const DenseMatrix<W>& b) {
  DenseMatrix<W> result(a.rows * b.rows, a.cols * b.cols);
  for (Index i = 0; i < result.rows; ++i)
    for (Index j = 0; j < result.cols; ++j) result(i, j) = a(i / b.rows, j / b.cols) * b(i % b.rows, j % b.cols);
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("kronecker: the definition, rectangular matrices of any strides", "[monarch][kronecker]",
                   (On<Cpu, m2::bfloat16>), (On<Serial, std::complex<double>>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Rng rng(15);
  const auto a = normal_tensor<T, 2>(be, rng, {2, 3}), b = normal_tensor<T, 2>(be, rng, {4, 1}),
             c = normal_tensor<T, 2>(be, rng, {3, 5});
  const auto ab = kronecker_oracle(dense_matrix(a.view()), dense_matrix(b.view()));
  const auto close = [](const auto& m, const auto& expected) {
    REQUIRE(m.rows() == expected.rows);
    REQUIRE(m.cols() == expected.cols);
    // The oracle multiplies the factors of M one after the other in double: exact but for the last rounding.
    require_close(as_doubles(oracle_dense(m.view())), as_doubles(expected.values),
                  tolerance<double>(3, largest(as_doubles(expected.values))));
  };
  close(kronecker<2, T>(be, {a.cview(), b.cview()}), ab);
  close(kronecker<3, T>(be, {a.cview(), b.cview(), c.cview()}), kronecker_oracle(ab, dense_matrix(c.view())));
  Strided<T, 2, B> strided(be, {3, 2}, 2);
  fill_normal(strided.view(), rng);
  const View<const T, 2, B> turned = strided.view().transpose(0, 1);
  close(kronecker<2, T>(be, {turned, c.cview()}), kronecker_oracle(dense_matrix(turned), dense_matrix(c.view())));
  const Tensor<T, 2, B> empty(be, {0, 3});
  require_error([&] { kronecker<2, T>(be, {a.cview(), empty.cview()}); }, {"kronecker", "matrix 1", "0"});
}

TEMPLATE_TEST_CASE("hadamard: the definition in every element type, exactly", "[monarch][kronecker]", (On<Cpu, float>),
                   (On<Cpu, m2::half>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  const auto check = [&](const auto& h, double scale) {
    const auto dense = to_wide(h.dense_tensor(be).view());
    for (Index i = 0; i < h.rows(); ++i)
      for (Index j = 0; j < h.cols(); ++j) {
        const double expected = std::popcount(static_cast<std::size_t>(i & j)) % 2 == 0 ? scale : -scale;
        const double error = std::abs(dense[static_cast<std::size_t>(i * h.cols() + j)] - expected);
        REQUIRE(error <= (scale == 1 ? 0 : tolerance<T>(1, scale)));
      }
  };
  check(hadamard<2, T>(be, 32), 1);
  check(hadamard<2, T>(be, {2, 8}), 1);
  check(hadamard<4, T>(be, {2, 4, 1, 2}), 1);
  check(hadamard<2, T>(be, {2, 4}, Normalization::ortho), 1 / std::sqrt(8.0));
}

TEST_CASE("walsh_row: row s changes sign s times", "[monarch][kronecker]") {
  Cpu be;
  for (const Index n : {1, 2, 16, 64}) {
    const auto h = hadamard<2, double>(be, n).dense_tensor(be);
    for (Index s = 0; s < n; ++s) {
      Index changes = 0;
      for (Index j = 1; j < n; ++j) changes += h.view()(walsh_row(n, s), j) != h.view()(walsh_row(n, s), j - 1) ? 1 : 0;
      REQUIRE(changes == s);
    }
  }
  require_error([&] { hadamard<2, double>(be, {2, 6}); }, {"hadamard", "radix 1 is 6"});
  require_error([&] { hadamard<2, double>(be, 0); }, {"balanced_radices", "0"});
  require_error([] { walsh_row(6, 1); }, {"walsh_row", "6"});
  require_error([] { walsh_row(8, 8); }, {"walsh_row", "row 8 of 8"});
}

#ifdef M2_HAS_RAPIDCHECK
TEST_CASE("kronecker: (A (x) B)(C (x) D) = AC (x) BD; H^2 = N I", "[monarch][kronecker][properties]") {
  const bool mixed_product = rc::check("mixed product", [] {
    Cpu be;
    std::array<Index, 6> n{};
    for (Index& extent : n) extent = *rc::gen::inRange<Index>(1, 6);
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    const auto a = normal_tensor<double, 2>(be, rng, {n[0], n[1]}), c = normal_tensor<double, 2>(be, rng, {n[1], n[2]});
    const auto b = normal_tensor<double, 2>(be, rng, {n[3], n[4]}), d = normal_tensor<double, 2>(be, rng, {n[4], n[5]});
    const auto ab = kronecker<2, double>(be, {a.cview(), b.cview()}),
               cd = kronecker<2, double>(be, {c.cview(), d.cview()});
    Tensor<double, 2, Cpu> both(be, {ab.rows(), cd.cols()});
    const auto right = cd.dense_tensor(be);
    monarch_multiply(be, ab.view(), right.view().transpose(0, 1), both.view().transpose(0, 1));
    const auto expected = kronecker_oracle(dense_matrix(a.view()) * dense_matrix(c.view()),
                                           dense_matrix(b.view()) * dense_matrix(d.view()));
    for (std::size_t i = 0; i < expected.values.size(); ++i)
      RC_ASSERT(std::abs(both.data()[i] - expected.values[i]) <= tolerance<double>(25, 25 * 16));
  });
  REQUIRE(mixed_product);
  const bool involution = rc::check("H H = N I", [] {
    Cpu be;
    std::array<Index, 3> radices{};
    for (Index& radix : radices) radix = Index{1} << *rc::gen::inRange<int>(0, 4);
    const auto h = hadamard<3, double>(be, radices);
    Tensor<double, 2, Cpu> square(be, {h.rows(), h.cols()});
    monarch_multiply(be, h.view(), h.dense_tensor(be).cview(), square.view());
    for (Index i = 0; i < h.rows(); ++i)
      for (Index j = 0; j < h.cols(); ++j)
        RC_ASSERT(square.view()(i, j) == (i == j ? static_cast<double>(h.rows()) : 0.0));
  });
  REQUIRE(involution);
}
#endif
