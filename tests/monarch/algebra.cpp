#include "m2/monarch/algebra.hpp"

#include "m2/monarch/product.hpp"
#include "tests/monarch/oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

std::size_t unsigned_of(Index n) { return static_cast<std::size_t>(n); }

}  // namespace

TEMPLATE_TEST_CASE("Transpose, adjoint and conjugate are those of the dense matrix", "[monarch]", M2_SOME_ELEMENTS) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  for_every_shape([]<int Order>(const MonarchShape<Order>& shape) {
    const auto m = normal_monarch<B, T>(shape, 1);
    const auto dense = oracle_dense(m.view());
    const auto cols = unsigned_of(m.cols());
    const double allowed = tolerance<double>(shape.widest(), 1 + largest(as_doubles(dense)));  // the oracle's own sums
    const auto transposed = m.transpose(), adjoint = m.adjoint(), conjugate = m.conjugate();
    CHECK(transposed.rows() == m.cols());
    CHECK(transposed.cols() == m.rows());
    require_close(as_doubles(oracle_dense(transposed.view())), as_doubles(dense_transpose(dense, cols)), allowed);
    require_close(as_doubles(oracle_dense(adjoint.view())), as_doubles(dense_transpose(dense, cols, true)), allowed);
    require_close(as_doubles(oracle_dense(conjugate.view())),
                  as_doubles(dense_transpose(dense_transpose(dense, cols, true), unsigned_of(m.rows()))), allowed);
    const auto twice = transposed.transpose();
    CHECK(twice.shape() == shape);
    CHECK(to_host(twice.weights()) == to_host(m.weights()));
    CHECK(to_host(adjoint.adjoint().weights()) == to_host(m.weights()));
  });
}

TEMPLATE_TEST_CASE("A diagonal from either side scales rows and columns", "[monarch]", M2_SOME_ELEMENTS) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Rng rng(3);
  for_every_shape([&]<int Order>(const MonarchShape<Order>& shape) {
    auto m = normal_monarch<B, T>(shape, 2);
    auto expected = oracle_dense(m.view());
    const auto left = normal_tensor<T, 1>(be, rng, {m.rows()}), right = normal_tensor<T, 1>(be, rng, {m.cols()});
    const auto l = to_wide(left.view()), r = to_wide(right.view());
    for (std::size_t i = 0; i < l.size(); ++i)
      for (std::size_t j = 0; j < r.size(); ++j) expected[i * r.size() + j] *= l[i] * r[j];
    m.scale_rows(be, left.view());
    m.scale_columns(be, right.view());
    require_close(as_doubles(oracle_dense(m.view())), as_doubles(expected),
                  tolerance<T>(shape.widest(), 1 + largest(as_doubles(expected))));
  });
  auto m = normal_monarch<B, T>(MonarchShape<2>::rectangular({3, 4}, {5, 2}), 2);
  const auto seven = normal_tensor<T, 1>(be, rng, {7});
  require_error([&] { m.scale_rows(be, seven.view()); }, {"monarch_scale_rows", "7 entries", "10 x 12"});
  require_error([&] { m.scale_columns(be, seven.view()); }, {"monarch_scale_columns", "7 entries", "10 x 12"});
}

TEST_CASE("cast rounds every weight once, and makes real matrices complex", "[monarch]") {
  const auto m = normal_monarch<Cpu, double>(MonarchShape<2>::linear(10, 14, 4), 5);
  const auto weights = to_host(m.weights());
  const auto rounded = [&](auto to) {
    std::vector<double> result;
    for (const double w : weights) result.push_back(element_cast<double>(element_cast<decltype(to)>(w)));
    return result;
  };
  CHECK(to_host(m.cast<float>().weights()) == rounded(0.0F));
  CHECK(to_host(m.cast<half>().weights()) == rounded(half()));
  CHECK(to_host(m.cast<bfloat16>().weights()) == rounded(bfloat16()));
  CHECK(to_host(m.cast<half>().cast<float>().cast<half>().weights()) == rounded(half()));
  const auto complex = m.cast<std::complex<double>>();
  CHECK(complex.shape() == m.shape());
  for (std::size_t i = 0; i < weights.size(); ++i)
    CHECK(complex.weights()(static_cast<Index>(i)) == std::complex<double>(weights[i]));
  CHECK(to_host(m.clone().weights()) == weights);
}

TEMPLATE_TEST_CASE("A B is one Monarch matrix, and merging its factors does not change it", "[monarch]",
                   (On<Cpu, double>), (On<Serial, double>), (On<Cpu, std::complex<float>>), (On<Cpu, half>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  const auto close = [](const auto& m, const auto& expected) {
    require_close(as_doubles(oracle_dense(m.view())), as_doubles(expected),
                  tolerance<T>(64, 10 * (1 + largest(as_doubles(expected)))));
  };
  const auto check = [&]<int P, int Q>(const MonarchShape<P>& left, const MonarchShape<Q>& right) {
    const auto a = normal_monarch<B, T>(left, 6);
    const auto b = normal_monarch<B, T>(right, 7);
    const auto product = a * b;
    static_assert(std::same_as<decltype(product), const Monarch<P + Q, T, B>>);
    CHECK(product.rows() == a.rows());
    CHECK(product.cols() == b.cols());
    close(product, dense_product(oracle_dense(a.view()), oracle_dense(b.view()), unsigned_of(a.cols())));
  };
  check(MonarchShape<2>(3, 4), MonarchShape<2>(3, 4));
  check(MonarchShape<2>(3, 4), MonarchShape<2>(6, 2));
  check(MonarchShape<1>::block_diagonal(8, 12, 4), MonarchShape<3>::rectangular({2, 3, 4}, {2, 1, 4}));
  check(MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 6), MonarchShape<1>::block_diagonal(6, 15, 3));
  // 14 of 16 features: what the left matrix pads with zeros, the right one must not give.
  check(MonarchShape<2>::linear(14, 10, 4), MonarchShape<2>::linear(10, 14, 4));

  // M^T M: the two factors that meet in the middle act on the same digit.
  const auto m = normal_monarch<B, T>(MonarchShape<2>::rectangular({3, 4}, {2, 5}), 8);
  const auto gram = m.adjoint() * m;
  const auto merged = merge_factors<1>(gram);
  static_assert(std::same_as<decltype(merged), const Monarch<3, T, B>>);
  CHECK(merged.shape().factor(1) == FactorShape{1, 3, 3, 5});
  const auto dense = oracle_dense(m.view());
  close(merged, dense_product(dense_transpose(dense, 12, true), dense, 10));

  // Neighbouring digits become one radix; in the end there is one dense block.
  const auto four = normal_monarch<B, T>(MonarchShape<4>::rectangular({2, 3, 2, 3}, {3, 2, 2, 1}), 9);
  const auto three = merge_factors<2>(four);
  const auto two = merge_factors<0>(three);
  CHECK(two.shape() == MonarchShape<2>::rectangular({6, 6}, {6, 2}));
  close(three, oracle_dense(four.view()));
  close(two, oracle_dense(four.view()));
  close(merge_factors<0>(two), oracle_dense(four.view()));
  const auto padded = normal_monarch<B, T>(MonarchShape<2>::linear(10, 14, 4), 9);
  close(merge_factors<0>(padded), oracle_dense(padded.view()));
  const auto odd = normal_monarch<B, T>(MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 6), 9);
  close(merge_factors<0>(odd), oracle_dense(odd.view()));
}

TEST_CASE("Products that are no chain of factors say so", "[monarch]") {
  const auto a = normal_monarch<Cpu, double>(MonarchShape<2>(2, 5), 1);
  const auto b = normal_monarch<Cpu, double>(MonarchShape<2>::linear(12, 10, 4), 1);
  require_error([&] { (void)(a * b); }, {"give 12 values", "take 10", "lazy_product"});
  require_error([&] { (void)(b * a.transpose()); }, {"A is 10 x 12", "B is 10 x 10"});
}

TEMPLATE_TEST_CASE("A lazy product is the product of the dense matrices", "[monarch]", (On<Cpu, double>),
                   (On<Serial, std::complex<double>>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  const auto a = normal_monarch<B, T>(MonarchShape<2>::rectangular({2, 5}, {3, 3}), 11);
  const auto b = normal_monarch<B, T>(MonarchShape<2>::linear(13, 10, 4), 12);  // gives 12, cut to 10
  const auto c = normal_monarch<B, T>(MonarchShape<1>(13), 13);
  const auto product = lazy_product(a.clone(), lazy_product(b.clone(), c.clone()));
  CHECK(product.parameter_count() == a.parameter_count() + b.parameter_count() + c.parameter_count());
  const auto dense =
      dense_product(oracle_dense(a.view()), dense_product(oracle_dense(b.view()), oracle_dense(c.view()), 13), 10);
  const auto check = [&](const auto& m, const std::vector<WideOf<T>>& matrix) {
    const Index rows = m.rows(), cols = m.cols(), batch = 3;
    REQUIRE(matrix.size() == unsigned_of(rows * cols));
    Rng rng(14);
    Strided<T, 2, B> x(be, {batch, cols}, 2), y(be, {batch, rows}, 2);
    fill_normal(x.view(), rng);
    m.multiply(be, x.view(), y.view());
    for (Index i = 0; i < batch; ++i) {
      const auto expected = dense_product(matrix, to_wide(x.view().select(0, i)), unsigned_of(cols));
      require_close(to_host(y.view().select(0, i)), as_doubles(expected),
                    tolerance<T>(100, 100 * (1 + largest(as_doubles(expected)))));
    }
  };
  check(product, dense);
  check(product.transpose(), dense_transpose(dense, 13));
  check(product.adjoint(), dense_transpose(dense, 13, true));
  check(product.clone(), dense);
  check(product.conjugate(), dense_transpose(dense_transpose(dense, 13, true), 9));
  CHECK(std::abs(product.norm() - norm_of(dense)) <= tolerance<T>(1000, 10 * norm_of(dense)));
  CHECK(product.order == 5);
  CHECK(product.equivalent(lazy_product(lazy_product(a.clone(), b.clone()), c.clone())));
  Monarch<1, T, B> whole(MonarchShape<1>::block_diagonal(13, 9, 1));  // one block: the dense matrix
  std::copy(dense.begin(), dense.end(), whole.weights().data());
  CHECK(product.equivalent(whole, tolerance<T>(100)));
  CHECK(whole.equivalent(product, tolerance<T>(100)));
  CHECK_FALSE(product.equivalent(product.transpose()));
  auto other = c.clone();
  other.factor(0)(0, 0, 0, 0) *= T(1 + 1e-6);
  CHECK_FALSE(product.equivalent(lazy_product(a.clone(), lazy_product(b.clone(), other.clone()))));
  require_error([&] { (void)lazy_product(a.clone(), c.clone()); }, {"lazy_product", "9 x 10", "13 x 13"});
}
