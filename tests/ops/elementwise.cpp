#include "m2/ops/elementwise.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// f of the elements of two arrays.
template <class F>
std::vector<double> combine(const std::vector<double>& a, const std::vector<double>& b, F f) {
  std::vector<double> result(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) result[i] = f(a[i], b[i]);
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("elementwise ops are their formulas for any strides", "[ops][elementwise]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(1);
  for (const Index gap : {1, 2}) {
    Strided<T, 3, B> a(be, {3, 5, 7}, gap), b(be, {3, 5, 7}), y(be, {3, 5, 7}, gap), z(be, {3, 5, 7}, gap);
    fill_normal(a.view(), rng);
    fill_normal(b.view(), rng);
    const std::vector<double> left = to_host(a.view()), right = to_host(b.view());
    const double allowed = tolerance<T>(1, 4);

    fill(be, 3, y.view());
    require_close(to_host(y.view()), std::vector<double>(left.size(), 3.0), 0);
    copy(be, a.view(), y.view());
    require_close(to_host(y.view()), left, 0);
    add(be, a.view(), b.view(), y.view());
    require_close(to_host(y.view()), combine(left, right, [](double p, double q) { return p + q; }), allowed);
    accumulate(be, a.view(), y.view());
    require_close(to_host(y.view()), combine(left, right, [](double p, double q) { return 2 * p + q; }), 2 * allowed);
    m2::scale(be, -2, a.view(), y.view());
    require_close(to_host(y.view()), combine(left, right, [](double p, double) { return -2 * p; }), 0);
    multiply(be, a.view(), b.view(), y.view());
    require_close(to_host(y.view()), combine(left, right, [](double p, double q) { return p * q; }), 4 * allowed);

    copy(be, b.view(), y.view());  // in place: dy = b becomes da = a b; db = a b
    multiply_vjp(be, b.view(), a.view(), y.view(), y.view(), z.view());
    require_close(to_host(y.view()), combine(left, right, [](double p, double q) { return p * q; }), 4 * allowed);
    require_close(to_host(z.view()), combine(left, right, [](double, double q) { return q * q; }), 4 * allowed);
  }
}

TEMPLATE_TEST_CASE("copy moves any permutation of dimensions", "[ops][elementwise]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(2);
  for (const Extents<3>& extents :
       {Extents<3>{2, 3, 4}, Extents<3>{3, 70, 37}, Extents<3>{1, 33, 1}, Extents<3>{0, 3, 4}})
    for (const Index gap : {1, 2})
      for (const auto& [p, q] : {std::pair{0, 1}, std::pair{1, 2}, std::pair{0, 2}}) {
        Extents<3> exchanged = extents;
        std::swap(exchanged[static_cast<std::size_t>(p)], exchanged[static_cast<std::size_t>(q)]);
        Strided<T, 3, B> x(be, extents), y(be, exchanged, gap), back(be, extents, gap);
        fill_normal(x.view(), rng);
        copy(be, x.view().transpose(p, q), y.view());
        require_close(to_host(y.view()), to_host(x.view().transpose(p, q)), 0);
        copy(be, y.view(), back.view().transpose(p, q));
        require_close(to_host(back.view()), to_host(x.view()), 0);
      }
  Tensor<T, 4, B> x(be, {2, 3, 5, 4}), y(be, {4, 3, 5, 2});
  fill_normal(x.view(), rng);
  copy(be, x.view().transpose(0, 3), y.view());
  require_close(to_host(y.view()), to_host(x.view().transpose(0, 3)), 0);
}

TEMPLATE_TEST_CASE("bias is added to every row and its gradient sums them", "[ops][elementwise]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(3);
  for (const Index channels : {1, 5, 48, 130})
    for (const Index gap : {1, 2}) {
      Strided<T, 1, B> bias(be, {channels}, gap), dbias(be, {channels}, gap);
      Strided<T, 3, B> y(be, {2, 19, channels}, gap);
      fill_normal(bias.view(), rng);
      fill_normal(dbias.view(), rng);
      fill_normal(y.view(), rng);
      std::vector<double> expected = to_host(y.view()), gradient = to_host(dbias.view());
      const std::vector<double> shift = to_host(bias.view());
      const auto width = static_cast<std::size_t>(channels);
      for (std::size_t i = 0; i < expected.size(); ++i) gradient[i % width] += expected[i];
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += shift[i % width];
      add_bias_vjp(be, y.view(), dbias.view());
      require_close(to_host(dbias.view()), gradient, tolerance<T>(38, 4));
      add_bias(be, bias.view(), y.view());
      require_close(to_host(y.view()), expected, tolerance<T>(1, 8));
    }
}

TEMPLATE_TEST_CASE("the bias gradient takes any rank", "[ops][elementwise]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 1, B> vector(be, {6}), dbias(be, {6});
  Tensor<T, 4, B> deep(be, {2, 3, 2, 6}), empty(be, {2, 0, 2, 6});
  fill(be, 2, vector.view());
  fill(be, 1, deep.view());
  add_bias_vjp(be, vector.cview(), dbias.view());
  add_bias_vjp(be, deep.view().transpose(0, 1), dbias.view());
  add_bias_vjp(be, empty.view(), dbias.view());
  require_close(to_host(dbias.view()), std::vector<double>(6, 14.0), 0);
}

TEST_CASE("multiply_vjp is the gradient of multiply", "[ops][elementwise]") {
  Cpu be;
  Rng rng(4);
  Tensor<double, 2, Cpu> a(be, {3, 4}), b(be, {3, 4}), y(be, {3, 4}), dy(be, {3, 4}), da(be, {3, 4}), db(be, {3, 4});
  fill_normal(a.view(), rng);
  fill_normal(b.view(), rng);
  fill_normal(dy.view(), rng);
  multiply_vjp(be, a.view(), b.view(), dy.view(), da.view(), db.view());
  const auto loss = [&] {
    multiply(be, a.view(), b.view(), y.view());
    return dot(to_host(y.view()), to_host(dy.view()));
  };
  require_gradient(a.view(), to_host(da.view()), loss);
  require_gradient(b.view(), to_host(db.view()), loss);
}

TEMPLATE_TEST_CASE("elementwise ops name the shapes that do not fit", "[ops][elementwise]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 2, B> x(be, {2, 3}), y(be, {2, 4});
  Tensor<T, 1, B> bias(be, {3});
  require_error([&] { copy(be, x.view(), y.view()); }, {"copy: x is (2, 3), y is (2, 4)"});
  require_error([&] { add(be, y.view(), x.view(), y.view()); }, {"add: a is (2, 4), b is (2, 3), y is (2, 4)"});
  require_error([&] { accumulate(be, x.view(), y.view()); }, {"accumulate: x is (2, 3)"});
  require_error([&] { m2::scale(be, 2, x.view(), y.view()); }, {"scale: x is (2, 3)"});
  require_error([&] { multiply(be, x.view(), y.view(), y.view()); }, {"multiply: a is (2, 3)"});
  require_error([&] { multiply_vjp(be, x.view(), x.view(), x.view(), x.view(), y.view()); },
                {"multiply_vjp", "db is (2, 4)"});
  require_error([&] { add_bias(be, bias.view(), y.view()); }, {"add_bias: bias is (3), y is (2, 4)"});
  require_error([&] { add_bias_vjp(be, y.view(), bias.view()); }, {"add_bias_vjp: dy is (2, 4), dbias is (3)"});
}
