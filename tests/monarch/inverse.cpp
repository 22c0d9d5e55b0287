#include "m2/monarch/inverse.hpp"

#include "m2/monarch.hpp"
#include "tests/monarch/oracle.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// Square shapes whose blocks are square, factors in rising, falling and mixed order.
template <class F>
void for_every_square_shape(F&& f) {
  f(MonarchShape<1>(6));
  f(MonarchShape<1>::block_diagonal(12, 12, 4));
  f(MonarchShape<2>(4, 4));
  f(MonarchShape<2>(4, 9));
  f(MonarchShape<2>(1, 5));
  f(MonarchShape<2>::linear(12, 12, 4));
  f(transposed(MonarchShape<3>(3, 2, 4)));
  f(MonarchShape<3>(std::array{FactorShape{3, 4, 4, 1}, FactorShape{1, 6, 6, 2}, FactorShape{2, 3, 3, 2}}));
}

/// Normal weights, and the identity added to every block: well conditioned, and pivoting has work to do.
template <int Order, class T>
Monarch<Order, T> regular_monarch(const MonarchShape<Order>& shape, std::uint64_t seed) {
  auto m = normal_monarch<Cpu, T>(shape, seed);
  for (int f = 0; f < Order; ++f) {
    const auto w = m.factor(f);
    for (Index o = 0; o < w.extent(0); ++o)
      for (Index i = 0; i < w.extent(1); ++i)
        for (Index d = 0; d < w.extent(2); ++d)  // on the other diagonal, so that rows must be exchanged
          w(o, i, d, w.extent(2) - 1 - d) = w(o, i, d, w.extent(2) - 1 - d) + element_cast<T>(4.0F);
  }
  return m;
}

/// Sign and logarithm of |det| of a dense matrix, by elimination with the largest pivot: nothing but loops.
template <class Wide>
std::pair<Wide, double> oracle_log_determinant(std::vector<Wide> a, std::size_t n) {
  Wide sign = 1.0;
  double log_abs = 0;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t best = k;
    for (std::size_t i = k; i < n; ++i)
      if (std::abs(a[i * n + k]) > std::abs(a[best * n + k])) best = i;
    if (best != k) sign = -sign;
    for (std::size_t j = 0; j < n; ++j) std::swap(a[k * n + j], a[best * n + j]);
    const Wide pivot = a[k * n + k];
    sign *= pivot / std::abs(pivot);
    log_abs += std::log(std::abs(pivot));
    for (std::size_t i = k + 1; i < n; ++i) {
      const Wide ratio = a[i * n + k] / pivot;
      for (std::size_t j = k; j < n; ++j) a[i * n + j] -= ratio * a[k * n + j];
    }
  }
  return {sign, log_abs};
}

}  // namespace

TEMPLATE_TEST_CASE("Inverse and determinant are those of the dense matrix", "[monarch]", double, std::complex<double>,
                   bfloat16) {
  using T = TestType;
  for_every_square_shape([]<int Order>(const MonarchShape<Order>& shape) {
    const auto m = regular_monarch<Order, T>(shape, 1);
    const auto n = static_cast<std::size_t>(m.rows());
    const auto inverse = m.inverse();
    static_assert(std::same_as<decltype(inverse), const Monarch<Order, T>>);
    const auto dense = oracle_dense(m.view());
    const double allowed = tolerance<T>(m.rows(), m.condition_bound());
    require_close(as_doubles(dense_product(dense, oracle_dense(inverse.view()), n)),
                  as_doubles(DenseMatrix<WideOf<T>>::identity(m.rows()).values), allowed);

    const auto [sign, log_abs] = oracle_log_determinant(dense, n);
    const LogDeterminant<T> actual = m.log_determinant();
    CHECK(std::abs(actual.sign - sign) <= allowed);
    CHECK(std::abs(actual.log_abs - log_abs) <= static_cast<double>(n) * allowed);
    const WideOf<T> expected = sign * std::exp(log_abs);
    CHECK(std::abs(m.determinant() - expected) <= static_cast<double>(n) * allowed * std::abs(expected));
  });
}

TEMPLATE_TEST_CASE("solve and solve_adjoint undo the multiply, in every layout", "[monarch]", double,
                   std::complex<double>, bfloat16) {
  using T = TestType;
  Cpu be;
  for_every_square_shape([&]<int Order>(const MonarchShape<Order>& shape) {
    const auto m = regular_monarch<Order, T>(shape, 2);
    const auto lu = m.lu(be);
    CHECK_FALSE(lu.is_singular());
    const double allowed = tolerance<T>(shape.widest(), 10 * m.condition_bound());
    for (const Index batch : {1, 2, 5}) {
      Rng rng(3);
      Strided<T, 2, Cpu> x(be, {batch, m.cols()}, 2), y(be, {m.rows(), batch}, 2), z(be, {batch, m.cols()}, 1);
      fill_normal(x.view(), rng);
      const auto columns = y.view().transpose(0, 1);
      const std::vector<double> expected = to_host(x.view());
      m.multiply(be, x.view(), columns);
      m.solve(be, columns, z.view());
      require_close(to_host(z.view()), expected, allowed);
      lu.solve(be, columns, columns);
      require_close(to_host(columns), expected, allowed);
      m.adjoint().multiply(be, x.view(), columns);
      lu.solve_adjoint(be, columns, z.view());
      require_close(to_host(z.view()), expected, allowed);
    }
  });
}

TEST_CASE("solve over several threads: many blocks, and one block with many vectors", "[monarch]") {
  Cpu be;
  const auto check = [&]<int Order>(const MonarchShape<Order>& shape, Index batch) {
    const auto m = regular_monarch<Order, double>(shape, 4);
    Rng rng(5);
    Tensor<double, 2, Cpu> x(be, {batch, m.cols()}), y(be, {batch, m.cols()});
    fill_normal(x.view(), rng);
    m.multiply(be, x.view(), y.view());
    m.solve(be, y.view(), y.view());
    require_close(to_host(y.view()), to_host(x.view()), tolerance<double>(m.rows(), 10 * m.condition_bound()));
  };
  check(MonarchShape<2>(16, 32), 70);
  check(MonarchShape<1>(40), 333);
}

TEMPLATE_TEST_CASE("The VJP of solve equals finite differences", "[monarch]", double, std::complex<double>) {
  using T = TestType;
  Cpu be;
  const auto check = [&]<int Order>(const MonarchShape<Order>& shape) {
    auto m = regular_monarch<Order, T>(shape, 6);
    Monarch<Order, T> dm(shape);
    const Index batch = 3;
    Rng rng(7);
    const Extents<2> extents{batch, m.cols()};
    Strided<T, 2, Cpu> x(be, extents, 2), y(be, extents, 2), dy(be, extents, 2), dx(be, extents, 2);
    fill_normal(x.view(), rng);
    fill_normal(dy.view(), rng);
    const auto loss = [&] {
      monarch_solve(be, m.view(), x.view(), y.view());
      return dot(to_host(y.view()), to_host(dy.view()));
    };
    (void)loss();
    monarch_solve_vjp(be, m.view(), y.view(), dy.view(), dx.view(), dm.view());
    require_gradient(x.view(), to_host(dx.view()), loss);
    require_gradient(m.weights(), to_host(dm.weights()), loss);
    const std::vector<double> once = to_host(dm.weights());
    (void)loss();
    monarch_solve_vjp(be, m.view(), y.view(), dy.view(), dx.view(), dm.view());
    std::vector<double> twice = once;
    for (double& w : twice) w *= 2;
    require_close(to_host(dm.weights()), twice, tolerance<double>(batch, 1 + largest(twice)));
  };
  check(MonarchShape<1>::block_diagonal(6, 6, 2));
  check(MonarchShape<2>(2, 3));
  check(MonarchShape<3>(2, 3, 2));
}

TEST_CASE("The VJP of solve with 16-bit storage is that of its rounded weights in float", "[monarch]") {
  Cpu be;
  const MonarchShape<2> shape(3, 4);
  const auto m = regular_monarch<2, half>(shape, 6);
  const auto wide = m.cast<double>();
  Monarch<2, half> dm(shape);
  Monarch<2, double> dwide(shape);
  Rng rng(8);
  Tensor<half, 2, Cpu> y(be, {2, 12}), dy(be, {2, 12}), dx(be, {2, 12});
  Tensor<double, 2, Cpu> wy(be, {2, 12}), wdy(be, {2, 12}), wdx(be, {2, 12});
  fill_normal(y.view(), rng);
  fill_normal(dy.view(), rng);
  detail::convert(be, y.cview().data(), wy.data(), y.size());
  detail::convert(be, dy.cview().data(), wdy.data(), y.size());
  monarch_solve_vjp(be, m.view(), y.view(), dy.view(), dx.view(), dm.view());
  monarch_solve_vjp(be, wide.view(), wy.view(), wdy.view(), wdx.view(), dwide.view());
  const auto allowed = [](const std::vector<double>& v) { return tolerance<half>(4, largest(v)); };
  require_close(to_host(dx.view()), to_host(wdx.view()), allowed(to_host(wdx.view())));
  require_close(to_host(dm.weights()), to_host(dwide.weights()), allowed(to_host(dwide.weights())));
}

TEST_CASE("Singular blocks are named, whatever the scale of their rows and columns", "[monarch]") {
  Cpu be;
  auto m = regular_monarch<2, double>(MonarchShape<2>(3, 4), 9);
  for (Index d = 0; d < 3; ++d) m.factor(1)(0, 2, 1, d) = 3 * m.factor(1)(0, 2, 0, d) - m.factor(1)(0, 2, 2, d);
  require_error([&] { (void)m.inverse(); }, {"monarch_inverse", "block (0, 2) of factor 1"});
  Tensor<double, 2, Cpu> x(be, {1, 12}), y(be, {1, 12});
  require_error([&] { m.solve(be, x.view(), y.view()); }, {"monarch_solve", "block (0, 2) of factor 1"});
  CHECK(m.lu(be).is_singular());

  auto zero = regular_monarch<2, double>(MonarchShape<2>(3, 4), 9);
  for (Index d = 0; d < 4; ++d) zero.factor(0)(2, 0, d, 1) = 0;
  require_error([&] { (void)zero.inverse(); }, {"block (2, 0) of factor 0"});
  CHECK(zero.determinant() == 0.0);
  CHECK(zero.log_determinant().sign == 0.0);
  CHECK(zero.log_determinant().log_abs == -std::numeric_limits<double>::infinity());
  zero.factor(0)(2, 0, 0, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK(zero.lu(be).is_singular());
  require_error([&] { (void)zero.inverse(); }, {"M is not finite, block (2, 0) of factor 0 has an infinite weight"});

  // Rows and columns of very different size are no reason to refuse.
  auto graded = regular_monarch<1, double>(MonarchShape<1>(5), 10);
  Eigen::VectorXd scale(5), other(5);
  scale << 1e-60, 1e40, 1, 1e-20, 1e-30;
  other << 1e20, 1, 1e-70, 1e-30, 1e-5;
  graded = scale.asDiagonal() * graded * other.asDiagonal();
  CHECK_FALSE(graded.lu(be).is_singular());
  const Eigen::MatrixXd product = graded.to_dense().lazyProduct(graded.inverse().to_dense());
  CHECK(std::abs(product(2, 2) - 1) <= tolerance<double>(5, 1000));
}

TEST_CASE("Shapes without an inverse say why, and which op needs one", "[monarch]") {
  Cpu be;
  const auto refuse = [&](const MonarchShape<2>& shape, std::initializer_list<std::string_view> parts) {
    const Monarch<2, double> m(shape);
    Tensor<double, 2, Cpu> x(be, {3, m.rows()}), y(be, {3, m.cols()});
    Monarch<2, double> dm(shape);
    const auto named = [&](const std::string& op, const auto& f) {
      require_error(f, {op + ": M is "});
      require_error(f, parts);
    };
    named("monarch_lu", [&] { (void)m.lu(be); });
    named("monarch_inverse", [&] { (void)m.inverse(); });
    named("monarch_solve", [&] { m.solve(be, x.view(), y.view()); });
    named("monarch_solve_vjp", [&] { monarch_solve_vjp(be, m.view(), y.view(), y.view(), x.view(), dm.view()); });
    named("determinant", [&] { (void)m.determinant(); });
  };
  refuse(MonarchShape<2>::rectangular({2, 3}, {3, 3}), {"9 x 6", "square matrix"});
  refuse(MonarchShape<2>::rectangular({4, 3}, {3, 4}), {"12 x 12", "4 x 3 in factor 0", "square blocks", "to_dense"});
  refuse(MonarchShape<2>::linear(10, 10, 4), {"10 x 10", "12 x 12", "without padding"});
}

TEST_CASE("Determinants of wide, narrow and huge matrices", "[monarch]") {
  Rng rng(11);
  // 12 -> 9 -> 12: the rank is at most 9.
  const auto narrow = Monarch<2, double>::random(MonarchShape<2>::rectangular({3, 4}, {4, 3}), rng);
  CHECK(narrow.determinant() == 0.0);
  // 12 -> 16 -> 12 may be regular, and its determinant is no product of those of blocks.
  const auto wide = Monarch<2, double>::random(MonarchShape<2>::rectangular({4, 3}, {3, 4}), rng);
  require_error([&] { (void)wide.determinant(); }, {"determinant", "factor 0", "to_dense"});
  const auto not_square = Monarch<2, double>::random(MonarchShape<2>::rectangular({4, 3}, {3, 3}), rng);
  require_error([&] { (void)not_square.determinant(); }, {"determinant", "9 x 12"});

  Monarch<2, float> large(MonarchShape<2>(32, 32));
  for (int f = 0; f < 2; ++f)
    for (Index i = 0; i < 32; ++i)
      for (Index b = 0; b < 32; ++b) (f == 0 ? large.factor(f)(b, 0, i, i) : large.factor(f)(0, b, i, i)) = -10.0F;
  CHECK(std::isinf(large.determinant()));
  CHECK(large.log_determinant().sign == 1.0);
  CHECK(std::abs(large.log_determinant().log_abs - 2048 * std::log(10.0)) <= tolerance<double>(2048, 5000));
}

TEST_CASE("solve and diagonals take Eigen operands, as a multiply does", "[monarch][eigen]") {
  const auto m = regular_monarch<2, double>(MonarchShape<2>(3, 4), 12);
  const Eigen::MatrixXd dense = m.to_dense(), x = Eigen::MatrixXd::Random(12, 5), image = dense.lazyProduct(x);
  const Eigen::VectorXd d = Eigen::VectorXd::Random(12);
  const double allowed = tolerance<double>(12, 100 * m.condition_bound());
  const auto close = [&](const auto& a, const auto& b) { CHECK((a - b).cwiseAbs().maxCoeff() <= allowed); };
  close(m.solve(image + 0 * image), x);
  close(m.solve(image.col(1)), x.col(1));
  const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = image;
  const auto from_rows = m.solve(rows);
  static_assert(decltype(from_rows)::IsRowMajor);
  close(from_rows, x);
  close((m * d.asDiagonal()).to_dense(), dense * d.asDiagonal());
  close((d.asDiagonal() * m).to_dense(), d.asDiagonal() * dense);
  close((m * (2 * d).asDiagonal()).to_dense(), dense * (2 * d).asDiagonal());
  require_error([&] { (void)m.solve(Eigen::VectorXd::Zero(7)); }, {"M.solve(X)", "12 x 12", "7 x 1"});

  const auto product = lazy_product(m.clone(), m.transpose());
  const Eigen::MatrixXd gram = dense.lazyProduct(dense.transpose());
  close(product.to_dense(), gram);
  close(product * x, gram.lazyProduct(x));
  const double twice = std::pow(m.condition_bound(), 2);
  CHECK((product.solve(product * x) - x).cwiseAbs().maxCoeff() <= tolerance<double>(12, 100 * twice));
  CHECK((product.inverse() * (product * x) - x).cwiseAbs().maxCoeff() <= tolerance<double>(12, 100 * twice));
  const double square = m.determinant() * m.determinant();
  CHECK(std::abs(product.determinant() - square) <= tolerance<double>(12, 100 * square));
}

TEST_CASE("The condition bound is at least the condition number", "[monarch]") {
  const auto m = regular_monarch<3, double>(MonarchShape<3>(3, 2, 4), 13);
  const auto rows = [](const Eigen::MatrixXd& a) { return a.cwiseAbs().rowwise().sum().maxCoeff(); };
  const double condition = rows(m.to_dense()) * rows(m.inverse().to_dense());
  CHECK(m.condition_bound() >= condition * (1 - tolerance<double>(24)));
  auto identity = Monarch<2, double>(MonarchShape<2>(2, 3));
  for (int f = 0; f < 2; ++f)
    for (Index at = 0; at < identity.factor(f).size(); ++at) {
      const Index n = identity.factor(f).extent(2);
      identity.factor(f).data()[at] = at / n % n == at % n ? 1.0 : 0.0;
    }
  CHECK(identity.condition_bound() == 1.0);
}
