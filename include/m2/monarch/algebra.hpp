#pragma once

#include "m2/monarch/multiply.hpp"

/// What needs no arithmetic but products of single weights: transpose, conjugate, diagonal scaling, other element
/// types. These maps are linear in the weights, so their VJPs are compositions of themselves: the gradient of M is the
/// transpose (adjoint, ..) of the gradient of the result.
namespace m2 {

/// The shape of M^T: the factors in reverse order, in and out exchanged. It is also the shape of M^-1.
template <int Order>
MonarchShape<Order> transposed(const MonarchShape<Order>& shape) {
  std::array<FactorShape, static_cast<std::size_t>(Order)> factors{};
  for (int f = 0; f < Order; ++f) {
    const FactorShape& s = shape.factor(Order - 1 - f);
    factors[static_cast<std::size_t>(f)] = {s.outer, s.out, s.in, s.inner};
  }
  return MonarchShape<Order>(factors, shape.out_features(), shape.in_features());
}

/// The same factors without padding: all inputs and outputs of the first and last factor.
template <int Order>
MonarchShape<Order> without_padding(const MonarchShape<Order>& shape) {
  return MonarchShape<Order>(shape.factors());
}

namespace detail {

/// weights[i] *= scale(input index of the weight), or of its output index; both in the padded vector.
template <Element T, Backend B, class Scale>
void scale_factor(B& be, const FactorShape& s, T* weights, bool by_output, Scale scale) {
  const Index in = s.in, out = s.out, inner = s.inner;
  be.for_each(s.weight_count(), [=] M2_HD(Index at) {
    const Index block = at / (out * in), e = at / in % out, d = at % in, o = block / inner, i = block % inner;
    const Index index = by_output ? (o * out + e) * inner + i : (o * in + d) * inner + i;
    weights[at] = element_cast<T>(element_cast<SumOf<T>>(weights[at]) * scale(index));
  });
}

/// 1 inside the features, 0 in the padding.
template <class T>
struct InsideFeatures {
  Index features;
  M2_HD T operator()(Index index) const { return index < features ? T(1) : T(0); }
};

/// d[index], and 1 in the padding.
template <Element T, class B>
struct DiagonalEntry {
  View<const T, 1, B> d;
  M2_HD SumOf<T> operator()(Index index) const {
    return index < d.extent(0) ? element_cast<SumOf<T>>(d(index)) : SumOf<T>(1);
  }
};

/// Sets weights to zero that only meet padded inputs or give outputs that are cut: the matrix without padding then
/// holds M and zeros.
template <int Order, Element T, Backend B>
void clear_padding(B& be, const MonarchView<Order, T, B>& m, bool inputs = true, bool outputs = true) {
  using Inside = InsideFeatures<SumOf<T>>;
  if (inputs && m.shape.in_features() < m.shape.padded_in())
    scale_factor<T>(be, m.shape.factor(0), m.factors.front(), false, Inside{m.shape.in_features()});
  if (outputs && m.shape.out_features() < m.shape.padded_out())
    scale_factor<T>(be, m.shape.factor(Order - 1), m.factors.back(), true, Inside{m.shape.out_features()});
}

}  // namespace detail

/// result = M^T, or M^H with conjugated: every block transposed, the factors in reverse order.
///
/// Shapes   result has the shape transposed(m.shape)
/// Writes   result (overwritten); must not overlap m
/// Errors   m2::Error if the result has another shape
/// Cost     one pass over the weights
/// Source   math.md B4: Monarch matrices are closed under transposition, the radices reversed
template <int Order, class W, Element T, Backend B>
requires std::same_as<std::remove_const_t<W>, T>
void monarch_transpose(B& be, const MonarchView<Order, W, B>& m, const MonarchView<Order, T, B>& result,
                       bool conjugated = false) {
  detail::require_same_shape("monarch_transpose", "M^T", transposed(m.shape), "the result", result.shape);
  for (int f = 0; f < Order; ++f) {
    const FactorShape& s = m.shape.factor(f);
    const Index in = s.in, out = s.out;
    const T* from = m.factors[static_cast<std::size_t>(f)];
    T* to = result.factors[static_cast<std::size_t>(Order - 1 - f)];
    be.for_rows(s.blocks() * in, out, [=] M2_HD(Index at, const typename B::Team& team) {
      const T* column = from + at / in * in * out + at % in;
      T* row = to + at * out;
      team.each([=](Index j) { row[j] = conjugated ? conjugate(column[j * in]) : column[j * in]; });
    });
  }
}

/// result = M with every weight converted to the element type of the result, and conjugated if asked for. A complex
/// matrix becomes a complex one only.
///
/// Writes   result (overwritten)
/// Errors   m2::Error if the result has another shape
/// Cost     one pass over the weights
template <int Order, class W, Element To, Backend B>
void monarch_cast(B& be, const MonarchView<Order, W, B>& m, const MonarchView<Order, To, B>& result,
                  bool conjugated = false) {
  using From = std::remove_const_t<W>;
  detail::require_same_shape("monarch_cast", "M", m.shape, "the result", result.shape);
  for (std::size_t f = 0; f < m.factors.size(); ++f) {
    const From* from = m.factors[f];
    To* to = result.factors[f];
    be.for_each(m.shape.factors()[f].weight_count(), [=] M2_HD(Index i) {
      const To value = element_cast<To>(from[i]);
      to[i] = conjugated ? conjugate(value) : value;
    });
  }
}

/// M := diag(d) M, in place: the last factor takes the diagonal in.
///
/// Shapes   d (out_features)
/// Errors   m2::Error if d has another size
/// Cost     one pass over the weights of one factor
template <int Order, Element T, Backend B>
void monarch_scale_rows(B& be, Input<T, 1, B> d, const MonarchView<Order, T, B>& m) {
  M2_REQUIRE(d.extent(0) == m.shape.out_features(), "monarch_scale_rows: the diagonal has ", d.extent(0),
             " entries, M is ", m.shape);
  detail::scale_factor<T>(be, m.shape.factor(Order - 1), m.factors.back(), true, detail::DiagonalEntry<T, B>{d});
}

/// M := M diag(d), in place: the first factor takes the diagonal in.
///
/// Shapes   d (in_features)
/// Errors   m2::Error if d has another size
/// Cost     one pass over the weights of one factor
template <int Order, Element T, Backend B>
void monarch_scale_columns(B& be, Input<T, 1, B> d, const MonarchView<Order, T, B>& m) {
  M2_REQUIRE(d.extent(0) == m.shape.in_features(), "monarch_scale_columns: the diagonal has ", d.extent(0),
             " entries, M is ", m.shape);
  detail::scale_factor<T>(be, m.shape.factor(0), m.factors.front(), false, detail::DiagonalEntry<T, B>{d});
}

}  // namespace m2
