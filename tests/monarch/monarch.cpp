#include <m2/monarch.hpp>

#include "tests/monarch/oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

template <class Derived>
std::vector<double> row_major(const Eigen::MatrixBase<Derived>& m) {
  const auto matrix = m.eval();
  return to_host(columns_of(matrix).transpose(0, 1));
}

}  // namespace

TEMPLATE_TEST_CASE("to_dense gives the matrix of the definition", "[monarch]", float, double, std::complex<float>,
                   std::complex<double>, half, bfloat16) {
  Rng rng(3);
  Cpu be;
  for_every_shape([&]<int Order>(const MonarchShape<Order>& shape) {
    const auto m = Monarch<Order, TestType>::random(shape, rng);
    const auto expected = as_doubles(oracle_dense(m.view()));
    const double allowed = tolerance<TestType>(shape.in_features(), 1 + largest(expected));
    require_close(row_major(m.to_dense()), expected, allowed);
    require_close(to_host(m.dense_tensor(be).view()), expected, allowed);
  });
}

TEMPLATE_TEST_CASE("M * X takes any Eigen operand", "[monarch][eigen]", float, double) {
  using T = TestType;
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
  using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Rng rng(4);
  const auto m = Monarch<2, T>::random(MonarchShape<2>::rectangular({3, 5}, {4, 2}), rng);
  const Matrix dense = m.to_dense();
  REQUIRE(dense.rows() == m.rows());
  REQUIRE(dense.cols() == m.cols());
  Matrix x(15, 6);
  fill_normal(columns_of(x), rng);
  const auto check = [&](const auto& product, const auto& operand) {
    const Matrix expected = dense * operand;
    require_close(row_major(product), row_major(expected), tolerance<T>(15, 1 + largest(row_major(expected))));
  };
  check(m * x, x);
  const Matrix& constant = x;
  check(m * constant, x);
  const RowMajor r = x;
  const auto from_rows = m * r;
  static_assert(decltype(from_rows)::IsRowMajor, "The result has the storage order of X.");
  check(from_rows, x);
  const Eigen::Matrix<T, Eigen::Dynamic, 1> vector = x.col(2);
  const Eigen::Matrix<T, Eigen::Dynamic, 1> image = m * vector;
  check(image, vector);
  check(m * x.col(1), x.col(1));
  check(m * x.block(0, 1, 15, 3), x.block(0, 1, 15, 3));
  check(m * r.block(0, 2, 15, 2), x.block(0, 2, 15, 2));
  check(m * (x + T{2} * x), Matrix(x + T{2} * x));
  Matrix transposed = x.transpose();
  check(m * transposed.transpose(), x);
  const Eigen::Matrix<T, 15, 2> fixed = x.leftCols(2);
  check(m * fixed, x.leftCols(2));
  const Eigen::Map<const Matrix, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>> every_other(
      x.data(), 15, 3, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>(30, 1));
  check(m * every_other, Matrix(every_other));
}

TEST_CASE("M * X says what is wrong", "[monarch][eigen]") {
  Rng rng(5);
  const auto m = Monarch<2, float>::random(MonarchShape<2>::rectangular({3, 5}, {2, 5}), rng);
  const Eigen::MatrixXf x = Eigen::MatrixXf::Zero(7, 12);
  require_error([&] { (void)(m * x); }, {"M * X", "10 x 15", "7 x 12"});
}

TEST_CASE("Random Monarch matrices keep variance, and a seed gives the same bits", "[monarch]") {
  Rng first(9), second(9);
  const auto a = Monarch<3, float>::random({8, 8, 8}, first);
  const auto b = Monarch<3, float>::random({8, 8, 8}, second);
  CHECK(to_host(a.weights()) == to_host(b.weights()));
  CHECK(to_host(a.clone().weights()) == to_host(a.weights()));
  const Eigen::MatrixXf dense = a.to_dense();
  const double mean_square = static_cast<double>(dense.squaredNorm()) / static_cast<double>(dense.rows());
  CHECK(mean_square > 0.5);  // a row's expected squared norm is 1; 512 rows are close to it
  CHECK(mean_square < 2.0);
}
