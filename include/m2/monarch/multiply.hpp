#pragma once

#include <array>
#include <span>
#include <type_traits>
#include <utility>

#include "m2/backend/concept.hpp"
#include "m2/monarch/shape.hpp"

namespace m2 {

/// A Monarch matrix in memory that somebody else owns: its shape and where the weights of each factor lie, each
/// contiguous as (outer, inner, out, in). T is const for matrices that are only read.
template <int Order, class T, class B>
struct MonarchView {
  MonarchShape<Order> shape;
  std::array<T*, static_cast<std::size_t>(Order)> factors;

  /// The weights of factor f.  // (outer, inner, out, in)
  View<T, 4, B> factor(int f) const {
    const FactorShape& s = shape.factor(f);
    return {factors[static_cast<std::size_t>(f)], {s.outer, s.inner, s.out, s.in}};
  }

  template <class U>
  requires(std::is_same_v<U, const T> && !std::is_const_v<T>) operator MonarchView<Order, U, B>() const {
    MonarchView<Order, U, B> result{shape, {}};
    for (std::size_t f = 0; f < factors.size(); ++f) result.factors[f] = factors[f];
    return result;
  }
};

namespace detail {

/// Where each factor begins of those that lie one after the other, in the order of application.
template <int Order, class T>
std::array<T*, static_cast<std::size_t>(Order)> factor_pointers(const MonarchShape<Order>& shape, T* weights) {
  std::array<T*, static_cast<std::size_t>(Order)> factors;
  for (std::size_t f = 0; f < factors.size(); ++f) {
    factors[f] = weights;
    weights += shape.factors()[f].weight_count();
  }
  return factors;
}

}  // namespace detail

/// The view of a matrix whose factors lie one after the other from `weights` on, in the order of application.
template <int Order, class T, class B>
MonarchView<Order, T, B> monarch_view(const MonarchShape<Order>& shape, View<T, 1, B> weights) {
  M2_REQUIRE(weights.extent(0) == shape.parameter_count() && weights.is_contiguous(),
             "monarch_view: ", weights.extent(0), " weights for a ", shape, " matrix of ", shape.parameter_count(),
             " weights");
  return {shape, detail::factor_pointers(shape, weights.data())};
}

namespace detail {

/// Extents are handed over by value: views whose address is taken live in memory, which one small product would wait
/// for.
template <int Order>
[[noreturn]] M2_COLD void throw_misfit(const char* op, const MonarchShape<Order>& shape, Extents<2> x, Extents<2> y) {
  throw_error({op, ": M is ", shape, ", x is ", x, ", y is ", y, "; (batch, ", shape.in_features(), ") and (batch, ",
               shape.out_features(), ") are needed"});
}

template <int Order, Element T, class B>
M2_INLINE void check_multiply(const char* op, const MonarchShape<Order>& shape, const View<const T, 2, B>& x,
                              const View<const T, 2, B>& y) {
  if (x.extent(1) != shape.in_features() || y.extent(1) != shape.out_features() || x.extent(0) != y.extent(0))
    throw_misfit(op, shape, {x.extent(0), x.extent(1)}, {y.extent(0), y.extent(1)});
}

/// The vectors of a factor's input or output held feature-major, as (outer, inner, digit, batch).
template <class T, class B>
View<T, 4, B> digits(T* data, Index outer, Index digit, Index inner, Index batch) {
  return {data, {outer, inner, digit, batch}, {digit * inner * batch, batch, inner * batch, 1}};
}

/// Copies x (batch, features) into feature-major memory of `padded` features, the rest zero. Conjugated if asked for.
template <Element T, Backend B>
void load_padded(B& be, View<const T, 2, B> x, T* to, Index padded, bool conjugated = false) {
  const Index batch = x.extent(0), features = x.extent(1);
  be.for_each(padded * batch, [=] M2_HD(Index i) {
    const Index f = i / batch, b = i % batch;
    const T value = f < features ? x(b, f) : T(0);
    to[i] = conjugated ? conjugate(value) : value;
  });
}

template <Element T, Backend B>
void store_cut(B& be, const T* from, View<T, 2, B> y, bool conjugated = false) {
  const Index batch = y.extent(0);
  be.for_each(y.size(), [=] M2_HD(Index i) { y(i % batch, i / batch) = conjugated ? conjugate(from[i]) : from[i]; });
}

/// An array as one of another element type, value by value.
template <Element To, Element From, Backend B>
void convert(B& be, const From* from, To* to, Index n) {
  be.for_each(n, [=] M2_HD(Index i) { to[i] = element_cast<To>(from[i]); });
}

template <Element T, Backend B>
void accumulate_conjugate(B& be, const T* from, T* to, Index n) {
  be.for_each(n, [=] M2_HD(Index i) { to[i] += conjugate(from[i]); });
}

/// One factor on feature-major vectors: a product for every pair of leading indices, on any backend.
template <Element T, Backend B>
void apply_factor(B& be, const FactorShape& f, View<const T, 4, B> weights, const T* x, T* y, Index batch) {
  be.gemm(weights, digits<const T, B>(x, f.outer, f.in, f.inner, batch),
          digits<T, B>(y, f.outer, f.out, f.inner, batch), false);
}

template <class B, class T>
concept HasMonarchKernel = requires(B& be, const MonarchCall<T>& call, View<const T, 2, B> x, View<T, 2, B> y,
                                    std::span<T* const> dw) {
  be.monarch_multiply(call, x, y);
  be.monarch_multiply_vjp(call, x, x, y, dw);
};

template <class T, int Order>
MonarchCall<T> monarch_call(const MonarchShape<Order>& shape,
                            const std::array<const T*, static_cast<std::size_t>(Order)>& weights, Index batch) {
  return {shape.factors(), weights, shape.in_features(),    shape.out_features(),
          shape.widest(),  batch,   shape.parameter_count()};
}

template <Element To, Element From, Backend B>
void copy_cast(B& be, View<const From, 2, B> from, View<To, 2, B> to) {
  be.for_rows(to.extent(0), to.extent(1), [=] M2_HD(Index row, const typename B::Team& team) {
    team.each([=](Index column) { to(row, column) = element_cast<To>(from(row, column)); });
  });
}

/// The weights of a 16-bit matrix in float: what backends without a kernel for 16-bit elements compute with.
template <int Order, SixteenBit T, Backend B>
class InFloat {
 public:
  InFloat(B& be, const MonarchView<Order, const T, B>& m) : shape_(m.shape), weights_(be, {m.shape.parameter_count()}) {
    each_factor(m, [&](const T* from, float* to, Index n) { convert(be, from, to, n); });
  }
  MonarchView<Order, const float, B> view() const { return monarch_view(shape_, weights_.view()); }
  MonarchView<Order, float, B> view() { return monarch_view(shape_, weights_.view()); }

  void round_to(B& be, const MonarchView<Order, T, B>& m) {
    each_factor(m, [&](T* to, const float* from, Index n) { convert(be, from, to, n); });
  }

 private:
  template <class W, class F>
  void each_factor(const MonarchView<Order, W, B>& m, F&& f) {
    const auto floats = view();
    for (std::size_t a = 0; a < m.factors.size(); ++a)
      f(m.factors[a], floats.factors[a], shape_.factor(static_cast<int>(a)).weight_count());
  }

  MonarchShape<Order> shape_;
  Tensor<float, 1, B> weights_;
};

}  // namespace detail

/// y = M x for every row of x: y(b, :) = M x(b, :).
///
/// Shapes   x (batch, in_features), y (batch, out_features), any strides: with features contiguous this mixes channels;
///          with the batch contiguous (a transposed view) it mixes a sequence, and no element is ever moved for it
/// Writes   y (overwritten); must not overlap x
/// Errors   m2::Error if x or y does not fit M
/// Cost     2 batch parameter_count flops. Cpu: working memory per thread, kept from call to call. Other backends: two
///          (widest, batch) arrays for the time of the call
/// Source   Dao et al. 2022 (arXiv:2204.00595) Def. 1; Fu et al. 2023 (arXiv:2310.12109) Sec. 3
template <int Order, class W, Element T, Backend B>
requires std::same_as<std::remove_const_t<W>, T>
void monarch_multiply(B& be, const MonarchView<Order, W, B>& m, Input<T, 2, B> x, View<T, 2, B> y) {
  const MonarchView<Order, const T, B> read = m;
  detail::check_multiply<Order, T, B>("monarch_multiply", m.shape, x, y);
  const Index batch = x.extent(0);
  if constexpr (detail::HasMonarchKernel<B, T>) {
    be.monarch_multiply(detail::monarch_call<T>(m.shape, read.factors, batch), x, y);
  } else if constexpr (SixteenBit<T>) {
    const detail::InFloat<Order, T, B> weights(be, read);
    Tensor<float, 2, B> from(be, x.extents()), to(be, y.extents());
    detail::copy_cast<float, T, B>(be, x, from.view());
    monarch_multiply(be, weights.view(), from.view(), to.view());
    detail::copy_cast<T, float, B>(be, to.view(), y);
  } else {
    const Extents<2> widest{m.shape.widest(), batch};
    Tensor<T, 2, B> from(be, widest), to(be, widest);
    detail::load_padded<T, B>(be, x, from.data(), m.shape.padded_in());
    for (int f = 0; f < Order; ++f) {
      detail::apply_factor<T, B>(be, m.shape.factor(f), read.factor(f), from.data(), to.data(), batch);
      std::swap(from, to);
    }
    detail::store_cut<T, B>(be, from.data(), y);
  }
}

/// The VJP of monarch_multiply: dx = M^H dy, and for every block dW += sum over the batch of dy x^H, with gradients
/// dL/dRe + i dL/dIm of complex numbers.
///
/// Shapes   x, dx (batch, in_features), dy (batch, out_features); dm has M's shape
/// Writes   dx (overwritten); dm (accumulated). dx must not overlap x or dy
/// Errors   m2::Error if an argument does not fit M
/// Cost     three times the flops of the multiply, less its last factor; the inputs of the factors are computed again
/// Source   m2-reference section 1.2; Dao et al. 2022 (arXiv:2204.00595)
template <int Order, class W, Element T, Backend B>
requires std::same_as<std::remove_const_t<W>, T>
void monarch_multiply_vjp(B& be, const MonarchView<Order, W, B>& m, Input<T, 2, B> x, Input<T, 2, B> dy,
                          View<T, 2, B> dx, const MonarchView<Order, T, B>& dm) {
  const MonarchView<Order, const T, B> read = m;
  detail::check_multiply<Order, T, B>("monarch_multiply_vjp", m.shape, x, dy);
  M2_REQUIRE(dx.extents() == x.extents(), "monarch_multiply_vjp: x is ", x.extents(), ", dx is ", dx.extents());
  detail::require_same_shape("monarch_multiply_vjp", "M", m.shape, "its gradient", dm.shape);
  const Index batch = x.extent(0);
  if constexpr (detail::HasMonarchKernel<B, T>) {
    be.monarch_multiply_vjp(detail::monarch_call<T>(m.shape, read.factors, batch), x, dy, dx,
                            std::span<T* const>(dm.factors));
  } else if constexpr (SixteenBit<T>) {
    const detail::InFloat<Order, T, B> weights(be, read);
    detail::InFloat<Order, T, B> gradient(be, dm);
    Tensor<float, 2, B> from(be, x.extents()), dto(be, dy.extents()), dfrom(be, dx.extents());
    detail::copy_cast<float, T, B>(be, x, from.view());
    detail::copy_cast<float, T, B>(be, dy, dto.view());
    monarch_multiply_vjp(be, weights.view(), from.view(), dto.view(), dfrom.view(), gradient.view());
    detail::copy_cast<T, float, B>(be, dfrom.view(), dx);
    gradient.round_to(be, dm);
  } else {
    const Index step = detail::checked_product("monarch_multiply_vjp", m.shape.widest(), batch);
    Tensor<T, 2, B> memory(be, {Order + 2, step});
    T* inputs = memory.data();
    detail::load_padded<T, B>(be, x, inputs, m.shape.padded_in());
    for (int f = 0; f + 1 < Order; ++f)
      detail::apply_factor<T, B>(be, m.shape.factor(f), read.factor(f), inputs + f * step, inputs + (f + 1) * step,
                                 batch);
    // Complex: conjugated gradients need no conjugated weights. conj(dx) = W^T conj(dy), conj(dW) = conj(dy) x^T.
    constexpr bool conjugated = ComplexScalar<T>;
    Tensor<T, 1, B> dweights(be, {conjugated ? m.shape.parameter_count() : 0});
    T* gradient = inputs + Order * step;
    T* other = gradient + step;
    detail::load_padded<T, B>(be, dy, gradient, m.shape.padded_out(), conjugated);
    for (int f = Order - 1; f >= 0; --f) {
      const FactorShape& s = m.shape.factor(f);
      const View<const T, 4, B> g = detail::digits<const T, B>(gradient, s.outer, s.out, s.inner, batch);
      const View<const T, 4, B> in = detail::digits<const T, B>(inputs + f * step, s.outer, s.in, s.inner, batch);
      if constexpr (conjugated) {
        const View<T, 4, B> product(dweights.data(), dm.factor(f).extents());
        be.gemm(g, in.transpose(2, 3), product, false);
        detail::accumulate_conjugate<T, B>(be, product.data(), dm.factors[static_cast<std::size_t>(f)], product.size());
      } else {
        be.gemm(g, in.transpose(2, 3), dm.factor(f), true);
      }
      be.gemm(read.factor(f).transpose(2, 3), g, detail::digits<T, B>(other, s.outer, s.in, s.inner, batch), false);
      std::swap(gradient, other);
    }
    detail::store_cut<T, B>(be, gradient, dx, conjugated);
  }
}

}  // namespace m2
