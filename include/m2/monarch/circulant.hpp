#pragma once

#include "m2/monarch/cyclic_convolution.hpp"

/// Circulant and Toeplitz matrices in M M* form, two Monarch matrices and a diagonal between them:
/// cyclic_convolution.hpp. A Toeplitz matrix is the corner of a circulant one of at least rows + cols - 1.
///
/// Source   Dao et al. 2022 (arXiv:2204.00595) Prop. 2; Golub and Van Loan, Matrix Computations, 4.7.7
namespace m2 {

/// A circulant or Toeplitz matrix over its generating vector g: what both have in common. Derived says where g lies in
/// the cycle.
template <class Derived, int Order, Element T, Backend B>
requires(!SixteenBit<T>) class ConvolutionMatrix : public LinearMap<Derived> {
 public:
  using value_type = T;
  using backend_type = B;
  using Radices = typename MonarchShape<Order>::Radices;
  static constexpr int order = Order;

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  const Radices& radices() const { return convolution_.radices(); }

  /// The vector that the matrix was made from.
  View<const T, 1, B> generator() const { return generator_.view(); }

  /// y = A x for every row of x.
  ///
  /// Shapes   x (batch, cols), y (batch, rows), any strides
  /// Writes   y (overwritten); must not overlap x
  /// Errors   m2::Error if a shape does not fit
  /// Cost     for each complex row, or two real ones, two Monarch products of 8 N sum(radices) flops; two
  ///          complex arrays of its size for the time of the call
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const {
    this->check("circulant or Toeplitz", x, y);
    convolution_.multiply(be, x, y);
  }

  /// The VJP of multiply: dx = A^H dy, and dg += the gradient of the generating vector, summed over the batch.
  ///
  /// Shapes   x, dx (batch, cols), dy (batch, rows), dg like generator()
  /// Writes   dx (overwritten), dg (accumulated); dx must not overlap x or dy
  /// Errors   m2::Error if a shape does not fit
  /// Cost     three Monarch products in place of the two of multiply, three complex arrays
  void multiply_vjp(B& be, Input<T, 2, B> x, Input<T, 2, B> dy, View<T, 2, B> dx, View<T, 1, B> dg) const {
    this->check("circulant or Toeplitz vjp", x, dy);
    M2_REQUIRE(dx.extents() == x.extents() && dg.extents() == generator_.extents(), "circulant or Toeplitz vjp: x is ",
               x.extents(), ", dx is ", dx.extents(), ", the generator is ", generator_.extents(), ", dg is ",
               dg.extents());
    convolution_.multiply_vjp(be, x, dy, shift_, dx, dg);
  }

  /// Another generating vector of the same size, after a step of training for one.
  ///
  /// Errors   m2::Error if the size differs
  void set_generator(B& be, Input<T, 1, B> g) {
    M2_REQUIRE(g.extents() == generator_.extents(), "circulant or Toeplitz: the generator is ", generator_.extents(),
               ", the new one is ", g.extents());
    generator_ = detail::copy_of<T, B>(be, g);
    convolution_.set_generator(be, generator_.view(), shift_);
  }

 protected:
  ConvolutionMatrix(B& be, View<const T, 1, B> g, Index rows, Index cols, Index shift, const Radices& radices)
      : rows_(rows), cols_(cols), shift_(shift), generator_(detail::copy_of<T, B>(be, g)), convolution_(be, radices) {
    convolution_.set_generator(be, generator_.view(), shift_);
  }

 private:
  Index rows_, cols_, shift_;
  Tensor<T, 1, B> generator_;
  detail::CyclicConvolution<Order, T, B> convolution_;
};

/// The circulant matrix with first column c: y_i = sum_j c_{(i - j) mod n} x_j, the cyclic convolution with c.
template <int Order, Element T, Backend B>
class Circulant : public ConvolutionMatrix<Circulant<Order, T, B>, Order, T, B> {
  using Base = ConvolutionMatrix<Circulant, Order, T, B>;

 public:
  using Radices = typename Base::Radices;

  /// Errors   m2::Error if c has not r0 r1 .. r_{p-1} elements
  Circulant(B& be, Input<T, 1, B> c, const Radices& radices)
      : Base(be, c, c.extent(0), c.extent(0), 0, checked(radices, c.extent(0))) {}
  /// With the radices of the least cost, balanced_radices<Order>(n).
  Circulant(B& be, Input<T, 1, B> c) : Circulant(be, c, balanced_radices<Order>(not_empty(c.extent(0)))) {}

  Circulant transpose(B& be) const { return flipped(be, false); }
  Circulant adjoint(B& be) const { return flipped(be, true); }
  Circulant transpose() const {
    B be;
    return flipped(be, false);
  }
  Circulant adjoint() const {
    B be;
    return flipped(be, true);
  }

 private:
  Circulant flipped(B& be, bool conjugated) const {
    return Circulant(be, detail::flipped<T, B>(be, this->generator(), true, conjugated).view(), this->radices());
  }
  static Index not_empty(Index n) {
    M2_REQUIRE(n >= 1, "circulant: the generator has ", n, " elements, at least 1 is needed");
    return n;
  }
  static const Radices& checked(const Radices& radices, Index n) {
    const Index size = MonarchShape<Order>::square(radices).in_features();
    M2_REQUIRE(size == n, "circulant: the generator has ", n, " elements, the radices ", radices, " give ", size);
    return radices;
  }
};

/// The rows x cols Toeplitz matrix A[i, j] = g[i - j + cols - 1]: g holds its diagonals, from the upper right corner to
/// the lower left one. It is the corner of a circulant matrix of at least rows + cols - 1.
template <int Order, Element T, Backend B>
class Toeplitz : public ConvolutionMatrix<Toeplitz<Order, T, B>, Order, T, B> {
  using Base = ConvolutionMatrix<Toeplitz, Order, T, B>;

 public:
  using Radices = typename Base::Radices;

  /// The radices are those of the circulant matrix around it.
  ///
  /// Errors   m2::Error if rows or cols is below 1, g has not rows + cols - 1 elements, or the radices give less
  Toeplitz(B& be, Input<T, 1, B> g, Index rows, Index cols, const Radices& radices)
      : Base(be, g, rows, cols, checked(g.extent(0), rows, cols, radices) - (cols - 1), radices) {}
  /// With covering_radices<Order>(rows + cols - 1).
  Toeplitz(B& be, Input<T, 1, B> g, Index rows, Index cols)
      : Toeplitz(be, g, rows, cols, covering_radices<Order>(checked(g.extent(0), rows, cols))) {}

  Toeplitz transpose(B& be) const { return flipped(be, false); }
  Toeplitz adjoint(B& be) const { return flipped(be, true); }
  Toeplitz transpose() const {
    B be;
    return flipped(be, false);
  }
  Toeplitz adjoint() const {
    B be;
    return flipped(be, true);
  }

 private:
  Toeplitz flipped(B& be, bool conjugated) const {
    return Toeplitz(be, detail::flipped<T, B>(be, this->generator(), false, conjugated).view(), this->cols(),
                    this->rows(), this->radices());
  }
  static Index checked(Index diagonals, Index rows, Index cols) {
    M2_REQUIRE(rows >= 1 && cols >= 1 && diagonals - rows == cols - 1, "toeplitz: the matrix is ", rows, " x ", cols,
               ", g has ", diagonals, " diagonals, rows + cols - 1 are needed");
    return diagonals;
  }
  static Index checked(Index diagonals, Index rows, Index cols, const Radices& radices) {
    const Index size = MonarchShape<Order>::square(radices).in_features();
    M2_REQUIRE(size >= checked(diagonals, rows, cols), "toeplitz: the matrix is ", rows, " x ", cols, ", the radices ",
               radices, " give ", size, ", rows + cols - 1 are needed");
    return size;
  }
};

}  // namespace m2
