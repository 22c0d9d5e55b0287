#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// A batch of matrices in one of the layouts that gemm must take: rows or columns contiguous, neither, or one matrix
/// repeated along a leading dimension by stride 0.
enum class Layout { rows, columns, strided, repeat_first, repeat_second };
constexpr Layout layouts[] = {Layout::rows, Layout::columns, Layout::strided, Layout::repeat_first,
                              Layout::repeat_second};

template <class T, class B>
class Matrices {
 public:
  Matrices(B& be, Layout layout, Extents<4> e, Rng& rng)
      : tensor_(be, layout == Layout::columns ? Extents<4>{e[0], e[1], e[3], e[2]} : e,
                layout == Layout::strided ? 2 : 1) {
    fill_normal(tensor_.view(), rng);
    view_ = layout == Layout::columns ? tensor_.view().transpose(2, 3) : tensor_.view();
    Extents<4> strides = view_.strides();
    if (layout == Layout::repeat_first) strides[0] = 0;
    if (layout == Layout::repeat_second) strides[1] = 0;
    view_ = {view_.data(), view_.extents(), strides};
  }
  View<T, 4, B> view() { return view_; }

 private:
  Strided<T, 4, B> tensor_;
  View<T, 4, B> view_;
};

/// c (+)= a b by its definition, in double.
template <class T, class B>
std::vector<double> product(View<const T, 4, B> a, View<const T, 4, B> b, View<const T, 4, B> c, bool accumulate) {
  std::vector<double> result;
  for (Index g = 0; g < c.extent(0); ++g)
    for (Index h = 0; h < c.extent(1); ++h)
      for (Index i = 0; i < c.extent(2); ++i)
        for (Index j = 0; j < c.extent(3); ++j) {
          double total = accumulate ? static_cast<double>(c(g, h, i, j)) : 0.0;
          for (Index k = 0; k < a.extent(3); ++k)
            total += static_cast<double>(a(g, h, i, k)) * static_cast<double>(b(g, h, k, j));
          result.push_back(total);
        }
  return result;
}

template <class T, class B>
void require_product(B& be, View<const T, 4, B> a, View<const T, 4, B> b, View<T, 4, B> c, bool accumulate) {
  const std::vector<double> expected = product<T, B>(a, b, c, accumulate);
  be.gemm(a, b, c, accumulate);
  require_close(to_host(c), expected, tolerance<T>(a.extent(3), 10));
}

}  // namespace

TEMPLATE_TEST_CASE("gemm is the matrix product for every pair of layouts", "[backend][gemm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(1);
  const Index groups = 2, batch = 3, m = 5, n = 7, k = 4;
  for (const Layout a_layout : layouts)
    for (const Layout b_layout : layouts)
      for (const Layout c_layout : {Layout::rows, Layout::columns, Layout::strided}) {
        Matrices<T, B> a(be, a_layout, {groups, batch, m, k}, rng), b(be, b_layout, {groups, batch, k, n}, rng),
            c(be, c_layout, {groups, batch, m, n}, rng);
        INFO("layouts " << static_cast<int>(a_layout) << static_cast<int>(b_layout) << static_cast<int>(c_layout));
        require_product<T, B>(be, a.view(), b.view(), c.view(), false);
        require_product<T, B>(be, a.view(), b.view(), c.view(), true);
      }
}

TEMPLATE_TEST_CASE("gemm takes vectors, single elements and empty sums", "[backend][gemm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(2);
  const Extents<3> shapes[] = {{1, 1, 1}, {1, 6, 3}, {6, 1, 3}, {6, 3, 1}, {1, 1, 9}, {3, 4, 0}, {0, 4, 3}, {4, 0, 3}};
  for (const Extents<3>& shape : shapes)
    for (const Layout layout : {Layout::rows, Layout::columns, Layout::strided}) {
      const Index m = shape[0], n = shape[1], k = shape[2];
      Matrices<T, B> a(be, layout, {1, 2, m, k}, rng), b(be, layout, {1, 2, k, n}, rng),
          c(be, layout, {1, 2, m, n}, rng);
      require_product<T, B>(be, a.view(), b.view(), c.view(), false);
      require_product<T, B>(be, a.view(), b.view(), c.view(), true);
    }
}

TEMPLATE_TEST_CASE("gemm checks shapes", "[backend][gemm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 4, B> a(be, {1, 2, 3, 4}), b(be, {1, 2, 5, 6}), c(be, {1, 2, 3, 6});
  require_error([&] { be.template gemm<T>(a.view(), b.view(), c.view(), false); },
                {"gemm", "(1, 2, 3, 4)", "(1, 2, 5, 6)", "(1, 2, 3, 6)"});
}

TEMPLATE_TEST_CASE("gemm for single matrices", "[backend][gemm]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(3);
  Strided<T, 2, B> a(be, {6, 5}, 2), b(be, {3, 5}), c(be, {6, 3}, 2);
  fill_normal(a.view(), rng);
  fill_normal(b.view(), rng);
  gemm(be, a.view(), b.view().transpose(0, 1), c.view());
  std::vector<double> expected;
  for (Index i = 0; i < 6; ++i)
    for (Index j = 0; j < 3; ++j) {
      double total = 0;
      for (Index k = 0; k < 5; ++k) total += static_cast<double>(a.view()(i, k)) * static_cast<double>(b.view()(j, k));
      expected.push_back(total);
    }
  require_close(to_host(c.view()), expected, tolerance<T>(5, 10));
}

TEST_CASE("gemm is right on any number of threads, in groups and split", "[backend][gemm][threads]") {
  Cpu be;
  Rng rng(4);
  for (const Extents<3>& shape : {Extents<3>{6, 40, 30}, Extents<3>{1, 150, 40}, Extents<3>{1, 40, 150}}) {
    const Index groups = shape[0], m = shape[1], n = shape[2];
    Tensor<float, 4, Cpu> a(be, {groups, 1, m, 20}), b(be, {groups, 1, 20, n}), c(be, {groups, 1, m, n});
    fill_normal(a.view(), rng);
    fill_normal(b.view(), rng);
    const std::vector<double> expected = product<float, Cpu>(a.view(), b.view(), c.view(), false);
    for (const int threads : {1, 2, 3}) {
      with_threads(threads, [&] { be.gemm<float>(a.view(), b.view(), c.view(), false); });
      require_close(to_host(c.view()), expected, tolerance<float>(20, 10));
    }
  }
}

TEMPLATE_TEST_CASE("for_each visits every index once", "[backend]", Cpu, Serial) {
  TestType be;
  for (const Index n : {Index{0}, Index{1}, Index{100}, Index{40000}}) {
    Tensor<float, 1, TestType> visits(be, {n});
    const View<float, 1, TestType> v = visits.view();
    for (const int threads : {1, 3}) {
      const float before = static_cast<float>(threads == 1 ? 0 : 1);
      with_threads(threads, [&] { be.for_each(n, [v](Index i) { v(i) += 1; }); });
      require_close(to_host(v), std::vector<double>(static_cast<std::size_t>(n), static_cast<double>(before + 1)), 0);
    }
  }
}

TEMPLATE_TEST_CASE("for_rows gives each row a team that sums and finds the largest", "[backend]", Cpu, Serial) {
  using Team = typename TestType::Team;
  TestType be;
  for (const Extents<2>& shape : {Extents<2>{3, 7}, Extents<2>{70, 300}, Extents<2>{1, 1}}) {
    const Index rows = shape[0], width = shape[1];
    Tensor<double, 2, TestType> x(be, {rows, width}), twice(be, {rows, width});
    Tensor<double, 1, TestType> sums(be, {rows}), largest_of_row(be, {rows});
    Rng rng(5);
    fill_normal(x.view(), rng);
    const auto in = x.view(), out = twice.view();
    const auto sum = sums.view(), top = largest_of_row.view();
    for (const int threads : {1, 3}) {
      with_threads(threads, [&] {
        be.for_rows(rows, width, [=](Index row, const Team& team) {
          team.each([&](Index j) { out(row, j) = 2 * in(row, j); });
          sum(row) = team.sum([&](Index j) { return in(row, j); });
          top(row) = team.max([&](Index j) { return in(row, j); });
        });
      });
      for (Index row = 0; row < rows; ++row) {
        double total = 0, best = in(row, 0);
        for (Index j = 0; j < width; ++j) {
          total += in(row, j);
          best = std::max(best, in(row, j));
          REQUIRE(out(row, j) == 2 * in(row, j));
        }
        REQUIRE(std::abs(sum(row) - total) <= tolerance<double>(width, 10));
        REQUIRE(top(row) == best);
      }
    }
  }
}

TEMPLATE_TEST_CASE("sum adds in an order of its own", "[backend]", Cpu, Serial) {
  TestType be;
  REQUIRE(be.sum(0, [](Index) { return 1.0; }) == 0.0);
  for (const Index n : {Index{1}, Index{4096}, Index{4097}, Index{50000}}) {
    const auto term = [](Index i) { return std::sin(static_cast<double>(i)); };
    double expected = 0;
    for (Index i = 0; i < n; ++i) expected += term(i);
    double one = 0, three = 0;
    with_threads(1, [&] { one = be.sum(n, term); });
    with_threads(3, [&] { three = be.sum(n, term); });
    REQUIRE(one == three);  // the same bits
    REQUIRE(std::abs(one - expected) <= tolerance<double>(n));
  }
}

TEMPLATE_TEST_CASE("scatter_add_rows adds repeated rows in order", "[backend]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(6);
  for (const Extents<3>& shape : {Extents<3>{9, 5, 1}, Extents<3>{9, 5, 2}, Extents<3>{300, 70, 1}}) {
    const Index rows = shape[0], width = shape[1], gap = shape[2];
    Strided<std::int32_t, 1, B> ids(be, {rows}, gap);
    Strided<T, 2, B> x(be, {rows, width}, gap), table(be, {4, width}, gap);
    fill_normal(x.view(), rng);
    fill_normal(table.view(), rng);
    for_every(ids.view(), [&](std::int32_t& id, Index) { id = static_cast<std::int32_t>(rng.below(4)); });
    const std::vector<double> start = to_host(table.view());
    std::vector<T> expected(start.begin(), start.end());
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < width; ++j) expected[static_cast<std::size_t>(ids.view()(r) * width + j)] += x.view()(r, j);
    with_threads(2, [&] { be.template scatter_add_rows<T>(ids.view(), x.view(), table.view()); });
    require_close(to_host(table.view()), std::vector<double>(expected.begin(), expected.end()), 0);
  }
}

TEMPLATE_TEST_CASE("upload and download are inverse", "[backend]", Cpu, Serial) {
  TestType be;
  const std::vector<float> host{1, 2, 3};
  auto buffer = be.template allocate<float>(3);
  REQUIRE(buffer.data()[2] == 0.0F);
  be.upload(host.data(), buffer.data(), 3);
  std::vector<float> back(3);
  be.download(static_cast<const float*>(buffer.data()), back.data(), 3);
  be.synchronize();
  REQUIRE(back == host);
}

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define M2_TEST_ADDRESS_SANITIZER
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(M2_TEST_ADDRESS_SANITIZER)  // it ends programs that ask for too much
TEST_CASE("thread_scratch gives memory again after there was not enough", "[backend]") {
  struct Tag;
  REQUIRE(detail::thread_scratch<Tag, float>(100) != nullptr);
  REQUIRE_THROWS_MATCHES((detail::thread_scratch<Tag, float>(Index{1} << 60)), OutOfMemory,
                         Catch::Matchers::Message("allocate: there is no memory for 4611686018427387904 bytes"));
  REQUIRE(detail::thread_scratch<Tag, float>(10) != nullptr);
}
#endif

TEST_CASE("What a part of parallel work throws reaches the caller", "[backend]") {
  for (const int threads : {1, 2, 5}) {
    INFO(threads << " threads");
    require_error(
        [&] {
          m2::detail::parallel_parts(4, threads, [](Index part) { M2_REQUIRE(part != 2, "part ", part, " failed"); });
        },
        {"part 2 failed"});
  }
}

TEST_CASE("Steps of one team follow one another, and what a part throws reaches the caller", "[cpu]") {
  constexpr Index steps = 50;
  for (const int threads : {1, 2, 3}) {
    INFO(threads << " threads");
    // Every part adds what all parts of the step before have made.
    std::vector<std::vector<long>> made(steps, std::vector<long>(static_cast<std::size_t>(threads), 1));
    m2::detail::parallel_steps(steps, threads, [&](Index step, Index part) {
      if (step == 0) return;
      long sum = 0;
      for (const long value : made[static_cast<std::size_t>(step - 1)]) sum += value;
      made[static_cast<std::size_t>(step)][static_cast<std::size_t>(part)] = sum % 1009;
    });
    long expected = 1;
    for (Index step = 1; step < steps; ++step) expected = expected * threads % 1009;
    for (const long value : made.back()) REQUIRE(value == expected);
    require_error(
        [&] {
          m2::detail::parallel_steps(3, threads, [&](Index step, Index part) {
            M2_REQUIRE(step != 1 || part + 1 != threads, "part ", part, " of step ", step, " failed");
          });
        },
        {"of step 1 failed"});
  }
}
