#include "m2/monarch/conventions.hpp"

#include "tests/monarch/oracle.hpp"
#include "tests/rapidcheck.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// Built by the literal definitions: no code of the library in it.
using Dense = DenseMatrix<double>;

/// P_(b,n)[i, (i mod b) n/b + i div b] = 1.
Dense stride_matrix(Index b, Index n) {
  Dense p(n, n);
  for (Index i = 0; i < n; ++i) p(i, i % b * (n / b) + i / b) = 1;
  return p;
}

/// Blocks (count, out, in) on the diagonal.
template <class B>
Dense block_diagonal(View<const double, 3, B> w) {
  const Index count = w.extent(0), out = w.extent(1), in = w.extent(2);
  Dense d(count * out, count * in);
  for (Index k = 0; k < count; ++k)
    for (Index i = 0; i < out; ++i)
      for (Index j = 0; j < in; ++j) d(k * out + i, k * in + j) = w(k, i, j);
  return d;
}

template <class B>
struct Blocks {
  Blocks(B& be, Rng& rng, const Extents<3>& extents) : strided(be, extents, 2) { fill_normal(strided.view(), rng); }
  View<const double, 3, B> view() { return strided.view(); }
  Strided<double, 3, B> strided;
};

template <class B, class A>
void require_equal(B& be, const A& a, const Dense& expected) {
  REQUIRE(a.rows() == expected.rows);
  REQUIRE(a.cols() == expected.cols);
  require_close(to_host(a.dense_tensor(be).view()), expected.values,
                tolerance<double>(expected.cols, largest(expected.values)));
}

template <class B>
void require_same(View<const double, 3, B> a, View<const double, 3, B> b) {
  REQUIRE(a.extents() == b.extents());
  REQUIRE(to_host(a) == to_host(b));
}

}  // namespace

TEMPLATE_TEST_CASE("conventions: reference weights are P^T W2 P W1, and come back", "[monarch][conventions]", Cpu,
                   Serial) {
  using B = TestType;
  B be;
  Rng rng(18);
  const Index k = 3, q = 4, p = 5, l = 2, s = 7, r = 6;
  Blocks<B> w1(be, rng, {k, q, p}), w2(be, rng, {l, s, r});
  const auto m = monarch_from_reference<double>(be, w1.view(), w2.view());
  require_equal(be, m,
                stride_matrix(l, l * s) * block_diagonal(w2.view()) * stride_matrix(l, l * r).transpose() *
                    block_diagonal(w1.view()));
  const auto back = reference_weights(m.view());
  require_same<B>(back.w1, w1.view());
  require_same<B>(back.w2, w2.view());
}

TEST_CASE("conventions: einsum variants A, B and C by their sums", "[monarch][conventions]") {
  Cpu be;
  Rng rng(19);
  const Index k = 2, j = 3, i = 4, l = 5, rank = 2, b1 = 2, b2 = 3;
  const auto x_of = [&](Index block, Index at) { return block * i + at; };
  Blocks<Cpu> a1(be, rng, {k, j, i}), a2(be, rng, {j, l, k});
  Blocks<Cpu> c1(be, rng, {k, rank * j, i}), c2(be, rng, {j, l, k * rank});
  Blocks<Cpu> v1(be, rng, {k, j * b1, i}), v2(be, rng, {j, l * b2, k * b1});
  Dense a(l * j, k * i), b(l * j * b2, k * i), c(l * j, k * i);
  for (Index kk = 0; kk < k; ++kk)
    for (Index ii = 0; ii < i; ++ii)
      for (Index ll = 0; ll < l; ++ll)
        for (Index jj = 0; jj < j; ++jj) {
          a(ll * j + jj, x_of(kk, ii)) += a2.view()(jj, ll, kk) * a1.view()(kk, jj, ii);
          for (Index y = 0; y < rank; ++y)
            c(ll * j + jj, x_of(kk, ii)) += c2.view()(jj, ll, kk * rank + y) * c1.view()(kk, y * j + jj, ii);
          for (Index y = 0; y < b1; ++y)
            for (Index z = 0; z < b2; ++z)
              b((ll * j + jj) * b2 + z, x_of(kk, ii)) +=
                  v2.view()(jj, ll * b2 + z, kk * b1 + y) * v1.view()(kk, jj * b1 + y, ii);
        }
  require_equal(be, monarch_from_reference<double>(be, a1.view(), a2.view()), a);
  require_equal(be, monarch_from_reference<double>(be, c1.view(), c2.view()), c);
  const auto m = monarch_from_einsum_b<double>(be, v1.view(), v2.view(), b1, b2);
  require_equal(be, m, b);
  Tensor<double, 3, Cpu> w1(be, v1.view().extents()), w2(be, v2.view().extents());
  einsum_b_weights<double>(be, m.monarch(), b1, w1.view(), w2.view());
  require_same<Cpu>(w1.view(), v1.view());
  require_same<Cpu>(w2.view(), v2.view());
}

TEST_CASE("conventions: P L P^T R, P L P R P and the listing, any block size", "[monarch][conventions]") {
  Cpu be;
  Rng rng(20);
  for (const auto& [b, blocks] : {std::pair<Index, Index>{4, 4}, {2, 6}, {6, 2}, {1, 3}, {3, 1}}) {
    const Index n = b * blocks;
    INFO("block size " << b << " of " << n);
    Blocks<Cpu> l(be, rng, {b, blocks, blocks}), r(be, rng, {blocks, b, b});
    const Dense p = stride_matrix(b, n), left = block_diagonal(l.view()), right = block_diagonal(r.view());
    const auto m = monarch_from_plpr<double>(be, l.view(), r.view());
    REQUIRE(m.shape() == MonarchShape<2>(blocks, b));
    require_equal(be, m, p * left * p.transpose() * right);
    require_same<Cpu>(reference_weights(m.view()).w1, r.view());
    require_same<Cpu>(reference_weights(m.view()).w2, l.view());
    const auto mixer = monarch_from_plprp<double>(be, l.view(), r.view());
    require_equal(be, mixer, p * left * p.transpose() * right * p);
    REQUIRE(mixer.input_permutation() == DigitPermutation::stride(b, n));
    REQUIRE(mixer.output_permutation().is_identity());
  }
  // The listing: reshape to sqrt(n) x sqrt(n), transpose, blocks of L, transpose, blocks of R, transpose.
  const Index b = 3, n = 9;
  Blocks<Cpu> l(be, rng, {b, b, b}), r(be, rng, {b, b, b});
  const Dense p = stride_matrix(b, n);
  require_equal(be, monarch_from_plprp<double>(be, r.view(), l.view()),
                p * block_diagonal(r.view()) * p * block_diagonal(l.view()) * p);
}

TEST_CASE("conventions: any chain is permutations and block-diagonal matrices", "[monarch][conventions]") {
  Cpu be;
  Rng rng(21);
  const auto permutation = [&](const DigitPermutation& p) {
    Dense d(p.size(), p.size());
    for (Index i = 0; i < p.size(); ++i) d(i, p.from(i)) = 1;
    return d;
  };
  for_every_shape([&](const auto& shape) {
    if (shape.in_features() < shape.padded_in() || shape.out_features() < shape.padded_out()) return;
    constexpr auto order = std::tuple_size_v<std::remove_cvref_t<decltype(shape.factors())>>;
    Monarch<static_cast<int>(order), double, Cpu> m(shape, be);
    fill_normal(m.weights(), rng);
    Dense expected = permutation(DigitPermutation::identity(shape.in_features()));
    for (int f = 0; f < m.order; ++f) {
      const FactorShape& s = shape.factor(f);
      const View<const double, 3, Cpu> blocks = m.factor(f).merge(0);
      expected =
          permutation(block_output(s)).transpose() * block_diagonal(blocks) * permutation(block_input(s)) * expected;
    }
    require_equal(be, m, expected);
  });
}

TEST_CASE("permuted Monarch: VJP by central differences", "[monarch][conventions]") {
  using T = std::complex<double>;
  Cpu be;
  Rng rng(22);
  Monarch<2, T, Cpu> weights(MonarchShape<2>::rectangular({2, 3}, {3, 2}), be);
  fill_normal(weights.weights(), rng);
  PermutedMonarch<2, T, Cpu> m(be, std::move(weights), DigitPermutation::stride(2, 6),
                               DigitPermutation({3, 2}, {1, 0}));
  Tensor<T, 2, Cpu> x(be, {2, 6}), dy(be, {2, 6}), dx(be, {2, 6});
  Monarch<2, T, Cpu> dm(m.monarch().shape(), be);
  fill_normal(x.view(), rng);
  fill_normal(dy.view(), rng);
  const auto loss = [&] {
    Tensor<T, 2, Cpu> y(be, {2, 6});
    m.multiply(be, x.view(), y.view());
    return dot(to_host(y.view()), to_host(dy.view()));
  };
  m.multiply_vjp(be, x.view(), dy.view(), dx.view(), dm.view());
  require_gradient(x.view(), to_host(dx.view()), loss);
  require_gradient(m.monarch().weights(), to_host(dm.weights()), loss);
}

TEST_CASE("conventions: errors say what does not fit", "[monarch][conventions]") {
  Cpu be;
  Tensor<double, 3, Cpu> square(be, {2, 2, 2}), other(be, {3, 2, 2});
  require_error([&] { monarch_from_reference<double>(be, square.cview(), other.cview()); },
                {"monarch shape", "4", "6"});
  require_error([&] { monarch_from_plpr<double>(be, square.cview(), other.cview()); },
                {"monarch_from_plpr", "(2, 2, 2)", "(3, 2, 2)"});
  require_error([&] { monarch_from_einsum_b<double>(be, square.cview(), other.cview(), 1, 1); },
                {"monarch_from_einsum_b", "(2, 2, 2)", "(3, 2, 2)"});
  Monarch<2, double, Cpu> m(MonarchShape<2>(2, 2), be);
  require_error([&] { einsum_b_weights<double>(be, m, 2, square.view(), square.view()); },
                {"einsum_b_weights", "b1 is 2"});
  const Monarch<2, double, Cpu> turned(MonarchShape<2>({FactorShape{1, 2, 2, 2}, FactorShape{2, 2, 2, 1}}), be);
  require_error([&] { reference_weights(turned.view()); }, {"reference_weights", "4 x 4"});
  require_error(
      [&] {
        PermutedMonarch<2, double, Cpu>(be, std::move(m), DigitPermutation::identity(4), DigitPermutation::identity(5));
      },
      {"permuted Monarch", "4", "5"});
}

#ifdef M2_HAS_RAPIDCHECK
TEST_CASE("conventions: weights survive the way there and back", "[monarch][conventions][properties]") {
  const bool passed = rc::check("conventions", [] {
    Cpu be;
    const auto any = [] { return *rc::gen::inRange<Index>(1, 5); };
    const Index k = any(), j = any(), i = any(), l = any(), b1 = any(), b2 = any();
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    Blocks<Cpu> w1(be, rng, {k, j * b1, i}), w2(be, rng, {j, l * b2, k * b1});
    const auto m = monarch_from_einsum_b<double>(be, w1.view(), w2.view(), b1, b2);
    Tensor<double, 3, Cpu> v1(be, w1.view().extents()), v2(be, w2.view().extents());
    einsum_b_weights<double>(be, m.monarch(), b1, v1.view(), v2.view());
    RC_ASSERT(to_host(v1.view()) == to_host(w1.view()));
    RC_ASSERT(to_host(v2.view()) == to_host(w2.view()));
    const auto reference = monarch_from_reference<double>(be, w1.view(), w2.view());
    RC_ASSERT(to_host(reference_weights(reference.view()).w1) == to_host(w1.view()));
    RC_ASSERT(to_host(reference_weights(reference.view()).w2) == to_host(w2.view()));
    // With b1 = b2 = 1 variant B is variant A, and nothing is left over.
    if (b2 == 1) RC_ASSERT(m.output_permutation().is_identity());
    if (b1 == 1) RC_ASSERT(to_host(m.monarch().weights()) == to_host(reference.weights()));
  });
  REQUIRE(passed);
}
#endif
