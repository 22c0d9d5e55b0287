#pragma once

#include "m2/monarch/algebra.hpp"
#include "m2/monarch/linear_map.hpp"

namespace m2 {

namespace detail {

/// Backends whose multiply takes weights in an order of its own, MonarchCall::packed. A size of 0 says that there is no
/// such order for this matrix.
template <class B, class T>
concept PacksMonarch = HasMonarchKernel<B, T> && requires(B& be, const MonarchCall<T>& call, T* packed) {
  { be.packed_size(call) } -> std::same_as<Index>;
  be.pack_monarch(call, packed);
};

}  // namespace detail

/// A snapshot of a Monarch matrix for many products: a copy of its weights and, where the backend's kernels have an
/// order of their own for them, a second copy in that order. A multiply of a MonarchView brings the weights into that
/// order every time; this one never does. On Cpu it is what few vectors with contiguous features gain most from: they
/// are fewer numbers than the weights.
///
/// It holds what the weights were when it was made, or last assigned to, whatever becomes of them afterwards: training
/// changes parameters by pointers that views handed out, which a copy hidden inside Monarch could not notice, and would
/// multiply by old weights. So the copy is an object of its own, and assign() says when new weights count.
///
/// Errors   m2::OutOfMemory if there is not enough
/// Cost     one pass over the weights; memory of two matrices, of one where nothing is packed (on Cpu complex and
///          16-bit elements, and factors whose blocks do not fill whole SIMD registers)
template <int Order, Element T, Backend B>
class PackedMonarch : public LinearMap<PackedMonarch<Order, T, B>> {
 public:
  using value_type = T;
  using backend_type = B;
  static constexpr int order = Order;

  PackedMonarch(B& be, const MonarchView<Order, const T, B>& m)
      : shape_(m.shape), weights_(be, {m.shape.parameter_count()}), packed_(be, {packed_size(be, m)}) {
    assign(be, m);
  }

  /// Takes the weights of m in place of its own, into the memory that it has.
  ///
  /// Writes   this matrix, which no other thread may be multiplying by
  /// Errors   m2::Error if m has another shape
  /// Cost     two passes over the weights, no allocation
  void assign(B& be, const MonarchView<Order, const T, B>& m) {
    detail::require_same_shape("PackedMonarch::assign", "it", shape_, "the new matrix", m.shape);
    monarch_cast(be, m, monarch_view(shape_, weights_.view()));
    if constexpr (detail::PacksMonarch<B, T>) {
      if (packed_.size() > 0) be.pack_monarch(detail::monarch_call<T>(shape_, m.factors, 0), packed_.data());
    }
  }

  const MonarchShape<Order>& shape() const { return shape_; }
  Index rows() const { return shape_.out_features(); }
  Index cols() const { return shape_.in_features(); }
  Index parameter_count() const { return shape_.parameter_count(); }

  /// The weights as Monarch has them.
  MonarchView<Order, const T, B> view() const { return monarch_view(shape_, weights_.view()); }
  View<const T, 1, B> weights() const { return weights_.view(); }
  /// The weights in the order of the backend's kernels; empty where there is none.
  View<const T, 1, B> packed() const { return packed_.view(); }

  /// y = M x for every row of x: monarch_multiply.
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const { monarch_multiply(be, *this, x, y); }

 private:
  static Index packed_size([[maybe_unused]] B& be, [[maybe_unused]] const MonarchView<Order, const T, B>& m) {
    if constexpr (detail::PacksMonarch<B, T>) {
      return be.packed_size(detail::monarch_call<T>(m.shape, m.factors, 0));
    } else {
      return 0;
    }
  }

  MonarchShape<Order> shape_;
  Tensor<T, 1, B> weights_, packed_;
};

template <int Order, class W, class B>
PackedMonarch(B&, const MonarchView<Order, W, B>&) -> PackedMonarch<Order, std::remove_const_t<W>, B>;

/// y = M x for every row of x, by weights that are packed already. Otherwise the multiply of a MonarchView.
///
/// Shapes   x (batch, in_features), y (batch, out_features), any strides; packed weights serve contiguous features
/// Writes   y (overwritten); must not overlap x
/// Errors   m2::Error if x or y does not fit M
/// Cost     2 batch parameter_count flops; working memory as the multiply of a MonarchView
/// Source   Dao et al. 2022 (arXiv:2204.00595) Def. 1
template <int Order, Element T, Backend B>
void monarch_multiply(B& be, const PackedMonarch<Order, T, B>& m, const Input<T, 2, B>& x, const View<T, 2, B>& y) {
  if constexpr (detail::PacksMonarch<B, T>) {
    detail::check_multiply<Order, T, B>("monarch_multiply", m.shape(), x, y);
    const auto weights = detail::factor_pointers(m.shape(), m.weights().data());
    detail::MonarchCall<T> call = detail::monarch_call<T>(m.shape(), weights, x.extent(0));
    if (m.packed().extent(0) > 0) call.packed = m.packed().data();
    be.monarch_multiply(call, x, y);
  } else {
    monarch_multiply(be, m.view(), x, y);
  }
}

}  // namespace m2
