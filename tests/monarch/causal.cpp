// The causal Monarch mixer against its dense matrix, its complex Monarch form, and loops over polynomials.
#include "m2/monarch/causal.hpp"

#include <memory>

#include "tests/monarch/polynomial_oracle.hpp"
#include "tests/rapidcheck.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// Random triangles with diagonals 0.6 to 1.4, small below, as random_basis makes them.
template <int Order, class T>
void fill_triangles(const TriangularShape<Order>& shape, T* to, Rng& rng) {
  const auto basis = random_basis<Order, T>(shape.radices(), rng);
  for (int a = 0; a < Order; ++a)
    for (Index c = 0; c < shape.weight(a); ++c)
      for (Index row = 0; row < shape.radix(a); ++row)
        for (Index column = 0; column <= row; ++column)
          to[shape.at(a, c, row, column)] = basis.coefficient(a, c, row, column);
}

/// Everything forward and backward read and write, with gaps between the elements of the activations if gap > 1.
template <int Order, class T, class B>
struct Problem {
  Problem(B& be, Extents<3> x, const CausalMonarchShape<Order>& shape_, CausalMonarchOptions options, Index gap,
          Rng rng, bool with_skip = true)
      : shape(shape_),
        plan(be, x, shape_, options),
        cache(plan.make_cache(be)),
        u(be, x, gap),
        y(be, x, gap),
        dy(be, x, gap),
        du(be, x, gap),
        k(be, {plan.kernel_length(), x[2]}, gap),
        dk(be, {plan.kernel_length(), x[2]}, gap),
        skip(be, {x[2]}, gap),
        dskip(be, {x[2]}, gap),
        coefficients(be, {options.heads, shape.coefficient_count()}),
        dcoefficients(be, {options.heads, shape.coefficient_count()}),
        has_skip(with_skip) {
    fill_normal(u.view(), rng);
    fill_normal(dy.view(), rng);
    fill_normal(k.view(), rng);
    fill_normal(skip.view(), rng);
    for (Index head = 0; head < options.heads; ++head) {
      T* const first = coefficients.data() + head * shape.coefficient_count();
      fill_triangles(shape.kernel_triangles(), first, rng);
      fill_triangles(shape.triangles(), first + shape.input_offset(), rng);
      fill_triangles(shape.triangles(), first + shape.output_offset(), rng);
    }
  }

  View<T, 1, B> skips() { return has_skip ? skip.view() : View<T, 1, B>{}; }
  View<T, 1, B> dskips() { return has_skip ? dskip.view() : View<T, 1, B>{}; }
  void forward(B& be) { plan.forward(be, u.view(), k.view(), skips(), coefficients.view(), y.view(), cache); }
  void backward(B& be) {
    plan.backward(be, u.view(), k.view(), skips(), coefficients.view(), dy.view(), cache, du.view(), dk.view(),
                  dskips(), dcoefficients.view());
  }
  Tensor<T, 3, B> dense(B& be) { return plan.to_dense(be, k.view(), skips(), coefficients.view()); }

  CausalMonarchShape<Order> shape;
  CausalMonarch<Order, T, B> plan;
  typename CausalMonarch<Order, T, B>::Cache cache;
  Strided<T, 3, B> u, y, dy, du;
  Strided<T, 2, B> k, dk;
  Strided<T, 1, B> skip, dskip;
  Tensor<T, 2, B> coefficients, dcoefficients;
  bool has_skip;
};

/// T u of every sample and channel, in double, and the largest sum of |T| |u|.
template <class T, class B>
std::vector<double> dense_times(View<const T, 3, B> dense, View<T, 3, B> u, double& magnitude) {
  std::vector<double> result;
  magnitude = 0;
  for (Index b = 0; b < u.extent(0); ++b)
    for (Index i = 0; i < u.extent(1); ++i)
      for (Index c = 0; c < u.extent(2); ++c) {
        double sum = 0, size = 0;
        for (Index j = 0; j < u.extent(1); ++j) {
          const double term = static_cast<double>(dense(c, i, j)) * static_cast<double>(u(b, j, c));
          sum += term, size += std::abs(term);
        }
        magnitude = std::max(magnitude, size);
        result.push_back(sum);
      }
  return result;
}

/// u = the unit vectors, one a sample.
template <class T, class B>
void fill_units(View<T, 3, B> u) {
  for_every(u, [](T& x, Index) { x = 0; });
  for (Index j = 0; j < u.extent(0); ++j)
    for (Index c = 0; c < u.extent(2); ++c) u(j, j, c) = 1;
}

/// Samples are unit vectors: y must be the columns of T, in both forms, and T lower triangular with no zero below.
template <int Order>
void check_operator(Index length, const std::array<Index, static_cast<std::size_t>(Order)>& radices, Index top_points,
                    Index kernel_length = 0) {
  Cpu be;
  const CausalMonarchShape<Order> shape(radices, length, kernel_length);
  INFO("length " << length << ", order " << Order << ", top radix " << radices[0]);
  Problem<Order, double, Cpu> p(be, {length, length, 2}, shape, {.heads = 2}, 1,
                                Rng(static_cast<std::uint64_t>(length)));
  fill_units(p.u.view());
  p.forward(be);
  const auto dense = p.dense(be);
  const double scale = largest(to_host(dense.view()));
  const double allowed = tolerance<double>(100 * length, scale);
  for (Index c = 0; c < 2; ++c) {
    const auto form = p.plan.monarch_form(be, p.coefficients.view(), c, top_points);
    const Index weight = shape.triangles().weight(0);
    REQUIRE(form.input.rows() == weight * (top_points == 0 ? shape.top_points(length) : top_points));
    Tensor<double, 2, Cpu> u(be, {length, length}), y(be, {length, length}), k(be, {p.plan.kernel_length(), length});
    Tensor<double, 1, Cpu> skip(be, {length});
    for (Index j = 0; j < length; ++j) {  // unit vectors as channels, all with the same kernel
      u.view()(j, j) = 1;
      skip.view()(j) = p.skip.view()(c);
      for (Index i = 0; i < k.extent(0); ++i) k.view()(i, j) = p.k.view()(i, c);
    }
    form.forward(be, u.view(), k.view(), skip.view(), y.view());
    for (Index i = 0; i < length; ++i)
      for (Index j = 0; j < length; ++j) {
        const double expected = dense.view()(c, i, j);
        REQUIRE(std::abs(p.y.view()(j, i, c) - expected) <= allowed);
        REQUIRE(std::abs(y.view()(i, j) - expected) <= allowed);
        if (j > i) {
          REQUIRE(expected == 0);
        } else {
          REQUIRE(expected != 0);
        }
      }
  }
}

}  // namespace

TEST_CASE("causal: identity coefficients are the plain causal convolution", "[monarch][causal]") {
  test::Serial be;
  const auto check = [&](auto shape, Index length, ConvolutionEngine engine) {
    constexpr int order = static_cast<int>(std::tuple_size_v<typename decltype(shape)::Radices>);
    Problem<order, double, test::Serial> p(be, {3, length, 4}, shape, {.heads = 2, .engine = engine}, 2, Rng(1));
    shape.write_identity(std::span<double>(p.coefficients.data(), static_cast<std::size_t>(p.coefficients.size())));
    p.forward(be);
    std::vector<double> expected;
    for (Index b = 0; b < 3; ++b)
      for (Index t = 0; t < length; ++t)
        for (Index c = 0; c < 4; ++c) {
          double sum = p.skip.view()(c) * p.u.view()(b, t, c);
          for (Index s = 0; s <= t; ++s)
            if (t - s < p.plan.kernel_length()) sum += p.k.view()(t - s, c) * p.u.view()(b, s, c);
          expected.push_back(sum);
        }
    require_close(to_host(p.y.view()), expected, tolerance<double>(length, largest(expected)));
  };
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft}) {
    check(CausalMonarchShape<1>({13}), 13, engine);
    check(CausalMonarchShape<2>({4, 4}), 16, engine);
    check(CausalMonarchShape<3>({3, 2, 4}, 23, 7), 23, engine);
    check(CausalMonarchShape<4>::of_length(37), 31, engine);
  }
}

TEST_CASE("causal: both forms are the dense matrix, which is lower triangular and full", "[monarch][causal]") {
  // Lengths and padded radices of math.md D8 with the top digit first: top_points is the padded one.
  check_operator<2>(16, {4, 4}, 8);
  check_operator<2>(36, {4, 9}, 8);
  check_operator<2>(36, {9, 4}, 18);
  check_operator<3>(27, {3, 3, 3}, 6);
  check_operator<4>(16, {2, 2, 2, 2}, 4);
  check_operator<2>(6, {2, 3}, 5);
  check_operator<1>(13, {13}, 25);
  // Lengths that no radices make, orders that the length is too small for, kernels shorter than the sequence.
  check_operator<2>(29, {6, 5}, 0);
  check_operator<3>(31, {4, 3, 3}, 0);
  check_operator<4>(19, {2, 3, 2, 2}, 0);
  check_operator<1>(1, {1}, 0);
  check_operator<2>(3, {1, 4}, 0);
  check_operator<3>(7, {7, 1, 1}, 0);
  check_operator<2>(16, {4, 4}, 0, 16);
}

TEST_CASE("causal: a short kernel needs less padding than twice the length", "[monarch][causal]") {
  Cpu be;
  const auto check = [&](auto shape, Index top_points) {
    constexpr int order = static_cast<int>(std::tuple_size_v<typename decltype(shape)::Radices>);
    Problem<order, double, Cpu> p(be, {1, shape.length(), 1}, shape, {}, 1, Rng(5));
    REQUIRE(shape.top_points(shape.length()) == top_points);
    REQUIRE(p.k.view().extent(0) == shape.kernel_length());
    p.forward(be);
    double magnitude = 0;
    const auto dense = p.dense(be);
    const auto expected = dense_times(dense.view(), p.u.view(), magnitude);
    require_close(to_host(p.y.view()), expected, tolerance<double>(100, magnitude));
    const auto form = p.plan.monarch_form(be, p.coefficients.view());
    form.forward(be, p.u.view().select(0, 0), p.k.view(), p.skip.view(), p.y.view().select(0, 0));
    require_close(to_host(p.y.view()), expected, tolerance<double>(100, magnitude));
    require_error([&] { p.plan.monarch_form(be, p.coefficients.view(), 0, top_points - 1); },
                  {"wrap around", "at least " + std::to_string(top_points)});
  };
  check(CausalMonarchShape<2>({4, 4}, 16, 8), 6);
  check(CausalMonarchShape<2>({4, 4}, 16, 5), 6);
  check(CausalMonarchShape<3>({3, 2, 3}, 18, 12), 5);
  check(CausalMonarchShape<1>({8}, 8, 5), 12);
}

TEST_CASE("causal: Q0 T = Toeplitz(Q1 k) Q2, by polynomials multiplied in loops", "[monarch][causal]") {
  Cpu be;
  const Index n = 29;
  const CausalMonarchShape<3> shape({3, 4, 3}, n);
  Problem<3, double, Cpu> p(be, {1, n, 1}, shape, {}, 1, Rng(6), false);
  const double* const first = p.coefficients.data();
  const auto basis = [&](const TriangularShape<3>& triangles, Index offset) {
    return detail::triangular_basis(triangles, triangles.radix(0), first + offset);
  };
  const auto q0 = basis(shape.triangles(), shape.output_offset()).inverse();
  const auto q1 = basis(shape.kernel_triangles(), 0), q2 = basis(shape.triangles(), shape.input_offset());
  const auto dense = p.dense(be);
  std::vector<double> b(static_cast<std::size_t>(shape.triangles().size()));
  for (Index j = 0; j < n; ++j) {
    const auto q = multiply_factors(q1, j);
    for (std::size_t s = 0; s < b.size(); ++s) b[s] += q[s] * p.k.view()(j, 0);
  }
  std::vector<double> left, right;
  for (Index j = 0; j < n; ++j) {
    std::vector<double> product(static_cast<std::size_t>(n)), convolved(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) {
      const auto q = multiply_factors(q0, i);
      for (std::size_t s = 0; s < product.size(); ++s) product[s] += q[s] * dense.view()(0, i, j);
    }
    const auto q = multiply_factors(q2, j);
    for (std::size_t s = 0; s < convolved.size(); ++s)
      for (std::size_t r = 0; r <= s; ++r) convolved[s] += b[s - r] * q[r];
    left.insert(left.end(), product.begin(), product.end());
    right.insert(right.end(), convolved.begin(), convolved.end());
  }
  require_close(left, right, tolerance<double>(100 * n, largest(right)));
}

TEST_CASE("causal: without any one of the conditions, the Monarch form leaks the future", "[monarch][causal]") {
  Cpu be;
  using Complex = std::complex<double>;
  const Index weight = 4;
  // The largest entry above the diagonal of T of M0^-1 ((M1 k) . (M2 u)), columns by unit vectors.
  const auto leak = [&](const auto& basis0, const auto& basis1, const auto& basis2, Index length, Index top_points,
                        Nodes nodes) {
    const auto m1 = evaluation(be, basis1, top_points, length, nodes);
    const auto m2 = evaluation(be, basis2, top_points, length, nodes);
    const auto inverse = interpolation(be, basis0.inverse(), top_points, length, nodes);
    Tensor<Complex, 2, Cpu> k(be, {length, length}), u(be, {length, length}), y(be, {length, length});
    Rng rng(7);
    for (Index i = 0; i < length; ++i) {
      const double value = rng.normal<double>();
      for (Index row = 0; row < length; ++row) k.view()(row, i) = value;
      u.view()(i, i) = 1;
    }
    polynomial_product(be, m1, k.view(), m2, u.view(), inverse, y.view());
    double above = 0, largest_entry = 0;
    for (Index column = 0; column < length; ++column)
      for (Index i = 0; i < length; ++i) {
        const double entry = std::abs(y.view()(column, i));
        largest_entry = std::max(largest_entry, entry);
        if (i < column) above = std::max(above, entry);
      }
    return above / largest_entry;
  };
  Rng rng(8);
  const auto q0 = random_basis<2, double>({4, weight}, rng), q1 = random_basis<2, double>({4, weight}, rng);
  const auto q2 = random_basis<2, double>({4, weight}, rng);
  const auto wide0 = random_basis<2, double>({8, weight}, rng), wide1 = random_basis<2, double>({8, weight}, rng);
  const auto wide2 = random_basis<2, double>({8, weight}, rng);
  const auto full = random_basis<2, double>({4, weight}, rng, Blocks::full);
  const double round_off = tolerance<double>(1000), future = 1e-3;
  REQUIRE(leak(q0, q1, q2, 16, 8, Nodes::roots_of_unity) <= round_off);
  REQUIRE(leak(q0, full, q2, 16, 8, Nodes::roots_of_unity) <= round_off);   // the kernel is no function of u
  REQUIRE(leak(wide0, q1, q2, 16, 8, Nodes::roots_of_unity) <= round_off);  // M0 needs no bound of degrees
  REQUIRE(leak(q0, q1, q2, 16, 7, Nodes::roots_of_unity) >= future);        // one point less than h_u + h_k
  REQUIRE(leak(q0, q1, q2, 16, 4, Nodes::roots_of_unity) >= future);        // no padding
  REQUIRE(leak(wide0, q1, wide2, 16, 8, Nodes::roots_of_unity) >= future);  // unbounded top degree of u
  REQUIRE(leak(wide0, wide1, q2, 16, 8, Nodes::roots_of_unity) >= future);  // unbounded top degree of k
  REQUIRE(leak(q0, q1, full, 16, 8, Nodes::roots_of_unity) >= future);      // M2 without the triangle
  REQUIRE(leak(q0, q1, q2, 16, 8, Nodes::grid) >= future);                  // no twiddles
}

TEMPLATE_TEST_CASE("causal: a future input moves no output", "[monarch][causal]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  const Index length = 45;
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft}) {
    Problem<3, T, B> p(be, {1, length, 3}, CausalMonarchShape<3>::of_length(length), {.engine = engine}, 1, Rng(9));
    p.forward(be);
    const std::vector<double> before = to_host(p.y.view());
    for (const Index t : {Index{1}, Index{17}, length - 1}) {
      const T saved = p.u.view()(0, t, 1);
      p.u.view()(0, t, 1) = 3;
      p.forward(be);
      const std::vector<double> after = to_host(p.y.view());
      double past = 0;
      for (Index i = 0; i < 3 * length; ++i)
        if (i / 3 < t)
          past = std::max(past, std::abs(after[static_cast<std::size_t>(i)] - before[static_cast<std::size_t>(i)]));
      if (engine == ConvolutionEngine::direct) {
        REQUIRE(past == 0);
      } else {
        REQUIRE(past <= tolerance<T>(length, largest(after)));
      }
      REQUIRE(after[static_cast<std::size_t>(3 * t + 1)] != before[static_cast<std::size_t>(3 * t + 1)]);
      p.u.view()(0, t, 1) = saved;
    }
  }
}

TEMPLATE_TEST_CASE("causal: forward on every backend, type and stride is T u", "[monarch][causal]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  for (const Index gap : {1, 2}) {
    Problem<3, T, B> p(be, {3, 50, 6}, CausalMonarchShape<3>::of_length(50), {.heads = 3}, gap, Rng(10));
    p.forward(be);
    const auto dense = p.dense(be);
    double magnitude = 0;
    const auto expected = dense_times(dense.view(), p.u.view(), magnitude);
    require_close(to_host(p.y.view()), expected, tolerance<T>(300, magnitude));
  }
}

TEST_CASE("causal: the gradients of everything, by central differences", "[monarch][causal]") {
  const auto check = [](auto backend, auto shape, Index length, CausalMonarchOptions options, bool with_skip) {
    using B = decltype(backend);
    B be;
    constexpr int order = static_cast<int>(std::tuple_size_v<typename decltype(shape)::Radices>);
    Problem<order, double, B> p(be, {2, length, 2 * options.heads}, shape, options, 2, Rng(11), with_skip);
    const auto loss = [&] {
      p.forward(be);
      return dot(to_host(p.y.view()), to_host(p.dy.view()));
    };
    loss();
    p.backward(be);
    require_gradient(p.u.view(), to_host(p.du.view()), loss);
    require_gradient(p.k.view(), to_host(p.dk.view()), loss);
    require_gradient(p.coefficients.view(), to_host(p.dcoefficients.view()), loss);
    if (with_skip) require_gradient(p.skip.view(), to_host(p.dskip.view()), loss);
    // Gradients of parameters accumulate, those of activations do not.
    const auto du = to_host(p.du.view()), dk = to_host(p.dk.view()), dc = to_host(p.dcoefficients.view());
    loss();
    p.backward(be);
    REQUIRE(to_host(p.du.view()) == du);
    const auto twice = [](std::vector<double> once) {
      for (double& x : once) x *= 2;
      return once;
    };
    require_close(to_host(p.dk.view()), twice(dk), tolerance<double>(10, largest(dk)));
    require_close(to_host(p.dcoefficients.view()), twice(dc), tolerance<double>(10, largest(dc)));
  };
  check(Cpu{}, CausalMonarchShape<2>({4, 3}), 12, {.heads = 2}, true);
  check(Cpu{}, CausalMonarchShape<3>({4, 2, 2}, 13, 6), 13, {}, false);
  check(test::Serial{}, CausalMonarchShape<1>({9}), 9, {.engine = ConvolutionEngine::monarch_dft}, true);
  check(Cpu{}, CausalMonarchShape<4>({2, 2, 2, 2}, 15), 11, {.heads = 2}, true);
}

TEST_CASE("causal: coefficients of absent positions do nothing", "[monarch][causal]") {
  Cpu be;
  const Index length = 14;  // of 4 x 4, and of a plan for 10 of them
  for (const Index planned : {length, Index{10}}) {
    Problem<2, double, Cpu> p(be, {2, planned, 2}, CausalMonarchShape<2>({4, 4}, length), {}, 1, Rng(12));
    p.forward(be);
    p.backward(be);
    const std::vector<double> before = to_host(p.y.view());
    Index absent = 0;
    for (Index i = 0; i < p.coefficients.size(); ++i)
      if (p.dcoefficients.data()[i] == 0) p.coefficients.data()[i] = 1000, ++absent;
    REQUIRE(absent > 0);
    REQUIRE(absent < p.coefficients.size() / 2);
    p.forward(be);
    REQUIRE(to_host(p.y.view()) == before);
  }
}

TEST_CASE("causal: a shorter sequence sees the first rows and columns of T", "[monarch][causal]") {
  Cpu be;
  const CausalMonarchShape<3> shape({3, 4, 3}, 35);
  Problem<3, double, Cpu> p(be, {1, 35, 2}, shape, {}, 1, Rng(13));
  const auto dense = p.dense(be);
  for (const Index length : {1, 2, 12, 20}) {
    CausalMonarch<3, double, Cpu> plan(be, {1, length, 2}, shape);
    auto cache = plan.make_cache(be);
    const auto u = p.u.view().slice(1, 0, length), y = p.y.view().slice(1, 0, length);
    plan.forward(be, u, p.k.view().slice(0, 0, length), p.skip.view(), p.coefficients.view(), y, cache);
    double magnitude = 0;
    const auto expected = dense_times<double, Cpu>(dense.cview().slice(1, 0, length).slice(2, 0, length), u, magnitude);
    require_close(to_host(y), expected, tolerance<double>(100, magnitude));
  }
}

TEST_CASE("causal: the products cost N times the sum of the radices, sub-quadratically", "[monarch][causal]") {
  for (const Index length : {1024, 4096, 16384}) {
    const auto cost = [&](auto radices) {
      Index size = 1, sum = 0;
      for (const Index r : radices) size *= r, sum += r;
      REQUIRE(size >= length);
      REQUIRE(size < length + length / 8);
      const TriangularShape<static_cast<int>(radices.size())> triangles(radices);
      const auto matrix = triangles.monarch(FactorOrder::top_first, length, length);
      REQUIRE(matrix.parameter_count() <= size * sum);
      REQUIRE(matrix.parameter_count() * 8 >= size * sum * 7);
      return static_cast<double>(size * sum);
    };
    const double n = static_cast<double>(length);
    REQUIRE(cost(causal_radices<1>(length)) == n * n);
    REQUIRE(cost(causal_radices<2>(length)) <= 2.01 * std::pow(n, 1.5));
    REQUIRE(cost(causal_radices<3>(length)) <= 3.2 * std::pow(n, 4.0 / 3));
    REQUIRE(cost(causal_radices<4>(length)) <= 4.5 * std::pow(n, 1.25));
  }
}

TEST_CASE("causal: errors name the shapes", "[monarch][causal]") {
  Cpu be;
  using Shape = CausalMonarchShape<2>;
  require_error([] { Shape({4, 4}, 17); }, {"length 17", "(4, 4)", "16 positions"});
  require_error([] { Shape({4, 4}, 10, 11); }, {"kernel_length 11"});
  require_error([] { Shape({0, 4}); }, {"an extent is 0"});
  require_error([] { Shape({Index{1} << 31, Index{1} << 31}); }, {"does not fit 64 bits"});
  require_error([] { causal_radices<2>(0); }, {"causal_radices", "[1, 2^40]"});
  const Shape shape({4, 4}, 15, 9);
  using Plan = CausalMonarch<2, double, Cpu>;
  require_error([&] { Plan(be, {2, 16, 4}, shape); }, {"(2, 16, 4)", "[1, 15]"});
  require_error([&] { Plan(be, {2, 15, 4}, shape, {.heads = 3}); }, {"(2, 15, 4)", "3 heads"});
  std::vector<double> odd(static_cast<std::size_t>(shape.coefficient_count() + 1));
  require_error([&] { shape.write_identity(std::span<double>(odd)); }, {"no multiple"});
  Problem<2, double, Cpu> p(be, {2, 15, 4}, shape, {}, 1, Rng(1)), q(be, {2, 14, 4}, shape, {}, 1, Rng(1));
  Problem<2, double, Cpu> two(be, {2, 15, 4}, shape, {.heads = 2}, 1, Rng(1));
  const auto u = p.u.view(), y = p.y.view();
  const auto k = p.k.view();
  const auto c = p.coefficients.view();
  require_error([&] { p.plan.forward(be, q.u.view(), k, {}, c, y, p.cache); }, {"u is (2, 14, 4)", "(2, 15, 4)"});
  require_error([&] { p.plan.forward(be, u, k, {}, c, q.y.view(), p.cache); }, {"y is (2, 14, 4)"});
  require_error([&] { p.plan.forward(be, u, k, {}, c, y, q.cache); }, {"the cache holds (2, 14, 4)"});
  auto mixed = p.plan.make_cache(be);  // its parts are of two plans
  mixed.h = q.plan.make_cache(be).h;
  require_error([&] { p.plan.forward(be, u, k, {}, c, y, mixed); }, {"the cache holds (2, 15, 4), (2, 14, 4)"});
  mixed = p.plan.make_cache(be);
  mixed.b = q.plan.make_cache(be).b;
  require_error([&] { p.plan.forward(be, u, k, {}, c, y, mixed); }, {"and (14, 4), make_cache()"});
  require_error([&] { p.plan.forward(be, u, k.slice(0, 0, 8), {}, c, y, p.cache); }, {"k is (8, 4)", "(9, 4)"});
  require_error([&] { p.plan.forward(be, u, k, p.skip.view().slice(0, 0, 3), c, y, p.cache); }, {"skip is (3)"});
  require_error([&] { p.plan.forward(be, u, k, {}, two.coefficients.view(), y, p.cache); }, {"coefficients are (2, "});
  const auto backward = [&](auto dy, auto dk) {
    p.plan.backward(be, u, k, {}, c, dy, p.cache, y, dk, {}, p.dcoefficients.view());
  };
  require_error([&] { backward(q.y.view(), p.dk.view()); }, {"causal_monarch_vjp", "dy is (2, 14, 4)"});
  require_error([&] { backward(p.dy.view(), p.dk.view().slice(0, 0, 8)); }, {"dk is (8, 4)"});
  require_error([&] { static_cast<void>(p.plan.monarch_form(be, c, 1)); }, {"no head 1 of 1"});
}

#ifdef M2_HAS_RAPIDCHECK
namespace {

template <int Order>
void check_random_order() {
  const bool passed = rc::check("order " + std::to_string(Order), [] {
    Cpu be;
    std::array<Index, static_cast<std::size_t>(Order)> radices{};
    const Index most[] = {40, 7, 4, 3};
    for (auto& radix : radices) radix = *rc::gen::inRange<Index>(1, most[Order - 1] + 1);
    const Index size = element_count(radices);
    const Index longest = *rc::gen::inRange<Index>(1, size + 1), length = *rc::gen::inRange<Index>(1, longest + 1);
    const Index kernel_length = *rc::gen::inRange<Index>(1, longest + 1);
    const Index batch = *rc::gen::inRange<Index>(1, 4), heads = *rc::gen::inRange<Index>(1, 4);
    const Index channels = heads * *rc::gen::inRange<Index>(1, 8);
    const auto engine = *rc::gen::element(ConvolutionEngine::direct, ConvolutionEngine::monarch_dft);
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    const CausalMonarchShape<Order> shape(radices, longest, kernel_length);
    Problem<Order, double, Cpu> p(be, {batch, length, channels}, shape, {.heads = heads, .engine = engine}, 1, rng);
    p.forward(be);
    p.backward(be);
    const auto dense = p.dense(be);
    double magnitude = 0;
    const auto expected = dense_times(dense.view(), p.u.view(), magnitude);
    const auto actual = to_host(p.y.view());
    for (std::size_t i = 0; i < expected.size(); ++i)
      RC_ASSERT(std::abs(actual[i] - expected[i]) <= tolerance<double>(10000, 1 + magnitude));
    // y is linear in u and in (k, skip): <u, du> = <k, dk> + <skip, dskip> = <y, dy>.
    const double product = dot(actual, to_host(p.dy.view()));
    double terms = 1;
    for_every(p.dy.view(), [&](double x, Index i) { terms += std::abs(x * actual[static_cast<std::size_t>(i)]); });
    const double allowed = tolerance<double>(10000, terms + magnitude * static_cast<double>(actual.size()));
    RC_ASSERT(std::abs(dot(to_host(p.u.view()), to_host(p.du.view())) - product) <= allowed);
    const double kernel = dot(to_host(p.k.view()), to_host(p.dk.view()));
    RC_ASSERT(std::abs(kernel + dot(to_host(p.skip.view()), to_host(p.dskip.view())) - product) <= allowed);
  });
  REQUIRE(passed);
}

}  // namespace

TEST_CASE("causal: random orders, radices, lengths and heads: T u, and linear in u and in the kernel",
          "[monarch][causal][properties]") {
  check_random_order<1>();
  check_random_order<2>();
  check_random_order<3>();
  check_random_order<4>();
}
#endif
