#include "m2/monarch/circulant.hpp"

#include "tests/monarch/oracle.hpp"
#include "tests/rapidcheck.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// A circulant or Toeplitz matrix by the definition.
template <class W>
DenseMatrix<W> dense_oracle(const std::vector<W>& g, Index rows, Index cols, bool circulant) {
  DenseMatrix<W> dense(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j)
      dense(i, j) = g[static_cast<std::size_t>(circulant ? (i - j + rows) % rows : i - j + cols - 1)];
  return dense;
}

/// A matrix and its transposes against the dense form, and products of any strides and batch.
template <class T, class B, class A>
void check_matrix(B& be, Rng& rng, const A& a, bool circulant) {
  using W = WideOf<T>;
  const Index rows = a.rows(), cols = a.cols();
  const std::vector<W> g = to_wide(a.generator());
  const DenseMatrix<W> dense = dense_oracle(g, rows, cols, circulant);
  const double allowed = tolerance<T>(rows + cols, norm_of(g));
  INFO(rows << " x " << cols << ", radices " << detail::concat({a.radices()}));
  require_dense(be, a, dense, allowed);
  require_dense(be, a.transpose(), dense.transpose(), allowed);
  require_dense(be, a.adjoint(), dense.transpose(true), allowed);
  for (const Index batch : {1, 2, 5}) {
    Strided<T, 2, B> x(be, {batch, cols}, 2), y(be, {rows, batch}, 2);
    fill_normal(x.view(), rng);
    a.multiply(be, x.view(), y.view().transpose(0, 1));
    const DenseMatrix<W> expected = dense * dense_matrix(x.view()).transpose();
    require_close(to_host(y.view()), as_doubles(expected.values), allowed * std::sqrt(static_cast<double>(cols)) * 4);
  }
}

/// Both gradients against central differences, and that the generator's accumulates.
template <class T, class A, class Make>
void check_gradients(Rng& rng, Index batch, Tensor<T, 1, Cpu>& g, const A& a, Make make) {
  Cpu be;
  Tensor<T, 2, Cpu> x(be, {batch, a.cols()}), dy(be, {batch, a.rows()}), dx(be, {batch, a.cols()});
  Tensor<T, 1, Cpu> dg(be, g.extents());
  fill_normal(x.view(), rng);
  fill_normal(dy.view(), rng);
  fill_normal(dg.view(), rng);
  const auto before = to_host(dg.view());
  a.multiply_vjp(be, x.view(), dy.view(), dx.view(), dg.view());
  auto gradient = to_host(dg.view());
  for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= before[i];
  const auto loss = [&] {
    Tensor<T, 2, Cpu> y(be, dy.extents());
    make().multiply(be, x.view(), y.view());
    return dot(to_host(y.view()), to_host(dy.view()));
  };
  require_gradient(x.view(), to_host(dx.view()), loss);
  require_gradient(g.view(), gradient, loss);
}

}  // namespace

TEMPLATE_TEST_CASE("circulant and Toeplitz: the dense matrix, transposes, products", "[monarch][circulant]",
                   (On<Cpu, float>), (On<Serial, std::complex<double>>)) {
  typename TestType::Backend be;
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  Rng rng(11);
  for (const Index n : {1, 2, 7, 12, 30}) {
    const auto c = normal_tensor<T, 1>(be, rng, {n});
    check_matrix<T>(be, rng, Circulant<2, T, B>(be, c.view()), true);
  }
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {1, 6}, {6, 1}, {5, 5}, {4, 9}, {9, 4}}) {
    const auto g = normal_tensor<T, 1>(be, rng, {rows + cols - 1});
    check_matrix<T>(be, rng, Toeplitz<2, T, B>(be, g.view(), rows, cols), false);
  }
}

TEST_CASE("circulant and Toeplitz: three factors, radices of one's own", "[monarch][circulant]") {
  Cpu be;
  Rng rng(12);
  const auto g = normal_tensor<double, 1>(be, rng, {12});
  check_matrix<double>(be, rng, Circulant<3, double, Cpu>(be, g.view(), {2, 3, 2}), true);
  check_matrix<double>(be, rng, Toeplitz<3, double, Cpu>(be, g.view(), 5, 8, {4, 1, 5}), false);
}

TEST_CASE("circulant and Toeplitz: gradients by central differences", "[monarch][circulant]") {
  Cpu be;
  Rng rng(13);
  auto c = normal_tensor<double, 1>(be, rng, {6});
  const auto circulant = [&] { return Circulant<2, double, Cpu>(be, c.view()); };
  check_gradients<double>(rng, 3, c, circulant(), circulant);
  auto g = normal_tensor<double, 1>(be, rng, {7});
  const auto toeplitz = [&] { return Toeplitz<2, double, Cpu>(be, g.view(), 3, 5); };
  check_gradients<double>(rng, 2, g, toeplitz(), toeplitz);
  auto h = normal_tensor<std::complex<double>, 1>(be, rng, {6});
  const auto complex = [&] { return Toeplitz<2, std::complex<double>, Cpu>(be, h.view(), 4, 3); };
  check_gradients<std::complex<double>>(rng, 3, h, complex(), complex);
}

TEST_CASE("circulant and Toeplitz: another generator, errors", "[monarch][circulant]") {
  Cpu be;
  Rng rng(14);
  const auto first = normal_tensor<double, 1>(be, rng, {6}), second = normal_tensor<double, 1>(be, rng, {6});
  Circulant<2, double, Cpu> a(be, first.view());
  a.set_generator(be, second.view());
  REQUIRE(to_host(a.generator()) == to_host(second.view()));
  check_matrix<double>(be, rng, a, true);

  Tensor<double, 2, Cpu> x(be, {2, 6}), y(be, {2, 5});
  Tensor<double, 1, Cpu> g(be, {5});
  require_error([&] { a.multiply(be, x.view(), y.view()); }, {"6 x 6", "(2, 6)", "(2, 5)"});
  require_error([&] { a.multiply_vjp(be, x.view(), x.view(), y.view(), g.view()); }, {"vjp", "(2, 5)", "(5)"});
  require_error([&] { a.set_generator(be, g.view()); }, {"(6)", "(5)"});
  require_error([&] { (Circulant<2, double, Cpu>(be, g.view().slice(0, 0, 0))); }, {"circulant", "0 elements"});
  require_error([&] { (Circulant<2, double, Cpu>(be, g.view(), {2, 3})); }, {"circulant", "5", "(2, 3)", "6"});
  require_error([&] { (Toeplitz<2, double, Cpu>(be, g.view(), 3, 4)); }, {"toeplitz", "3 x 4", "5"});
  require_error([&] { (Toeplitz<2, double, Cpu>(be, g.view(), 3, 3, {2, 2})); }, {"toeplitz", "(2, 2)", "4"});
  require_error([&] { (Toeplitz<2, double, Cpu>(be, g.view(), 6, 0)); }, {"toeplitz", "6 x 0"});
}

#ifdef M2_HAS_RAPIDCHECK
TEST_CASE("circulant and Toeplitz: any size, radices and batch; they commute, and adjoints",
          "[monarch][circulant][properties]") {
  const bool passed = rc::check("circulant", [] {
    Cpu be;
    const std::array<Index, 2> radices{*rc::gen::inRange<Index>(1, 9), *rc::gen::inRange<Index>(1, 9)};
    const Index n = radices[0] * radices[1], batch = *rc::gen::inRange<Index>(1, 6);
    const Index rows = *rc::gen::inRange<Index>(1, n + 1), cols = *rc::gen::inRange<Index>(1, n - rows + 2);
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    const auto c = normal_tensor<double, 1>(be, rng, {n}), d = normal_tensor<double, 1>(be, rng, {n});
    const auto g = normal_tensor<double, 1>(be, rng, {rows + cols - 1});
    const Circulant<2, double, Cpu> a(be, c.view(), radices), b(be, d.view(), radices);
    Tensor<double, 2, Cpu> x(be, {batch, n}), y(be, {batch, n}), ab(be, {batch, n}), ba(be, {batch, n});
    fill_normal(x.view(), rng);
    b.multiply(be, x.view(), y.view());
    a.multiply(be, y.view(), ab.view());
    a.multiply(be, x.view(), y.view());
    b.multiply(be, y.view(), ba.view());
    const double size = static_cast<double>(n), allowed = tolerance<double>(n, 16 * size * size);
    for (Index i = 0; i < ab.size(); ++i) RC_ASSERT(std::abs(ab.data()[i] - ba.data()[i]) <= allowed);

    const Toeplitz<2, double, Cpu> t(be, g.view(), rows, cols, radices);
    const auto expected = dense_oracle(to_wide(g.view()), rows, cols, false).values;
    const auto dense = to_host(t.dense_tensor(be).view());
    for (std::size_t i = 0; i < dense.size(); ++i) RC_ASSERT(std::abs(dense[i] - expected[i]) <= allowed);
    Tensor<double, 2, Cpu> u(be, {batch, cols}), v(be, {batch, rows}), tu(be, {batch, rows}), tv(be, {batch, cols});
    Tensor<double, 1, Cpu> dg(be, g.extents());
    fill_normal(u.view(), rng);
    fill_normal(v.view(), rng);
    t.multiply(be, u.view(), tu.view());
    t.multiply_vjp(be, u.view(), v.view(), tv.view(), dg.view());
    const double product = dot(to_host(tu.view()), to_host(v.view()));
    RC_ASSERT(std::abs(dot(to_host(u.view()), to_host(tv.view())) - product) <= allowed * 16);
    RC_ASSERT(std::abs(dot(to_host(g.view()), to_host(dg.view())) - product) <= allowed * 16);
  });
  REQUIRE(passed);
}
#endif
