#pragma once

#include <utility>

#include "m2/monarch/permuted.hpp"

/// The ways in which papers and programs write the two factors of a Monarch matrix, to and from ours. Everywhere a
/// factor is an array of blocks (blocks, out, in), so that most conversions are a choice of names and of what stays at
/// the ends. With BD(W) the block-diagonal matrix of the blocks of W, and P_(b,n) = DigitPermutation::stride(b, n):
///
/// reference code     W1 (k, q, p), W2 (l, s, r), l r = k q:  P_(l,ls) BD(W2) P_(l,lr)^T BD(W1), which is ours
///                    (`blockdiag_butterfly_multiply`; einsum variant A with q = s = l, r = k; variant C with q = r l)
/// Monarch paper      P L P^T R of block size b: the same with W1 = R (n/b, b, b), W2 = L (b, n/b, n/b), P = P_(b,n)
/// Mixer paper        P L P R P: ours with P_(b,n) on the input
/// its listing        `MonarchMatrix(sqrt_n)`, P R P L P: the same, the names L and R exchanged
/// einsum variant B   W1 (k, j b1, i), W2 (j, l b2, k b1): ours with the rows of W1 reordered and a permuted output
///
/// With sqrt(n) blocks P = P^T. For other block sizes P L P R P reads P_(b,n) L P_(b,n)^T R P_(b,n): then the inverse,
/// P^T R^-1 P L^-1 P^T, has the same form, of block size n/b.
///
/// Source   math.md B1 to B3, E1; m2-reference.md 1.2, 1.4; Dao et al. 2022 (arXiv:2204.00595); Fu et al. 2023
///          (arXiv:2310.12109)
namespace m2 {

namespace detail {

template <class T, class B>
void copy_blocks(B& be, View<const T, 4, B> from, View<T, 4, B> to) {
  const Index d3 = to.extent(3), d2 = to.extent(2), d1 = to.extent(1);
  be.for_each(to.size(), [=] M2_HD(Index i) {
    const Index c = i % d3, r = i / d3 % d2, k = i / d3 / d2 % d1, o = i / d3 / d2 / d1;
    to(o, k, r, c) = from(o, k, r, c);
  });
  be.synchronize();
}

/// Blocks whose rows are seen as (outer, inner), with these two exchanged.  // (blocks, inner, outer, columns)
template <class T, class B>
View<T, 4, B> regroup_rows(View<T, 3, B> blocks, Index inner) {
  return blocks.split(1, inner).transpose(1, 2);
}

}  // namespace detail

/// Position (o, d, i) of a factor's input moves to (o, i, d), which makes the factor block-diagonal: with f.outer *
/// f.inner blocks W[o, i], the factor is block_output(f).inverse() BD(W) block_input(f). So the chain of an order-p
/// Monarch matrix is the product of permutations and block-diagonal matrices of the papers.
inline DigitPermutation block_input(const FactorShape& f) { return {{f.outer, f.in, f.inner}, {0, 2, 1}}; }
inline DigitPermutation block_output(const FactorShape& f) { return {{f.outer, f.out, f.inner}, {0, 2, 1}}; }

/// The matrix of the reference code's weights W1 (k, q, p), W2 (l, s, r): s l x k p. It is variant A of its einsum
/// forms where q = l, and variant C, rank r, where q = r l; with W1 = R and W2 = L it is P L P^T R.
///
/// Errors   m2::Error if k q is not l r
template <Element T, Backend B>
Monarch<2, T, B> monarch_from_reference(B& be, std::type_identity_t<View<const T, 3, B>> w1, View<const T, 3, B> w2) {
  Monarch<2, T, B> m(
      MonarchShape<2>::butterfly(w1.extent(0), w1.extent(1), w1.extent(2), w2.extent(0), w2.extent(1), w2.extent(2)),
      be);
  detail::copy_blocks<T, B>(be, w1.split(0, 1), m.factor(0));
  detail::copy_blocks<T, B>(be, w2.split(0, w2.extent(0)), m.factor(1));
  return m;
}

/// The two factors as the reference's W1 (k, q, p) and W2 (l, s, r), which are the R and L of P L P^T R; views of the
/// weights of m.
///
/// Errors   m2::Error if the first factor does not mix neighbours, or the second one not digits of the whole vector
template <class T, class B>
struct ReferenceWeights {
  View<T, 3, B> w1, w2;
};
template <class T, class B>
ReferenceWeights<T, B> reference_weights(const MonarchView<2, T, B>& m) {
  M2_REQUIRE(m.shape.factor(0).inner == 1 && m.shape.factor(1).outer == 1, "reference_weights: the factors of this ",
             m.shape, " matrix are not those of the reference code");
  return {m.factor(0).merge(0), m.factor(1).merge(0)};
}

/// P L P^T R of the Monarch paper with P = P_(b,n), R (n/b, b, b), L (b, n/b, n/b).
///
/// Errors   m2::Error if the blocks do not fit each other
/// Source   Dao et al. 2022 (arXiv:2204.00595) Def. 1 and its generalisation to block size b
template <Element T, Backend B>
Monarch<2, T, B> monarch_from_plpr(B& be, std::type_identity_t<View<const T, 3, B>> l, View<const T, 3, B> r) {
  M2_REQUIRE(r.extent(1) == r.extent(2) && l.extent(1) == l.extent(2) && r.extent(0) == l.extent(1) &&
                 l.extent(0) == r.extent(1),
             "monarch_from_plpr: L is ", l.extents(), ", R is ", r.extents(),
             "; (b, n/b, n/b) and (n/b, b, b) are needed");
  return monarch_from_reference<T>(be, r, l);
}

/// P L P R P of the Monarch Mixer paper, in general P_(b,n) L P_(b,n)^T R P_(b,n): ours with a permuted input. The
/// listing of that paper names the factor that meets the input first L: there, exchange the two arguments. The way back
/// is reference_weights of monarch(): w2 is L, w1 is R.
///
/// Shapes, Errors   as monarch_from_plpr
template <Element T, Backend B>
PermutedMonarch<2, T, B> monarch_from_plprp(B& be, std::type_identity_t<View<const T, 3, B>> l, View<const T, 3, B> r) {
  Monarch<2, T, B> m = monarch_from_plpr<T>(be, l, r);
  const Index n = m.rows(), b = l.extent(0);
  return {be, std::move(m), DigitPermutation::identity(n), DigitPermutation::stride(b, n)};
}

/// Variant B of the reference's einsum forms: y[(l j_count + j) b2 + z] = sum W2[j, l b2 + z, k b1 + y] W1[k, j b1 + y,
/// i] x[k i_count + i]. Ours has row y j_count + j of W1 where this has row j b1 + y, and output (l, z, j) where this
/// has (l, j, z).
///
/// Shapes   w1 (k, j b1, i), w2 (j, l b2, k b1); the matrix is l b2 j x k i
/// Errors   m2::Error if the shapes do not fit each other
template <Element T, Backend B>
PermutedMonarch<2, T, B> monarch_from_einsum_b(B& be, std::type_identity_t<View<const T, 3, B>> w1,
                                               View<const T, 3, B> w2, Index b1, Index b2) {
  const Index k = w1.extent(0), j = w2.extent(0);
  M2_REQUIRE(b1 >= 1 && b2 >= 1 && w1.extent(1) == j * b1 && w2.extent(1) % b2 == 0 && w2.extent(2) == k * b1,
             "monarch_from_einsum_b: W1 is ", w1.extents(), ", W2 is ", w2.extents(), ", (b1, b2) is (", b1, ", ", b2,
             "); (k, j b1, i) and (j, l b2, k b1) are needed");
  Monarch<2, T, B> m(MonarchShape<2>::butterfly(k, j * b1, w1.extent(2), j, w2.extent(1), k * b1), be);
  const ReferenceWeights<T, B> ours = reference_weights(m.view());
  detail::copy_blocks<T, B>(be, detail::regroup_rows(w1, b1), ours.w1.split(1, j));
  detail::copy_blocks<T, B>(be, w2.split(0, j), m.factor(1));
  const Index rows = m.rows(), cols = m.cols();
  return {be, std::move(m), DigitPermutation({rows / (b2 * j), b2, j}, {0, 2, 1}), DigitPermutation::identity(cols)};
}

/// The weights of variant B of a matrix that monarch_from_einsum_b made, or that has its shape.
///
/// Shapes   as there
/// Writes   w1, w2 (overwritten)
/// Errors   m2::Error if a shape does not fit
template <Element T, Backend B>
void einsum_b_weights(B& be, const Monarch<2, T, B>& m, Index b1, View<T, 3, B> w1, View<T, 3, B> w2) {
  const ReferenceWeights<const T, B> ours = reference_weights(m.view());
  const Index j = ours.w2.extent(0);
  M2_REQUIRE(
      b1 >= 1 && ours.w1.extent(1) == j * b1 && w1.extents() == ours.w1.extents() && w2.extents() == ours.w2.extents(),
      "einsum_b_weights: W1 is ", w1.extents(), ", W2 is ", w2.extents(), ", b1 is ", b1, ", the matrix has factors ",
      ours.w1.extents(), " and ", ours.w2.extents());
  detail::copy_blocks<T, B>(be, ours.w1.split(1, j), detail::regroup_rows(w1, b1));
  detail::copy_blocks<T, B>(be, ours.w2.split(0, j), w2.split(0, j));
}

}  // namespace m2
