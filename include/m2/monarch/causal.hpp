#pragma once

#include <algorithm>

#include "m2/monarch/causal_form.hpp"
#include "m2/monarch/long_convolution.hpp"
#include "m2/monarch/triangular.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

struct CausalMonarchOptions {
  Index heads = 1;  ///< groups of neighbouring channels, each with coefficients of its own
  ConvolutionEngine engine = ConvolutionEngine::automatic;
};

/// The causal mixer of a sequence by three learned order-p Monarch matrices, a generalisation of the long convolution:
///
///   y = M0^-1 ((M1 k) . (M2 u)),   M_i the values at the N-th roots of unity of polynomials with lower triangular
///                                  coefficient blocks Q_i, N large enough that no product wraps around
///     = D0 conv(Q1 k + skip, Q2 u),   D0 = Q0^-1 given by its own lower triangular blocks, so that nothing is solved
///
/// Every y[t] depends on u[0..t] and on nothing else, for any coefficients; with identity blocks y is the plain causal
/// convolution. forward and backward compute the second form, all real; monarch_form() is the first one and to_dense()
/// the matrix, both equal to it up to rounding. The convolution may be a DFT, so that a future input moves past outputs
/// by about eps max|y|; with ConvolutionEngine::direct not by one bit.
///
/// An object is a plan for activations of one shape, like LongConvolution: it owns workspace and serves all layers of
/// its shape, one thread at a time; Cache is what one layer keeps from forward to backward. Move-only.
///
/// Order  number of digits of a position, at least 1 (1: dense triangles)
/// T      float or double
///
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 4, Thm. 3; math.md D2 to D6
template <int Order, Scalar T, Backend B>
class CausalMonarch {
 public:
  /// What forward leaves for backward.
  struct Cache {
    Tensor<T, 3, B> a, h;  // Q2 u and the convolution  (batch, length, channels)
    Tensor<T, 2, B> b;     // Q1 k  (length, channels)
  };

  CausalMonarch() = default;

  /// Plans for activations of these extents, (batch, length, channels), length <= shape.length().
  ///
  /// Errors   m2::Error if the length is not in [1, shape.length()], or heads do not divide channels
  CausalMonarch(B& be, const Extents<3>& extents, const CausalMonarchShape<Order>& shape,
                CausalMonarchOptions options = {})
      : shape_(shape), extents_(extents), heads_(options.heads) {
    M2_REQUIRE(extents[1] >= 1 && extents[1] <= shape.length(), "causal_monarch: (batch, length, channels) is ",
               extents, ", the length must be in [1, ", shape.length(), "]");
    M2_REQUIRE(heads_ >= 1 && extents[2] % heads_ == 0, "causal_monarch: (batch, length, channels) is ", extents,
               ", which ", heads_, " heads do not divide");
    convolution_ = LongConvolution<T, B>(be, extents, {.engine = options.engine});
    const TriangularShape<Order>& triangles = shape_.triangles();
    const Index top = detail::ceil_divide(kernel_length(), triangles.weight(0)) * triangles.weight(0);
    kernel_matrix_ =
        shape_.kernel_triangles().monarch(FactorOrder::top_first, kernel_length(), std::min(extents[1], top));
    input_matrix_ = triangles.monarch(FactorOrder::top_first, extents[1], extents[1]);
    output_matrix_ = triangles.monarch(FactorOrder::bottom_first, extents[1], extents[1]);
    weights_ = Tensor<T, 1, B>(be, {std::max(input_matrix_.parameter_count(), kernel_matrix_.parameter_count())});
    dweights_ = Tensor<T, 1, B>(be, weights_.extents());
    da_ = Tensor<T, 3, B>(be, extents);
    dh_ = Tensor<T, 3, B>(be, extents);
    db_ = Tensor<T, 2, B>(be, {extents[1], extents[2]});
    dk_ = Tensor<T, 2, B>(be, {kernel_length(), extents[2]});
  }

  const CausalMonarchShape<Order>& shape() const { return shape_; }
  Index kernel_length() const { return std::min(extents_[1], shape_.kernel_length()); }
  Index heads() const { return heads_; }
  ConvolutionEngine engine() const { return convolution_.engine(); }

  Cache make_cache(B& be) const {
    return {Tensor<T, 3, B>(be, extents_), Tensor<T, 3, B>(be, extents_),
            Tensor<T, 2, B>(be, {extents_[1], extents_[2]})};
  }

  /// y = D0 conv(Q1 k + skip, Q2 u); skip, if there is one, adds to lag 0 of the kernel Q1 k.
  ///
  /// Shapes   u, y (batch, length, channels) with the plan's length and channels and at most its batch; k
  ///          (kernel_length(), channels); skip (channels) or empty, {}; coefficients (heads,
  ///          shape().coefficient_count())
  /// Writes   y (overwritten), cache; y must not overlap u
  /// Errors   m2::Error if a shape does not fit
  /// Cost     4 batch channels N sum of r_a flops, the long convolution, and a product with k; N the length rounded up
  ///          to a multiple of r_1 .. r_{p-1}, r_0 as large as it needs
  void forward(B& be, Input<T, 3, B> u, Input<T, 2, B> k, Input<T, 1, B> skip, Input<T, 2, B> coefficients,
               View<T, 3, B> y, Cache& cache) {
    check("causal_monarch", u, k, skip, coefficients, cache);
    M2_REQUIRE(y.extents() == u.extents(), "causal_monarch: u is ", u.extents(), ", y is ", y.extents());
    const View<T, 3, B> a = cache.a.view().slice(0, 0, u.extent(0)), h = cache.h.view().slice(0, 0, u.extent(0));
    for (Index head = 0; head < heads_; ++head) {
      multiply(be, unpacked(be, Part::kernel, head, coefficients), one(k, head), one(kernel_out(cache.b.view()), head));
      multiply(be, unpacked(be, Part::input, head, coefficients), of(u, head), of(a, head));
    }
    convolution_.forward(be, a, cache.b.cview(), {}, skip, h);
    for (Index head = 0; head < heads_; ++head)
      multiply(be, unpacked(be, Part::output, head, coefficients), of(h, head), of(y, head));
  }

  /// The gradients of forward, from its inputs, its cache and dy.
  ///
  /// Shapes   dy, du like u; dk, dskip, dcoefficients like k, skip, coefficients; dskip may be empty
  /// Writes   du (overwritten; must not overlap u or dy), dk, dskip, dcoefficients (accumulated)
  /// Errors   m2::Error if a shape does not fit
  /// Cost     three times forward's products, less a factor each, and the backward of the convolution
  void backward(B& be, Input<T, 3, B> u, Input<T, 2, B> k, Input<T, 1, B> skip, Input<T, 2, B> coefficients,
                Input<T, 3, B> dy, const Cache& cache, View<T, 3, B> du, View<T, 2, B> dk, View<T, 1, B> dskip,
                View<T, 2, B> dcoefficients) {
    check("causal_monarch_vjp", u, k, skip, coefficients, cache);
    M2_REQUIRE(dy.extents() == u.extents() && du.extents() == u.extents(), "causal_monarch_vjp: u is ", u.extents(),
               ", dy is ", dy.extents(), ", du is ", du.extents());
    M2_REQUIRE(dk.extents() == k.extents() && dcoefficients.extents() == coefficients.extents(),
               "causal_monarch_vjp: k is ", k.extents(), ", dk is ", dk.extents(), ", coefficients are ",
               coefficients.extents(), ", dcoefficients ", dcoefficients.extents());
    const Index batch = u.extent(0);
    const View<const T, 3, B> a = cache.a.view().slice(0, 0, batch), h = cache.h.view().slice(0, 0, batch);
    const View<T, 3, B> da = da_.view().slice(0, 0, batch), dh = dh_.view().slice(0, 0, batch);
    for (Index head = 0; head < heads_; ++head)
      multiply_vjp(be, Part::output, head, coefficients, of(h, head), of(dy, head), of(dh, head), dcoefficients);
    fill(be, T{0}, db_.view());
    convolution_.backward(be, a, cache.b.cview(), {}, skip, dh, da, db_.view(), {}, dskip);
    for (Index head = 0; head < heads_; ++head) {
      multiply_vjp(be, Part::input, head, coefficients, of(u, head), of(View<const T, 3, B>(da), head), of(du, head),
                   dcoefficients);
      multiply_vjp(be, Part::kernel, head, coefficients, one(k, head), one(kernel_out(db_.cview()), head),
                   one(dk_.view(), head), dcoefficients);
    }
    accumulate(be, dk_.cview(), dk);
  }

  /// T, y = T u, of every channel, computed from its definition in double precision on the host: the oracle of forward.
  /// It is lower triangular.
  ///
  /// Shapes   as forward; returns (channels, length, length)
  /// Cost     channels length^3 / 3 flops
  Tensor<T, 3, B> to_dense(B& be, Input<T, 2, B> k, Input<T, 1, B> skip, Input<T, 2, B> coefficients) const {
    check_parameters("causal_monarch to_dense", k, skip, coefficients);
    return detail::causal_dense<Order, T, B>(be, shape_, extents_[1], k, skip, coefficients);
  }

  /// The three complex Monarch matrices M1, M2 and M0^-1 of one head, and y by them.
  ///
  /// top_points   values of the top digit; 0 means as few as the degrees allow, see CausalMonarchShape::top_points
  /// Errors       m2::Error if the coefficients do not fit, or top_points are too few: the product would wrap around
  CausalMonarchForm<Order, T, B> monarch_form(B& be, Input<T, 2, B> coefficients, Index head = 0,
                                              Index top_points = 0) const {
    M2_REQUIRE(head >= 0 && head < heads_, "causal_monarch monarch_form: there is no head ", head, " of ", heads_);
    check_coefficients("causal_monarch monarch_form", coefficients);
    return CausalMonarchForm<Order, T, B>(be, shape_, extents_[1], coefficients.select(0, head), top_points);
  }

 private:
  enum class Part { kernel, input, output };

  static FactorOrder order_of(Part part) {
    return part == Part::output ? FactorOrder::bottom_first : FactorOrder::top_first;
  }
  const TriangularShape<Order>& triangles_of(Part part) const {
    return part == Part::kernel ? shape_.kernel_triangles() : shape_.triangles();
  }
  const MonarchShape<Order>& matrix_of(Part part) const {
    return part == Part::kernel ? kernel_matrix_ : (part == Part::input ? input_matrix_ : output_matrix_);
  }
  Index offset_of(Part part) const {
    return part == Part::kernel ? 0 : (part == Part::input ? shape_.input_offset() : shape_.output_offset());
  }

  template <class U>
  View<U, 1, B> triangles_in(View<U, 2, B> coefficients, Part part, Index head) const {
    return coefficients.select(0, head).slice(0, offset_of(part), triangles_of(part).coefficient_count());
  }
  MonarchView<Order, T, B> matrix(Tensor<T, 1, B>& memory, Part part) const {
    return monarch_view(matrix_of(part), memory.view().slice(0, 0, matrix_of(part).parameter_count()));
  }
  MonarchView<Order, T, B> unpacked(B& be, Part part, Index head, View<const T, 2, B> coefficients) {
    const MonarchView<Order, T, B> m = matrix(weights_, part);
    unpack_triangles(be, triangles_of(part), order_of(part), triangles_in(coefficients, part, head), m);
    return m;
  }

  /// The channels of a head.
  template <class U>
  View<U, 3, B> of(View<U, 3, B> x, Index head) const {
    return x.slice(2, head * (extents_[2] / heads_), extents_[2] / heads_);
  }
  /// The same of something all samples share, as a batch of one.
  template <class U>
  View<U, 3, B> one(View<U, 2, B> x, Index head) const {
    return of(View<U, 3, B>(x.data(), {1, x.extent(0), x.extent(1)}, {0, x.stride(0), x.stride(1)}), head);
  }
  /// The coefficients of Q1 k that may differ from zero.
  template <class U>
  View<U, 2, B> kernel_out(View<U, 2, B> b) const {
    return b.slice(0, 0, kernel_matrix_.out_features());
  }

  // Along the sequence a sample is (channels, length) with the channels contiguous: the batch-contiguous layout.
  static void multiply(B& be, const MonarchView<Order, T, B>& m, View<const T, 3, B> x, View<T, 3, B> y) {
    for (Index sample = 0; sample < x.extent(0); ++sample)
      monarch_multiply(be, m, x.select(0, sample).transpose(0, 1), y.select(0, sample).transpose(0, 1));
  }
  void multiply_vjp(B& be, Part part, Index head, View<const T, 2, B> coefficients, View<const T, 3, B> x,
                    View<const T, 3, B> dy, View<T, 3, B> dx, View<T, 2, B> dcoefficients) {
    const MonarchView<Order, T, B> m = unpacked(be, part, head, coefficients), dm = matrix(dweights_, part);
    fill(be, T{0}, dweights_.view().slice(0, 0, m.shape.parameter_count()));
    for (Index sample = 0; sample < x.extent(0); ++sample)
      monarch_multiply_vjp(be, m, x.select(0, sample).transpose(0, 1), dy.select(0, sample).transpose(0, 1),
                           dx.select(0, sample).transpose(0, 1), dm);
    unpack_triangles_vjp(be, triangles_of(part), order_of(part), dm, triangles_in(dcoefficients, part, head));
  }

  void check_coefficients(const char* op, View<const T, 2, B> coefficients) const {
    const Extents<2> needed{heads_, shape_.coefficient_count()};
    M2_REQUIRE(coefficients.extents() == needed, op, ": the coefficients are ", coefficients.extents(),
               ", (heads, coefficient_count) = ", needed, " are needed");
  }
  void check_parameters(const char* op, View<const T, 2, B> k, View<const T, 1, B> skip,
                        View<const T, 2, B> coefficients) const {
    const Extents<2> needed{kernel_length(), extents_[2]};
    M2_REQUIRE(k.extents() == needed, op, ": k is ", k.extents(), ", (kernel_length, channels) = ", needed,
               " is needed");
    M2_REQUIRE(skip.data() == nullptr || skip.extent(0) == extents_[2], op, ": skip is ", skip.extents(), ", (",
               extents_[2], ") is needed");
    check_coefficients(op, coefficients);
  }
  void check(const char* op, View<const T, 3, B> u, View<const T, 2, B> k, View<const T, 1, B> skip,
             View<const T, 2, B> coefficients, const Cache& cache) const {
    M2_REQUIRE(u.extent(0) <= extents_[0] && u.extent(1) == extents_[1] && u.extent(2) == extents_[2], op, ": u is ",
               u.extents(), ", the plan is for ", extents_);
    check_parameters(op, k, skip, coefficients);
    M2_REQUIRE(cache.a.extents() == extents_ && cache.h.extents() == extents_ && cache.b.extents() == db_.extents(), op,
               ": the cache holds ", cache.a.extents(), ", ", cache.h.extents(), " and ", cache.b.extents(),
               ", make_cache() of this plan ", extents_, " twice and ", db_.extents());
  }

  CausalMonarchShape<Order> shape_;
  Extents<3> extents_{};
  Index heads_ = 1;
  LongConvolution<T, B> convolution_;
  MonarchShape<Order> kernel_matrix_ = shape_.triangles().monarch(FactorOrder::top_first, 1, 1);
  MonarchShape<Order> input_matrix_ = kernel_matrix_, output_matrix_ = kernel_matrix_;
  Tensor<T, 1, B> weights_, dweights_;  // of one matrix at a time
  Tensor<T, 3, B> da_, dh_;
  Tensor<T, 2, B> db_, dk_;
};

}  // namespace m2
