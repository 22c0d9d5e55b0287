#ifdef _OPENMP
#include <omp.h>
#endif

#include <Eigen/SVD>

#include "m2/projection.hpp"
#include "tests/golden.hpp"
#include "tests/monarch/oracle.hpp"
#include "tests/rapidcheck.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// Three factors whose last two are joined by several paths, and form slices of rank 2.
const MonarchShape<3> two_paths({FactorShape{1, 2, 2, 15}, FactorShape{6, 5, 4, 1}, FactorShape{2, 6, 7, 2}});

template <class T>
using Dense = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

/// The matrix by the loop-only oracle, in double.
template <int Order, class T>
Dense<WideOf<T>> dense_of(const Monarch<Order, T>& m) {
  const auto values = oracle_dense(m.view());
  return Eigen::Map<const Eigen::Matrix<WideOf<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
      values.data(), m.rows(), m.cols());
}

template <class T>
Dense<T> normal_dense(Index rows, Index cols, Rng& rng) {
  Dense<T> dense(rows, cols);
  fill_normal(View<T, 1, Cpu>(dense.data(), {rows * cols}), rng);
  return dense;
}

template <class W>
double relative_distance(const Dense<W>& a, const Dense<W>& b) {
  return (a - b).norm() / b.norm();
}

/// The error that projecting may have where none is necessary: rounded weights in every factor, and sums over the
/// digits.
template <int Order, class T>
double exactness(const MonarchShape<Order>& shape) {
  return tolerance<T>(shape.widest(), Order);
}

template <int Order, class T>
void require_found_again(const MonarchShape<Order>& shape, Rng& rng) {
  const auto m = normal_monarch<Cpu, T>(shape, rng);
  const Dense<WideOf<T>> dense = dense_of(m);
  double error = -1;
  const auto p = project<Order, T>(dense, shape, &error);
  INFO("order " << Order << ", " << shape);
  REQUIRE(p.shape() == shape);
  REQUIRE(relative_distance(dense_of(p), dense) <= exactness<Order, T>(shape));
  REQUIRE(error <= exactness<Order, double>(shape));
}

/// Which outputs of a two-factor shape depend on which inputs, and on how many paths, by following every path.
std::vector<std::vector<Index>> paths_of(const MonarchShape<2>& shape) {
  const FactorShape &f = shape.factor(0), &g = shape.factor(1);
  std::vector<std::vector<Index>> paths(static_cast<std::size_t>(shape.padded_out()),
                                        std::vector<Index>(static_cast<std::size_t>(shape.padded_in()), 0));
  for (Index in = 0; in < shape.padded_in(); ++in)
    for (Index e = 0; e < f.out; ++e) {
      const Index middle = (in / f.inner / f.in * f.out + e) * f.inner + in % f.inner;
      for (Index s = 0; s < g.out; ++s) {
        const Index out = (middle / g.inner / g.in * g.out + s) * g.inner + middle % g.inner;
        ++paths[static_cast<std::size_t>(out)][static_cast<std::size_t>(in)];
      }
    }
  return paths;
}

/// A complex matrix as a real one of twice the size, which has every singular value twice.
const Dense<double>& in_reals(const Dense<double>& a) { return a; }
Dense<double> in_reals(const Dense<std::complex<double>>& a) {
  Dense<double> real(2 * a.rows(), 2 * a.cols());
  real << a.real(), -a.imag(), a.imag(), a.real();
  return real;
}

/// The squared distance of a dense matrix from the Monarch matrices of a two-factor shape: rows and columns of equal
/// path counts, block by block, each by an SVD of its own.
template <class W>
double smallest_energy(const Dense<W>& dense, const MonarchShape<2>& shape) {
  constexpr Index copies = ComplexScalar<W> ? 2 : 1;
  const auto paths = paths_of(shape);
  const FactorShape &f = shape.factor(0), &g = shape.factor(1);
  double energy = 0;
  for (Index a = 0; a < f.blocks(); ++a)
    for (Index b = 0; b < g.blocks(); ++b) {
      std::vector<Index> rows, cols;
      for (Index i = 0; i < shape.out_features(); ++i)
        if (i / g.inner / g.out * g.inner + i % g.inner == b) rows.push_back(i);
      for (Index j = 0; j < shape.in_features(); ++j)
        if (j / f.inner / f.in * f.inner + j % f.inner == a) cols.push_back(j);
      if (rows.empty() || cols.empty()) continue;
      const Index rank = paths[static_cast<std::size_t>(rows[0])][static_cast<std::size_t>(cols[0])];
      const auto side = static_cast<Index>(std::max(rows.size(), cols.size()));
      Dense<W> slice = Dense<W>::Zero(side, side);
      for (std::size_t i = 0; i < rows.size(); ++i)
        for (std::size_t j = 0; j < cols.size(); ++j) {
          REQUIRE(paths[static_cast<std::size_t>(rows[i])][static_cast<std::size_t>(cols[j])] == rank);
          slice(static_cast<Index>(i), static_cast<Index>(j)) = dense(rows[i], cols[j]);
        }
      const Eigen::JacobiSVD<Dense<double>, Eigen::NoQRPreconditioner> svd(in_reals(slice));
      for (Index r = copies * rank; r < copies * side; ++r) energy += std::pow(svd.singularValues()(r), 2) / copies;
    }
  return energy;
}

/// An orthogonal matrix: a product of reflections.
Dense<double> orthogonal(Index n, Rng& rng) {
  Dense<double> q = Dense<double>::Identity(n, n);
  for (int i = 0; i < 6; ++i) {
    const Eigen::VectorXd v = normal_dense<double>(n, 1, rng).col(0).normalized();
    q -= 2 * v * (v.transpose() * q).eval();
  }
  return q;
}

/// One slice that is the whole matrix: Monarch matrices of this shape are the matrices of rank r.
MonarchShape<2> rank_shape(Index rows, Index cols, Index rank) {
  return MonarchShape<2>::butterfly(1, rank, cols, 1, rows, rank);
}

}  // namespace

TEST_CASE("A Monarch matrix of any shape and type is its own projection", "[monarch][projection]") {
  Rng rng(11);
  for_every_shape([&]<int Order>(const MonarchShape<Order>& shape) { require_found_again<Order, double>(shape, rng); });
  require_found_again<3, double>(two_paths, rng);
  const MonarchShape<2> mixed(6, 5);
  require_found_again<2, float>(mixed, rng);
  require_found_again<2, std::complex<float>>(mixed, rng);
  require_found_again<2, std::complex<double>>(mixed, rng);
  require_found_again<2, half>(mixed, rng);
  require_found_again<2, bfloat16>(mixed, rng);
  // Blocks that divide the middle size, that do not, and that are more than it has.
  for (const Index blocks : {1, 2, 4, 5, 6, 7}) {
    require_found_again<2, double>(MonarchShape<2>::linear(12, 12, blocks), rng);
    require_found_again<2, double>(MonarchShape<2>::linear(17, 29, blocks), rng);
    require_found_again<2, double>(MonarchShape<2>::linear(29, 17, blocks), rng);
  }
}

TEST_CASE("Two factors: no Monarch matrix is nearer than the projection", "[monarch][projection]") {
  Rng rng(12);
  const auto check = [&](const MonarchShape<2>& shape) {
    INFO(shape);
    const Dense<double> dense = normal_dense<double>(shape.out_features(), shape.in_features(), rng);
    double error = -1;
    auto p = project<2, double>(dense, shape, &error);
    const double distance = (dense_of(p) - dense).norm();
    const double allowed = exactness<2, double>(shape);
    REQUIRE(std::abs(error - distance / dense.norm()) <= allowed);
    REQUIRE(std::abs(distance - std::sqrt(smallest_energy(dense, shape))) <= allowed * dense.norm());
    for (int trial = 0; trial < 20; ++trial) {  // small and large steps in weight space
      auto other = p.clone();
      const double step = std::pow(10.0, -trial % 5);
      for_every(other.weights(), [&](double& w, Index) { w += step * rng.normal<double>(); });
      REQUIRE((dense_of(other) - dense).norm() >= distance - allowed * dense.norm());
    }
  };
  check({4, 4});
  check({3, 5});
  check({5, 1});
  check(MonarchShape<2>::rectangular({3, 4}, {5, 2}));
  check(MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 6));
  check(MonarchShape<2>::linear(12, 12, 3));  // rank 4 / 3: slices of rank 1 and 2
  check(MonarchShape<2>::linear(10, 14, 4));
  check(MonarchShape<2>::linear(14, 10, 7));  // slices of rank 0
  check(ProjectionOptions<2>{.radices = {4, 6}, .out_radices = {5, 3}, .rank = 3}.shape());

  const MonarchShape<2> shape(3, 4);
  const auto dense = normal_dense<std::complex<double>>(12, 12, rng);
  double error = -1;
  const auto p = project<2, std::complex<double>>(dense, shape, &error);
  const double least = std::sqrt(smallest_energy(dense, shape)), allowed = exactness<2, double>(shape) * dense.norm();
  REQUIRE(std::abs((dense_of(p) - dense).norm() - least) <= allowed);
  REQUIRE(std::abs(error * dense.norm() - least) <= allowed);
}

TEST_CASE("The projection gives the reference code's numbers", "[monarch][projection][golden]") {
  const auto golden = read_golden("ops.json")["ops"]["project_12"];
  Dense<double> dense(12, 12);
  for (Index i = 0; i < 12; ++i)
    for (Index j = 0; j < 12; ++j) dense(i, j) = golden_value(4, 12 * i + j);
  double error = -1;
  const auto p = project<2, double>(dense, {.radices = {4, 3}}, &error);
  const double printed = 1e-11;  // the file holds 12 digits
  require_close(oracle_dense(p.view()), golden["dense_of_projection"].get<std::vector<double>>(), 2 * printed);
  REQUIRE(std::abs(error * dense.norm() - golden["frob_err"].get<double>()) <= 5 * printed);
  // Both weights of a middle position have the same norm, as there.
  double first = 0, second = 0;
  for (Index i = 0; i < 3; ++i) first += std::pow(p.factor(0)(1, 0, 2, i), 2);
  for (Index i = 0; i < 4; ++i) second += std::pow(p.factor(1)(0, 2, i, 1), 2);
  REQUIRE(std::abs(first - second) <= tolerance<double>(4, first));
}

TEST_CASE("Three and more factors: the error is reported, and near the least", "[monarch][projection]") {
  Rng rng(13);
  const auto check = [&]<int Order>(const MonarchShape<Order>& shape, double noise) {
    INFO("order " << Order << ", " << shape << ", noise " << noise);
    const auto m = normal_monarch<Cpu, double>(shape, rng);
    const Dense<double> near = dense_of(m);
    const Dense<double> dense = near + noise * normal_dense<double>(near.rows(), near.cols(), rng);
    double error = -1;
    const auto p = project<Order, double>(dense, shape, &error);
    const double distance = (dense_of(p) - dense).norm(), allowed = exactness<Order, double>(shape) * dense.norm();
    REQUIRE(std::abs(error * dense.norm() - distance) <= allowed);
    REQUIRE(distance <= std::sqrt(Order - 1.0) * (near - dense).norm() + allowed);
    REQUIRE(distance <= dense.norm() + allowed);
  };
  for (const double noise : {1e-6, 0.1, 1.0, 100.0}) {
    check(MonarchShape<3>(3, 4, 2), noise);
    check(MonarchShape<3>(2, 2, 7), noise);  // slices that are wider than high
    check(MonarchShape<3>::rectangular({2, 3, 4}, {3, 2, 5}), noise);
    check(MonarchShape<4>(2, 3, 2, 3), noise);
    check(two_paths, noise);
  }
  // A chain whose features are cut.
  check(MonarchShape<3>(MonarchShape<3>(3, 4, 2).factors(), 21, 19), 0.1);
  // One factor: what lies outside the blocks is lost.
  const auto shape = MonarchShape<1>::block_diagonal(10, 7, 3);
  const Dense<double> ones = Dense<double>::Ones(7, 10);
  double error = -1;
  const auto p = project<1, double>(ones, shape, &error);
  REQUIRE(dense_of(p).sum() == 3 * 4 + 3 * 4 + 1 * 2);
  REQUIRE(std::abs(error - std::sqrt(44.0 / 70.0)) <= tolerance<double>(70));
}

TEST_CASE("Singular values that are close, or far apart, cost no accuracy", "[monarch][projection]") {
  Rng rng(14);
  const Index n = 24;
  const auto check = [&](const Eigen::VectorXd& values, Index rank, Index rows, Index cols) {
    const Index terms = std::min(rows, cols);
    const Dense<double> u = orthogonal(rows, rng), v = orthogonal(cols, rng);
    const Dense<double> dense = u.leftCols(terms) * values.head(terms).asDiagonal() * v.leftCols(terms).transpose();
    const auto p = project<2, double>(dense, rank_shape(rows, cols, rank));
    const double least = values.segment(rank, terms - rank).norm();
    INFO("rank " << rank << ", least " << least);
    REQUIRE((dense_of(p) - dense).norm() <= least * (1 + tolerance<double>(n)) + tolerance<double>(n) * values(0));
  };
  Eigen::VectorXd close(n), equal = Eigen::VectorXd::Ones(n), far(n), gap(n);
  for (Index i = 0; i < n; ++i) {
    close(i) = 1 - 1e-9 * static_cast<double>(i);
    far(i) = std::pow(10.0, -0.7 * static_cast<double>(i));
    gap(i) = i < 5 ? 1 - 1e-3 * static_cast<double>(i) : 1e-9 * far(i - 5);
  }
  for (const Index rank : {1, 2, 5, 11, 23})
    for (const auto& values : {close, equal, far, gap}) {
      check(values, rank, n, n);
      check(values, rank, n, n + 9);
      check(values, rank, n + 9, n);
    }
}

TEST_CASE("Projections of very large, very small and zero matrices", "[monarch][projection]") {
  Rng rng(15);
  const MonarchShape<2> shape(4, 3);
  const Dense<double> dense = normal_dense<double>(12, 12, rng);
  double error = -1, scaled_error = -1;
  const auto p = project<2, double>(dense, shape, &error);
  for (const double scale : {0x1p900, 0x1p-900, -1.0}) {  // exact factors
    const auto q = project<2, double>(scale * dense, shape, &scaled_error);
    REQUIRE(relative_distance<double>(dense_of(q) / scale, dense_of(p)) <= exactness<2, double>(shape));
    REQUIRE(std::abs(scaled_error - error) <= exactness<2, double>(shape));
  }
  const auto zero = project<2, double>(0 * dense, shape, &error);
  REQUIRE(error == 0);
  REQUIRE(largest(to_host(zero.weights())) == 0);
  const auto number = project<3, float>(Eigen::MatrixXf::Constant(1, 1, -3), {.radices = {1, 1, 1}});
  REQUIRE(std::abs(dense_of(number)(0, 0) + 3) <= tolerance<float>(1, 3));
}

TEST_CASE("Any Eigen expression can be projected, on any number of threads", "[monarch][projection]") {
  Rng rng(16);
  const MonarchShape<2> shape(4, 3);
  const Dense<double> dense = normal_dense<double>(12, 12, rng);
  const auto expected = to_host(project<2, double>(dense, shape).weights());
  const auto same = [&](const auto& expression) {
    REQUIRE(to_host(project<2, double>(expression, shape).weights()) == expected);
  };
  same(Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>(dense));
  same(dense.transpose().eval().transpose());
  same(dense + 0 * dense);
  same(dense.array());
  Dense<double> wide(15, 20);
  wide.block(2, 3, 12, 12) = dense;
  same(wide.block(2, 3, 12, 12));
  std::vector<double> memory(2 * 12 * 30);
  Eigen::Map<Dense<double>, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>> map(memory.data(), 12, 12,
                                                                                  Eigen::Stride<-1, -1>(30, 2));
  map = dense;
  same(map);
  REQUIRE(to_host(project<2, double>(dense, {.radices = {4, 3}}).weights()) == expected);
#ifdef _OPENMP
  const int threads = omp_get_max_threads();
  for (const int n : {1, 3}) {
    omp_set_num_threads(n);
    same(dense);
  }
  omp_set_num_threads(threads);
#endif
}

TEST_CASE("The (b1, b2) form of the reference's block-diagonal butterfly", "[monarch][projection]") {
  // Row (l j + g) b2 + z and column k n + i of the matrix, by the einsum of the reference.
  const auto dense_of_blocks = [](View<const double, 3, Cpu> w1, View<const double, 3, Cpu> w2, Index b1, Index b2) {
    const Index k = w1.extent(0), n = w1.extent(2), j = w2.extent(0), l = w2.extent(1) / b2;
    Dense<double> dense = Dense<double>::Zero(l * j * b2, k * n);
    for (Index row = 0; row < dense.rows(); ++row)
      for (Index col = 0; col < dense.cols(); ++col)
        for (Index y = 0; y < b1; ++y) {
          const Index z = row % b2, g = row / b2 % j, out = row / b2 / j;
          dense(row, col) += w2(g, out * b2 + z, col / n * b1 + y) * w1(col / n, g * b1 + y, col % n);
        }
    return dense;
  };
  Cpu be;
  Rng rng(17);
  const Index k = 3, j = 2, n = 5, l = 2, b1 = 2, b2 = 3;
  Strided<double, 3, Cpu> w1(be, {k, j * b1, n}, 2), w2(be, {j, l * b2, k * b1}, 2);
  fill_normal(w1.view(), rng);
  fill_normal(w2.view(), rng);
  Dense<double> dense = dense_of_blocks(w1.view(), w2.view(), b1, b2);
  const auto project_blocks = [&](Index cut) {
    return project_blockdiag_butterfly(be, columns_of(dense).transpose(0, 1), w1.view(), w2.view(), cut);
  };
  REQUIRE(project_blocks(b2) <= tolerance<double>(15));
  REQUIRE(relative_distance(dense_of_blocks(w1.view(), w2.view(), b1, b2), dense) <= tolerance<double>(15));
  dense = normal_dense<double>(12, 15, rng);
  const double error = project_blocks(b2);
  const double distance = relative_distance(dense_of_blocks(w1.view(), w2.view(), b1, b2), dense);
  REQUIRE(std::abs(error - distance) <= tolerance<double>(15));
  require_error([&] { project_blocks(4); }, {"project_blockdiag_butterfly", "(12, 15)", "(2, 6, 6)", "b2 is 4"});
  // With b2 = 1 it is the rank form: the same matrices.
  project_blocks(1);
  const auto p = project<2, double>(dense, {.radices = {k, n}, .out_radices = {6, j}, .rank = b1});
  REQUIRE(relative_distance(dense_of_blocks(w1.view(), w2.view(), b1, 1), dense_of(p)) <= tolerance<double>(15));
}

TEST_CASE("What cannot be projected is an error that says why", "[monarch][projection]") {
  Dense<double> dense = Dense<double>::Ones(12, 12);
  require_error([&] { project<2, double>(dense, {.radices = {4, 4}}); }, {"12 x 12", "(4, 4)", "16 x 16"});
  require_error([&] { project<2, double>(dense.topRows(11), MonarchShape<2>(3, 4)); }, {"11 x 12", "12 x 12"});
  require_error([&] { project<2, double>(dense, {.radices = {3, 4}, .rank = 4}); }, {"(3, 4)", "rank", "4"});
  require_error([&] { project<2, double>(dense, {.radices = {3, 4}, .rank = 0}); }, {"rank is 0"});
  require_error([&] { project<3, double>(dense, {.radices = {3, 2, 2}, .rank = 2}); }, {"rank 2", "3"});
  require_error([&] { project<2, double>(dense, {.radices = {12, 0}}); }, {"0"});
  require_error([&] { project<2, double>(dense, {}); }, {"0"});
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    dense(5, 7) = bad;
    require_error([&] { project<2, double>(dense, {.radices = {3, 4}}); }, {"(5, 7)", "not finite"});
  }
  require_error(
      [] {
        project<2, half>(Eigen::MatrixXd::Constant(4, 4, 1e12), {.radices = {2, 2}});
      },
      {"too large for the element type"});
  // Two paths from an input to an output, in a chain of three factors.
  const MonarchShape<3> meeting({FactorShape{1, 2, 2, 1}, FactorShape{1, 2, 2, 1}, FactorShape{1, 2, 2, 1}});
  require_error([&] { project<3, double>(Eigen::MatrixXd::Ones(2, 2), meeting); }, {"factor 0", "single paths"});
  const MonarchShape<3> crossing({FactorShape{1, 2, 2, 1}, FactorShape{2, 1, 2, 1}, FactorShape{1, 2, 2, 2}});
  require_error([&] { project<3, double>(Eigen::MatrixXd::Ones(4, 2), crossing); }, {"factor 0", "single paths"});
}

#ifdef M2_HAS_RAPIDCHECK
namespace {

template <int Order>
void check_properties() {
  const bool passed = rc::check("order " + std::to_string(Order), [] {
    ProjectionOptions<Order> options;
    for (auto& radix : options.radices) radix = *rc::gen::inRange<Index>(1, 6);
    for (auto& radix : options.out_radices) radix = *rc::gen::inRange<Index>(1, 6);
    if constexpr (Order == 2)
      options.rank = *rc::gen::inRange<Index>(1, 1 + std::min(options.out_radices[0], options.radices[1]));
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    const MonarchShape<Order> shape = options.shape();
    const double allowed = 4 * exactness<Order, double>(shape);

    // Monarch matrices are fixed points, hence the projection of a projection is that projection.
    const Dense<double> dense = normal_dense<double>(shape.out_features(), shape.in_features(), rng);
    const auto m = normal_monarch<Cpu, double>(shape, rng);
    double error = -1, other = -1;
    const Dense<double> monarch = dense_of(m);
    RC_ASSERT((dense_of(project<Order, double>(monarch, options)) - monarch).norm() <= allowed * monarch.norm());
    const Dense<double> once = dense_of(project<Order, double>(dense, options, &error));
    RC_ASSERT((dense_of(project<Order, double>(once, options, &other)) - once).norm() <= allowed * dense.norm());
    RC_ASSERT(other <= allowed);
    RC_ASSERT(error <= 1 + allowed);
    RC_ASSERT(std::abs((once - dense).norm() - error * dense.norm()) <= allowed * dense.norm());
    // The error is orthogonal to the projection, and a multiple of a matrix has the same multiple as its projection.
    RC_ASSERT(std::abs(once.norm() * once.norm() + std::pow((once - dense).norm(), 2) - dense.squaredNorm()) <=
              allowed * dense.squaredNorm());
    const double factor = -3.7;
    const Dense<double> scaled = dense_of(project<Order, double>(factor * dense, options, &other));
    RC_ASSERT(std::abs(other - error) <= allowed);
    RC_ASSERT(std::abs(scaled.norm() - std::abs(factor) * once.norm()) <= allowed * scaled.norm());
    // More rank, less error; all of it, none.
    if constexpr (Order == 2) {
      const Index full = std::min(options.out_radices[0], options.radices[1]);
      for (Index rank = options.rank + 1; rank <= full; ++rank) {
        options.rank = rank;
        project<Order, double>(dense, options, &other);
        RC_ASSERT(other <= error + allowed);
        error = other;
      }
      RC_ASSERT(options.rank < full || error <= allowed);
    }
  });
  REQUIRE(passed);
}

}  // namespace

TEST_CASE("Projection: fixed points, orthogonal error, scaling, monotone in the rank", "[monarch][projection]") {
  check_properties<2>();
  check_properties<3>();
}
#endif
