#include <m2/monarch.hpp>

#include "m2/ops/elementwise.hpp"
#include "tests/monarch/layouts.hpp"

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

/// True if the CPU's kernels have an order of their own for the weights.
template <class B, class T, int Order>
bool can_be_packed(const MonarchShape<Order>& shape) {
  constexpr Index lanes = detail::register_bytes / static_cast<Index>(sizeof(T));
  bool full = std::same_as<B, Cpu> && Scalar<T>;
  for (const FactorShape& f : shape.factors()) {
    const bool pieces = f.inner < lanes && f.inner * static_cast<Index>(sizeof(T)) == 16;  // of a register
    full = full && (f.inner == 1 ? f.out : pieces ? f.out * f.inner : f.inner) % lanes == 0;
  }
  return full;
}

template <class B, class T, int Order>
void check_packed(const MonarchShape<Order>& shape, Index batch, Layout in, Layout out) {
  B be;
  Rng rng(static_cast<std::uint64_t>(batch + 5 * Order));
  const auto m = normal_monarch<B, T>(shape, rng);
  const PackedMonarch packed(be, m.view());
  REQUIRE((packed.packed().size() > 0) == can_be_packed<B, T>(shape));
  Vectors<T, B> x(be, batch, shape.in_features(), in), y(be, batch, shape.out_features(), out);
  fill_normal(x.view(), rng);
  fill_normal(y.view(), rng);  // what was in y must not matter
  monarch_multiply(be, packed, x.view(), y.view());
  require_product<T>(m.view(), x.view(), y.view());
  y.require_gaps();
}

/// The kernel of packed weights on one thread and on two, called directly where the multiply of this machine's
/// registers does without it, and the multiply that packs them itself where that pays: beside the kernel of contiguous
/// batches, and the definition for the last vector.
template <class T, int Order>
void check_rows(const MonarchShape<Order>& shape, std::initializer_list<Index> batches) {
  Cpu be;
  Rng rng(17);
  const auto m = normal_monarch<Cpu, T>(shape, rng);
  const auto packed = m.packed();
  REQUIRE(packed.packed().size() > 0);
  for (const Index batch : batches) {
    CAPTURE(shape, batch);
    Vectors<T, Cpu> x(be, batch, m.cols(), Layout::gaps), y(be, batch, m.rows(), Layout::gaps);
    Vectors<T, Cpu> columns(be, batch, m.cols(), Layout::batch), expected(be, batch, m.rows(), Layout::batch);
    fill_normal(x.view(), rng);
    copy(be, x.view(), columns.view());
    monarch_multiply(be, m.view(), columns.view(), expected.view());
    const std::vector<double> right = to_host(expected.view());
    const auto check_call = [&](const auto& multiply) {
      fill(be, 7, y.view());
      multiply();
      require_close(to_host(y.view()), right, tolerance<T>(terms_of(shape), 1 + largest(right)));
      y.require_gaps();
    };
    const auto check = [&](const auto& matrix) {
      check_call([&] { monarch_multiply(be, matrix, x.view(), y.view()); });
    };
    const MonarchView<Order, const T, Cpu> view = m.view();
    for (const int threads : {1, 2})
      with_threads(threads, [&] {
        check(packed);
        check_call([&] {
          detail::multiply_rows<T>(detail::monarch_call<T>(shape, view.factors, batch), packed.packed().data(),
                                   {x.view().data(), x.view().stride(0)}, {y.view().data(), y.view().stride(0)});
        });
        if (threads == 2) check(m.view());
      });
    require_product<T>(m.view(), x.view().slice(0, batch - 1, 1), y.view().slice(0, batch - 1, 1));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("Packed weights: what is left over of tiles, several passes, padding, threads", "[monarch]", float,
                   double) {
  using T = TestType;
  constexpr Index lanes = detail::Lanes<T>::count;
  const auto factor = [](Index outer, Index in, Index out, Index inner) { return FactorShape{outer, in, out, inner}; };
  check_rows<T>(MonarchShape<2>(16, 16), {1, 2, 5, 7, 16, 17, 33, 100, 700});
  // Numbers and registers of outputs; registers and outputs. More terms than a pass sums, then than two.
  check_rows<T>(MonarchShape<1>({factor(3, 70, 7 * lanes, 1)}), {1, 2, 5, 33});
  check_rows<T>(MonarchShape<1>({factor(2, 20, 31 * lanes, 1)}), {1, 4, 17});
  check_rows<T>(MonarchShape<1>({factor(2, 300, 5 * lanes, 1)}), {1, 3, 17});
  check_rows<T>(MonarchShape<1>({factor(3, 7, lanes, 1)}), {1, 2});  // one register of outputs
  // Diagonals: fewer inputs than a register, as many, and more that are no multiple.
  check_rows<T>(MonarchShape<1>({factor(5, 1, lanes, 1)}), {1, 2, 13});
  check_rows<T>(MonarchShape<1>({factor(3, 2, 2 * lanes, 1)}), {1, 3, 16});
  check_rows<T>(MonarchShape<1>({factor(3, 3, 5 * lanes, 1)}), {1, 2, 33});
  check_rows<T>(MonarchShape<1>({factor(3, lanes, 9 * lanes, 1)}), {1, 2, 33});
  check_rows<T>(MonarchShape<1>({factor(3, lanes + 1, 8 * lanes, 1)}), {1, 2, 33});
  check_rows<T>(MonarchShape<1>({factor(2, 67, 9, 2 * lanes)}), {1, 2, 3, 4, 5, 33});
  check_rows<T>(MonarchShape<1>({factor(1, 5, 7, lanes)}), {1, 2, 6, 16});
  check_rows<T>(MonarchShape<1>({factor(1, 130, 8, lanes)}), {1, 5, 16});
  check_rows<T>(MonarchShape<3>(5, 7, 16), {1, 2, 16, 33});
  check_rows<T>(MonarchShape<3>(16, 1, 16), {1, 3});
  // The second factor's digits are not the first one's blocks.
  check_rows<T>(MonarchShape<2>({factor(16, 8, 8, lanes), factor(8, 4, 4, 4 * lanes)}), {1, 2, 17, 33});
  // Blocks that are fewer than lanes: several registers of outputs and a single one, several passes, padding.
  constexpr Index piece = 16 / static_cast<Index>(sizeof(T)), outputs = lanes / piece;
  check_rows<T>(MonarchShape<1>({factor(3, 7, 5 * outputs, piece)}), {1, 2, 3, 4, 7, 33, 100});
  check_rows<T>(MonarchShape<1>({factor(1, 300, 8 * outputs, piece)}), {1, 5, 10, 16, 64});
  check_rows<T>(MonarchShape<1>({factor(5, 90, 512 * outputs / lanes, piece)}), {1, 2});  // threads share groups
  const FactorShape narrow = factor(piece, 9, lanes, 1), wide = factor(1, lanes, 7 * outputs, piece);
  check_rows<T>(MonarchShape<2>({narrow, wide}, narrow.in_size() - 3, wide.out_size() - 2), {1, 2, 16, 31, 40});
  // Padding on either side.
  const FactorShape first = factor(71, 16, 3 * lanes, 1), second = factor(1, 71, 33, 3 * lanes);
  check_rows<T>(MonarchShape<2>({first, second}, first.in_size() - 20, second.out_size() - 5), {1, 2, 16, 31, 40});
  // Threads share an odd number of blocks, or of groups of them, of one vector or a few.
  check_rows<T>(MonarchShape<1>({factor(5, 210, 208, 1)}), {1, 2});
  check_rows<T>(MonarchShape<1>({factor(1, 130, 560 / lanes, 3 * lanes)}), {1});
  // Digits a multiple of 4 KiB apart, which are copied side by side.
  check_rows<T>(MonarchShape<1>({factor(1, 20, 24, 1024)}), {16, 20});
}

TEMPLATE_TEST_CASE("A packed Monarch matrix multiplies as the matrix does", "[monarch]", M2_EVERY_ELEMENT) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  const auto check = [](const auto& shape) {
    for (const Layout layout : every_layout)
      for (const Index batch : {1, 3}) check_packed<B, T>(shape, batch, layout, layout);
  };
  for_every_shape(check);
  check(MonarchShape<1>::block_diagonal(10, 32, 2));
  check(MonarchShape<2>(16, 16));
  check_packed<B, T>(MonarchShape<2>(16, 16), 2, Layout::features, Layout::batch);
  check_packed<B, T>(MonarchShape<2>(16, 16), 2, Layout::batch, Layout::features);
}

TEMPLATE_TEST_CASE("A packed Monarch matrix is a snapshot until new weights are assigned", "[monarch]",
                   M2_EVERY_ELEMENT) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Rng rng(2);
  for (const MonarchShape<2>& shape : {MonarchShape<2>(16, 16), MonarchShape<2>(3, 5)}) {
    auto m = normal_monarch<B, T>(shape, rng);
    const auto before = m.clone();
    PackedMonarch<2, T, B> packed = m.packed();
    fill_normal(m.weights(), rng);
    const auto require_multiplies_as = [&](const Monarch<2, T, B>& right) {
      for (const Layout layout : every_layout) {
        Vectors<T, B> x(be, 2, m.cols(), layout), y(be, 2, m.rows(), layout);
        fill_normal(x.view(), rng);
        packed.multiply(be, x.view(), y.view());
        require_product<T>(right.view(), x.view(), y.view());
      }
    };
    require_multiplies_as(before);
    const T* weights = packed.view().factors[0];
    const T* order = packed.packed().data();
    packed.assign(be, m.view());
    CHECK(packed.view().factors[0] == weights);  // in the memory that it has
    CHECK(packed.packed().data() == order);
    CHECK(to_host(packed.view().factor(1)) == to_host(m.factor(1)));
    require_multiplies_as(m);
  }
}

TEST_CASE("The kernels read packed weights where these pay and features are contiguous", "[monarch]") {
  Cpu be;
  Rng rng(3);
  const MonarchShape<2> shape(16, 16);
  const auto m = normal_monarch<Cpu, float>(shape, rng), other = normal_monarch<Cpu, float>(shape, rng);
  const PackedMonarch packed(be, other.view());
  const MonarchView<2, const float, Cpu> view = m.view();
  for (const Index batch : {1, 2, 33}) {
    detail::MonarchCall<float> call = detail::monarch_call<float>(shape, view.factors, batch);
    call.packed = packed.packed().data();
    Vectors<float, Cpu> x(be, batch, 256, Layout::features), y(be, batch, 256, Layout::features);
    fill_normal(x.view(), rng);
    be.monarch_multiply<float>(call, x.view(), y.view());
  }
}

TEMPLATE_TEST_CASE("A packed Monarch matrix names what does not fit", "[monarch]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Monarch<2, T, B> m(MonarchShape<2>(16, 32)), turned(MonarchShape<2>(32, 16));
  PackedMonarch packed(be, m.view());
  CHECK(packed.rows() == 512);
  CHECK(packed.cols() == 512);
  CHECK(packed.parameter_count() == m.parameter_count());
  Tensor<T, 2, B> x(be, {3, 512}), y(be, {3, 512}), narrow(be, {3, 511}), fewer(be, {2, 512});
  require_error([&] { monarch_multiply(be, packed, narrow.view(), y.view()); },
                {"monarch_multiply: M is 512 x 512", "x is (3, 511)", "y is (3, 512)", "are needed"});
  require_error([&] { monarch_multiply(be, packed, x.view(), fewer.view()); }, {"(3, 512)", "y is (2, 512)"});
  require_error([&] { packed.assign(be, turned.view()); },
                {"PackedMonarch::assign: it and the new matrix are 512 x 512, but factor 0 has"});
  Tensor<T, 2, B> none(be, {0, 512}), none_out(be, {0, 512});
  monarch_multiply(be, packed, none.view(), none_out.view());  // an empty batch is no error
}

TEMPLATE_TEST_CASE("packed * X as M * X, and the dense form", "[monarch][eigen]", float, std::complex<double>) {
  using T = TestType;
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
  using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Rng rng(4);
  Cpu be;
  const auto m = Monarch<2, T>::random(MonarchShape<2>(16, 16), rng);
  const auto packed = m.packed();
  Matrix x(256, 3);
  fill_normal(columns_of(x), rng);
  const auto same = [&](const auto& product, const auto& expected) {
    require_close(to_host(columns_of(product)), to_host(columns_of(expected)), tolerance<T>(256, 8));
  };
  const Matrix expected = m * x, twice = m * (x + x);
  same(Matrix(packed * x), expected);
  const RowMajor rows = x;
  const auto from_rows = packed * rows;
  static_assert(decltype(from_rows)::IsRowMajor, "The result has the storage order of X.");
  same(Matrix(from_rows), expected);
  same(Matrix(packed * (x + x)), twice);
  const Eigen::Matrix<T, Eigen::Dynamic, 1> vector = x.col(1), image = packed * vector;
  same(image, Matrix(expected.col(1)));
  same(packed.to_dense(), m.to_dense());
  CHECK(packed.dense_tensor(be).extents() == Extents<2>{256, 256});
  const Matrix short_x(255, 2);
  require_error([&] { (void)(packed * short_x); }, {"M * X: M is 256 x 256, X is 255 x 2"});
}
