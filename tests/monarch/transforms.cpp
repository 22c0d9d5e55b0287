#include "m2/transforms.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

using Complex = std::complex<double>;

/// The product with matrices of either storage order, vectors and expressions, against the dense form.
template <class A>
void check_products(const A& a) {
  using T = typename A::value_type;
  const Eigen::MatrixX<T> dense = a.to_dense();
  REQUIRE(dense.rows() == a.rows());
  REQUIRE(dense.cols() == a.cols());
  const Eigen::MatrixX<T> x = Eigen::MatrixX<T>::Random(a.cols(), 3);
  const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = x;
  const Eigen::VectorX<T> column = x.col(1);
  const Eigen::MatrixX<T> expected = dense * x;
  const double allowed = tolerance<T>(a.cols(), 4 * static_cast<double>(expected.norm()));
  REQUIRE((a * x - expected).norm() <= allowed);
  REQUIRE((a * rows - expected).norm() <= allowed);
  REQUIRE((a * column - expected.col(1)).norm() <= allowed);
  REQUIRE((a * (x + x) - T(2) * expected).norm() <= 2 * allowed);
  static_assert(decltype(a * rows)::IsRowMajor && decltype(a * column)::ColsAtCompileTime == 1);
  require_error([&] { a* Eigen::MatrixX<T>::Zero(a.cols() + 1, 2); }, {"M * X", std::to_string(a.cols() + 1)});
}

}  // namespace

TEST_CASE("transforms.hpp: everything multiplies Eigen matrices", "[monarch][transforms]") {
  Cpu be;
  check_products(dft<2, Complex>(12));
  check_products(idft<2, Complex>({3, 4}, {.normalization = Normalization::ortho}));
  check_products(dct2<2, double>(12));
  check_products(dct3<2, double>({2, 3}));
  check_products(circulant<2>(Eigen::VectorXd::Random(6)));
  check_products(toeplitz<2>(Eigen::VectorXd::Random(3), Eigen::VectorXd::Random(5)));
  const Monarch<2, double, Cpu> m(MonarchShape<2>(2, 2), be);
  REQUIRE((monarch_from_plprp<double>(be, m.factor(1).merge(0), m.factor(0).merge(0)).to_dense()).norm() == 0);
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

  Rng rng(3);
  const Eigen::MatrixXd q = random_orthogonal<2, double>({3, 4}, rng).to_dense();
  REQUIRE((q.transpose() * q - Eigen::MatrixXd::Identity(12, 12)).norm() <= tolerance<double>(144));
  const Eigen::MatrixXd h = hadamard<2, double>(8).to_dense();
  REQUIRE(h * h == 8 * Eigen::MatrixXd::Identity(8, 8));
}
