#include "m2/transforms.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

TEST_CASE("transforms.hpp: what multiplies views multiplies Eigen matrices", "[monarch][transforms]") {
  using T = std::complex<double>;
  const auto a = dft<2, T>({3, 4});
  const Eigen::MatrixX<T> dense = a.to_dense(), x = Eigen::MatrixX<T>::Random(12, 3), expected = dense * x;
  const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = x;
  const Eigen::VectorX<T> column = x.col(1);
  const double allowed = tolerance<T>(12, expected.norm());
  REQUIRE((a * x - expected).norm() <= allowed);
  REQUIRE((a * rows - expected).norm() <= allowed);
  REQUIRE((a * column - expected.col(1)).norm() <= allowed);
  REQUIRE((a * (x + x) - 2 * expected).norm() <= 2 * allowed);
  static_assert(decltype(a * rows)::IsRowMajor && decltype(a * column)::ColsAtCompileTime == 1);
  const Eigen::MatrixX<T> wrong = Eigen::MatrixX<T>::Zero(13, 2);
  require_error([&] { a* wrong; }, {"M * X", "12 x 12", "13 x 2"});

  const auto inverse = idft<2, T>(12).to_dense();
  REQUIRE((inverse * dense - Eigen::MatrixX<T>::Identity(12, 12)).norm() <= tolerance<T>(144));
}

TEST_CASE("transforms.hpp: the functions without a backend", "[monarch][transforms]") {
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(2, 3), b = Eigen::MatrixXd::Random(4, 2);
  const Eigen::MatrixXd ab = kronecker(a, b.transpose()).to_dense();
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 12; ++j)
      REQUIRE(std::abs(ab(i, j) - a(i / 2, j / 4) * b(j % 4, i % 2)) <= tolerance<double>(1));

  const Eigen::VectorXd column = Eigen::VectorXd::Random(3), row = Eigen::VectorXd::Random(5);
  const Eigen::MatrixXd t = toeplitz<2>(column, row).to_dense();
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 5; ++j)
      REQUIRE(std::abs(t(i, j) - (i >= j ? column(i - j) : row(j - i))) <= tolerance<double>(8, 2));
  const Eigen::MatrixXd c = circulant<2>(row.transpose().transpose()).to_dense();
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) REQUIRE(std::abs(c(i, j) - row((i - j + 5) % 5)) <= tolerance<double>(5, 2));
  require_error([&] { toeplitz<2>(Eigen::VectorXd(), row); }, {"toeplitz", "0", "5"});

  const Eigen::MatrixXd second = dct2<2, double>(6).to_dense(), third = dct3<2, double>({3, 2}).to_dense();
  REQUIRE((third * second - 12 * Eigen::MatrixXd::Identity(6, 6)).norm() <= 12 * tolerance<double>(36));
  Rng rng(3);
  const Eigen::MatrixXd q = random_orthogonal<2, double>({3, 4}, rng).to_dense();
  REQUIRE((q.transpose() * q - Eigen::MatrixXd::Identity(12, 12)).norm() <= tolerance<double>(144));
  const Eigen::MatrixXd h = hadamard<2, double>(8).to_dense();
  REQUIRE(h * h == 8 * Eigen::MatrixXd::Identity(8, 8));
}
