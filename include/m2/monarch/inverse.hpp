#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "m2/monarch/algebra.hpp"

/// Inverse, solve and determinant of Monarch matrices whose factors are all square, by LU decompositions of their
/// blocks. The decompositions are the backend's: Cpu has them (Eigen).
namespace m2 {

/// sign |det| = det: the sign is +-1 (a number of modulus 1 if complex), or 0 where the matrix is singular, and then
/// log_abs is minus infinity. Products of many blocks overflow as a determinant, never as its logarithm.
template <Element T>
struct LogDeterminant {
  WideOf<T> sign{1};
  double log_abs = 0;

  static LogDeterminant zero() { return {WideOf<T>(0), -std::numeric_limits<double>::infinity()}; }
  /// May overflow or underflow. exp(-inf) is 0.
  WideOf<T> determinant() const { return sign * std::exp(log_abs); }
};

namespace detail {

template <class B, class T>
concept HasBlockSolvers = requires(B& be, View<T, 3, B> blocks, View<std::int32_t, 2, B> order, View<T, 4, B> x) {
  { be.lu_blocks(blocks, order) } -> std::same_as<Index>;
  be.lu_solve(blocks, order, x, true);
};

template <int Order>
void check_square_factors(const char* op, const MonarchShape<Order>& shape) {
  M2_REQUIRE(shape.in_features() == shape.out_features(), op, ": M is ", shape, ", a square matrix is needed");
  for (int f = 0; f < Order; ++f)
    M2_REQUIRE(shape.factor(f).in == shape.factor(f).out, op, ": M is ", shape, " with blocks of ", shape.factor(f).out,
               " x ", shape.factor(f).in, " in factor ", f, ", square blocks are needed; use to_dense()");
  M2_REQUIRE(shape.in_features() == shape.padded_in() && shape.out_features() == shape.padded_out(), op, ": M is ",
             shape, " cut from factors of ", shape.padded_out(), " x ", shape.padded_in(),
             ", a matrix without padding is needed; use to_dense()");
}

template <class T, Backend B>
void conjugate_in_place(B& be, T* data, Index n) {
  if (ComplexScalar<T>) be.for_each(n, [=] M2_HD(Index i) { data[i] = conjugate(data[i]); });
}

/// Ones on the diagonals of `blocks` matrices, n x n.
template <class T, Backend B>
void set_unit_diagonals(B& be, T* data, Index blocks, Index n) {
  be.for_each(blocks * n, [=] M2_HD(Index i) { data[i / n * n * n + i % n * (n + 1)] = T(1); });
}

/// to -= from, with the sums in the wider of the two types.
template <class Sum, class T, Backend B>
void subtract(B& be, const Sum* from, T* to, Index n) {
  be.for_each(n, [=] M2_HD(Index i) { to[i] = element_cast<T>(element_cast<Sum>(to[i]) - from[i]); });
}

}  // namespace detail

/// The LU decompositions of all blocks of a Monarch matrix: made once, they give the inverse, the determinant, and
/// solves with any number of vectors. For a 16-bit matrix they are computed and kept in float.
///
/// A block counts as singular when one of its pivots is not larger than the rounding error of that pivot. The relative
/// error of a solve is bounded by about eps n times the product of the condition numbers of the factors
/// (Monarch::condition_bound), n the largest block. Decomposing and solving costs about as much as the explicit inverse
/// and a multiply by it, and its errors are smaller (2 to 3 times, for random weights).
///
/// Errors   m2::Error if M is not square, has padding, or has blocks that are not square; it names `op`, what the
///          decomposition is for
/// Cost     2/3 sum_f(weights of f times its digit) flops for the decompositions; memory of the weights
/// Source   M^-1 = W_1^-1 .. W_p^-1, block by block (math.md B4)
template <int Order, Element T, Backend B>
class MonarchLu {
  static_assert(detail::HasBlockSolvers<B, SumOf<T>>,
                "This backend has no LU decomposition: copy the matrix to the CPU to invert it or to solve with it.");
  using Sum = SumOf<T>;

 public:
  MonarchLu(B& be, const MonarchView<Order, const T, B>& m, const char* op = "monarch_lu")
      : shape_(checked(op, m.shape)) {
    for (int f = 0; f < Order; ++f) {
      const FactorShape& s = shape_.factor(f);
      Factor& factor = factors_[static_cast<std::size_t>(f)];
      factor.lu = Tensor<Sum, 3, B>(be, {s.blocks(), s.out, s.in});
      factor.order = Tensor<std::int32_t, 2, B>(be, {s.blocks(), s.in});
      detail::convert(be, m.factors[static_cast<std::size_t>(f)], factor.lu.data(), s.weight_count());
      factor.singular_block = be.lu_blocks(factor.lu.view(), factor.order.view());
      if (factor.singular_block >= 0)
        factor.finite =
            is_finite(be, m.factors[static_cast<std::size_t>(f)] + factor.singular_block * s.out * s.in, s.out * s.in);
    }
  }

  const MonarchShape<Order>& shape() const { return shape_; }
  bool is_singular() const {
    for (const Factor& factor : factors_)
      if (factor.singular_block >= 0) return true;
    return false;
  }

  /// y = M^-1 x for every row of x; y may be x.
  ///
  /// Shapes   x, y (batch, features), any strides
  /// Errors   m2::Error naming factor and block if M is singular; if x or y does not fit M
  /// Cost     2 batch parameter_count flops, as many as a multiply; a (features, batch) array
  void solve(B& be, Input<T, 2, B> x, View<T, 2, B> y) const { solve(be, "monarch_solve", x, y, false); }
  /// y = M^-H x, otherwise the same.
  void solve_adjoint(B& be, Input<T, 2, B> x, View<T, 2, B> y) const { solve(be, "monarch_solve", x, y, true); }

  /// The VJP of solve at y = M^-1 x: dx = M^-H dy; for every factor, with input z and the gradient g of its output,
  /// dW -= sum over the batch of g z^H. Inputs are computed from y by multiplies, so x is not needed.
  ///
  /// Shapes   y, dy, dx (batch, features); m the matrix that was decomposed, dm of its shape
  /// Writes   dx (overwritten; may be dy); dm (accumulated)
  /// Errors   as solve
  /// Cost     three times the flops of a multiply; three (features, batch) arrays
  /// Source   math.md D6, triangular solve
  void solve_vjp(B& be, const MonarchView<Order, const T, B>& m, Input<T, 2, B> y, Input<T, 2, B> dy, View<T, 2, B> dx,
                 const MonarchView<Order, T, B>& dm) const {
    check_vectors("monarch_solve_vjp", y, dx);
    check_vectors("monarch_solve_vjp", dy, dx);
    detail::require_same_shape("monarch_solve_vjp", "the decomposed matrix", shape_, "M", m.shape);
    detail::require_same_shape("monarch_solve_vjp", "M", m.shape, "its gradient", dm.shape);
    const Index batch = y.extent(0), size = shape_.in_features() * batch;
    Tensor<Sum, 1, B> gradient(be, {size}), input(be, {size}), other(be, {size});
    detail::copy_cast<Sum, T, B>(be, dy.transpose(0, 1), vectors_at(gradient, batch));
    detail::copy_cast<Sum, T, B>(be, y.transpose(0, 1), vectors_at(input, batch));
    for (int f = 0; f < Order; ++f) {
      const FactorShape& s = shape_.factor(f);
      const auto at = static_cast<std::size_t>(f);
      Tensor<Sum, 4, B> weights(be, {s.outer, s.inner, s.out, s.in}), product(be, weights.extents());
      const auto g = detail::digits<Sum, B>(gradient.data(), s.outer, s.out, s.inner, batch);
      solve_factor(be, f, g, true);
      detail::convert(be, m.factors[at], weights.data(), s.weight_count());
      const auto z = detail::digits<const Sum, B>(input.data(), s.outer, s.in, s.inner, batch);
      be.gemm(weights.cview(), z, detail::digits<Sum, B>(other.data(), s.outer, s.out, s.inner, batch), false);
      detail::conjugate_in_place(be, input.data(), size);
      be.gemm(g, z.transpose(2, 3), product.view(), false);
      detail::subtract(be, product.data(), dm.factors[at], s.weight_count());
      std::swap(input, other);
    }
    detail::copy_cast<T, Sum, B>(be, vectors_at(gradient, batch), dx.transpose(0, 1));
  }

  /// result = M^-1, a Monarch matrix with the factors in reverse order.
  ///
  /// Shapes   result has the shape transposed(M)
  /// Errors   m2::Error naming factor and block if M is singular; if the result has another shape
  /// Cost     2 sum_f(weights of f times its digit) flops
  void inverse(B& be, const MonarchView<Order, T, B>& result) const {
    detail::require_same_shape("monarch_inverse", "M^-1", transposed(shape_), "the result", result.shape);
    require_regular("monarch_inverse");
    for (int f = 0; f < Order; ++f) {
      const FactorShape& s = shape_.factor(f);
      const Index n = s.in;
      Tensor<Sum, 4, B> blocks(be, {s.outer, s.inner, n, n});
      detail::set_unit_diagonals(be, blocks.data(), s.blocks(), n);
      solve_factor(be, f, blocks.view(), false);
      detail::convert(be, blocks.cview().data(), result.factors[static_cast<std::size_t>(Order - 1 - f)],
                      s.weight_count());
    }
  }

  /// The sum of log|u_kk| over all pivots, and the product of their signs and of the row exchanges. Factors mix digits
  /// in place, by strides, so no permutation is left over: det M = the product of det(block) over blocks and factors.
  ///
  /// Cost     a copy of the decompositions on the host
  LogDeterminant<T> log_determinant(B& be) const {
    LogDeterminant<T> result;
    for (const Factor& factor : factors_) {
      std::vector<Sum> lu(static_cast<std::size_t>(factor.lu.size()));
      std::vector<std::int32_t> order(static_cast<std::size_t>(factor.order.size()));
      be.download(factor.lu.data(), lu.data(), factor.lu.size());
      be.download(factor.order.data(), order.data(), factor.order.size());
      const auto n = static_cast<std::size_t>(factor.lu.extent(1));
      for (std::size_t b = 0; b * n < order.size(); ++b) {
        for (std::size_t k = 0; k < n; ++k) {
          const auto pivot = element_cast<WideOf<T>>(lu[(b * n + k) * n + k]);
          const double size = std::abs(pivot);
          if (size == 0) return LogDeterminant<T>::zero();
          result.sign *= pivot / size;
          result.log_abs += std::log(size);
        }
        if (odd(order.data() + b * n, n)) result.sign = -result.sign;
      }
    }
    if constexpr (ComplexScalar<T>) result.sign /= std::abs(result.sign);  // rounding of many products
    return result;
  }

 private:
  struct Factor {
    Tensor<Sum, 3, B> lu;              // (blocks, n, n)
    Tensor<std::int32_t, 2, B> order;  // (blocks, n)
    Index singular_block = -1;
    bool finite = true;  // the weights of that block
  };

  static bool is_finite(B& be, const T* weights, Index count) {
    std::vector<T> host(static_cast<std::size_t>(count));
    be.download(weights, host.data(), count);
    be.synchronize();
    return std::all_of(host.begin(), host.end(), [](const T& w) {
      return std::isfinite(std::real(element_cast<WideOf<T>>(w))) &&
             std::isfinite(std::imag(element_cast<WideOf<T>>(w)));
    });
  }

  static const MonarchShape<Order>& checked(const char* op, const MonarchShape<Order>& shape) {
    detail::check_square_factors(op, shape);
    return shape;
  }

  /// True if it takes an odd number of exchanges to make this permutation.
  static bool odd(const std::int32_t* permutation, std::size_t n) {
    std::vector<bool> seen(n);
    bool result = false;
    for (std::size_t start = 0; start < n; ++start)
      for (auto k = static_cast<std::size_t>(permutation[start]); !seen[start] && k != start && !seen[k];
           k = static_cast<std::size_t>(permutation[k])) {
        seen[k] = true;
        result = !result;
      }
    return result;
  }

  void require_regular(const char* op) const {
    for (std::size_t f = 0; f < factors_.size(); ++f) {
      const Index b = factors_[f].singular_block, inner = shape_.factors()[f].inner;
      M2_REQUIRE(b < 0, op, factors_[f].finite ? ": M is singular, block (" : ": M is not finite, block (", b / inner,
                 ", ", b % inner, ") of factor ", f,
                 factors_[f].finite ? " has no inverse" : " has an infinite weight or a NaN");
    }
  }

  void check_vectors(const char* op, View<const T, 2, B> x, View<const T, 2, B> y) const {
    detail::check_multiply<Order, T, B>(op, shape_, x, y);
    require_regular(op);
  }

  /// Feature-major memory of solve and its VJP.  // (features, batch)
  View<Sum, 2, B> vectors_at(Tensor<Sum, 1, B>& memory, Index batch) const {
    return {memory.data(), {shape_.in_features(), batch}};
  }

  void solve_factor(B& be, int f, View<Sum, 4, B> x, bool adjoint) const {
    const Factor& factor = factors_[static_cast<std::size_t>(f)];
    be.lu_solve(factor.lu.view(), factor.order.view(), x, adjoint);
  }

  void solve(B& be, const char* op, View<const T, 2, B> x, View<T, 2, B> y, bool adjoint) const {
    check_vectors(op, x, y);
    const Index batch = x.extent(0);
    Tensor<Sum, 1, B> vectors(be, {shape_.in_features() * batch});
    detail::copy_cast<Sum, T, B>(be, x.transpose(0, 1), vectors_at(vectors, batch));
    for (int step = 0; step < Order; ++step) {
      const int f = adjoint ? step : Order - 1 - step;
      const FactorShape& s = shape_.factor(f);
      solve_factor(be, f, detail::digits<Sum, B>(vectors.data(), s.outer, s.in, s.inner, batch), adjoint);
    }
    detail::copy_cast<T, Sum, B>(be, vectors_at(vectors, batch), y.transpose(0, 1));
  }

  MonarchShape<Order> shape_;
  std::array<Factor, static_cast<std::size_t>(Order)> factors_;
};

/// y = M^-1 x for every row of x. Keep a MonarchLu where the same matrix is used again.
///
/// Shapes, Writes, Errors   as MonarchLu and its solve
template <int Order, class W, Element T, Backend B>
requires std::same_as<std::remove_const_t<W>, T>
void monarch_solve(B& be, const MonarchView<Order, W, B>& m, Input<T, 2, B> x, View<T, 2, B> y) {
  MonarchLu<Order, T, B>(be, m, "monarch_solve").solve(be, x, y);
}

/// The VJP of monarch_solve, from its result y: dx = M^-H dy (overwritten), dm (accumulated). See MonarchLu.
template <int Order, class W, Element T, Backend B>
requires std::same_as<std::remove_const_t<W>, T>
void monarch_solve_vjp(B& be, const MonarchView<Order, W, B>& m, Input<T, 2, B> y, Input<T, 2, B> dy, View<T, 2, B> dx,
                       const MonarchView<Order, T, B>& dm) {
  MonarchLu<Order, T, B>(be, m, "monarch_solve_vjp").solve_vjp(be, m, y, dy, dx, dm);
}

/// Sign and logarithm of |det M|. A square matrix whose middle vectors are shorter than itself has determinant 0.
///
/// Errors   m2::Error if M is not square, or if blocks that are not square or padding leave only the dense way
/// Cost     that of MonarchLu
template <int Order, class W, Backend B>
auto monarch_log_determinant(B& be, const MonarchView<Order, W, B>& m) {
  using T = std::remove_const_t<W>;
  M2_REQUIRE(m.shape.in_features() == m.shape.out_features(), "determinant: M is ", m.shape,
             ", a square matrix is needed");
  for (const FactorShape& f : m.shape.factors())
    if (f.out_size() < m.shape.in_features()) return LogDeterminant<T>::zero();
  return MonarchLu<Order, T, B>(be, m, "determinant").log_determinant(be);
}

}  // namespace m2
