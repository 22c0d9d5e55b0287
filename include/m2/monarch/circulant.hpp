#pragma once

#include <utility>

#include "m2/monarch/complex_rows.hpp"
#include "m2/monarch/fourier.hpp"

/// Circulant and Toeplitz matrices in M M* form: a cyclic convolution is diagonal between the DFT and its inverse, and
/// with F = P M (decimation in frequency) and F^-1 = M' P^T (in time) no permutation is left,
///
///   C = F^-1 diag(F c) F = M' diag(M c) M.
///
/// Source   Dao et al. 2022 (arXiv:2204.00595) Prop. 2; Golub and Van Loan, Matrix Computations, 4.7.7
namespace m2 {

namespace detail {

/// z(row, i) = x(row, i), and zero behind x.
template <Element T, Backend B>
void load_rows(B& be, View<const T, 2, B> x, View<ComplexOf<T>, 2, B> z) {
  const Index rows = z.extent(0), columns = x.extent(1);
  be.for_each(z.size(), [=] M2_HD(Index at) {
    const Index row = at % rows, i = at / rows;
    z(row, i) = i < columns ? read_row<T, B>(x, row, i) : ComplexOf<T>(0);
  });
}

template <Element T, Backend B>
void store_rows(B& be, View<const ComplexOf<T>, 2, B> z, View<T, 2, B> y) {
  const Index rows = z.extent(0);
  be.for_each(rows * y.extent(1),
              [=] M2_HD(Index at) { write_row<T, B>(y, at % rows, at / rows, z(at % rows, at / rows)); });
}

/// z[(k + shift) mod N] = g[k].
template <Element T, Backend B>
void place_cyclic(B& be, View<const T, 1, B> g, Index shift, View<ComplexOf<T>, 1, B> z) {
  const Index n = z.extent(0);
  be.for_each(g.extent(0), [=] M2_HD(Index k) { z((k + shift) % n) = element_cast<ComplexOf<T>>(g(k)); });
}

/// g[k] += z[(k + shift) mod N], or its real part.
template <Element T, Backend B>
void accumulate_cyclic(B& be, View<const ComplexOf<T>, 1, B> z, Index shift, View<T, 1, B> g) {
  const Index n = z.extent(0);
  be.for_each(g.extent(0), [=] M2_HD(Index k) { g(k) += part_of<T>(z((k + shift) % n)); });
}

/// z(row, i) *= s[i], or its conjugate.
template <ComplexScalar C, Backend B>
void scale_spectrum(B& be, View<const C, 1, B> s, bool conjugated, View<C, 2, B> z) {
  const Index rows = z.extent(0);
  be.for_each(z.size(), [=] M2_HD(Index at) {
    const Index i = at / rows;
    z(at % rows, i) = z(at % rows, i) * (conjugated ? conjugate(s(i)) : s(i));
  });
}

/// total[i] = sum over rows of g(row, i) conj(x(row, i)).
template <ComplexScalar C, Backend B>
void correlate_spectra(B& be, View<const C, 2, B> g, View<const C, 2, B> x, View<C, 1, B> total) {
  const Index rows = g.extent(0);
  be.for_each(total.extent(0), [=] M2_HD(Index i) {
    C sum(0);
    for (Index row = 0; row < rows; ++row) sum += g(row, i) * conjugate(x(row, i));
    total(i) = sum;
  });
}

/// to[k] = from[(n - k) mod n], or from[n - 1 - k] if it is no cycle; conjugated if asked for.
template <Element T, Backend B>
Tensor<T, 1, B> flipped(B& be, View<const T, 1, B> from, bool cyclic, bool conjugated) {
  const Index n = from.extent(0);
  Tensor<T, 1, B> result(be, {n});
  const View<T, 1, B> to = result.view();
  be.for_each(n, [=] M2_HD(Index k) {
    const T value = from(cyclic ? (n - k) % n : n - 1 - k);
    to(k) = conjugated ? conjugate(value) : value;
  });
  be.synchronize();
  return result;
}

/// Multiplication by y_i = sum_j c_{(i - j) mod N} x_j, where x and y may be shorter than N: x is padded with zeros,
/// and y is cut. The generator c is given as some g with c_{(k + shift) mod N} = g_k, the rest zero.
template <int Order, Element T, Backend B>
class CyclicConvolution {
 public:
  using Complex = ComplexOf<T>;
  using Radices = typename MonarchShape<Order>::Radices;

  CyclicConvolution(B& be, const Radices& radices)
      : radices_(radices),
        forward_(dft_monarch<Order, Complex>(be, radices, {.decimation = Decimation::frequency})),
        inverse_(idft_monarch<Order, Complex>(be, radices, {.decimation = Decimation::time})),
        spectrum_(be, {size()}) {}

  Index size() const { return forward_.rows(); }
  const Radices& radices() const { return radices_; }

  void set_generator(B& be, View<const T, 1, B> g, Index shift) {
    Tensor<Complex, 1, B> c(be, {size()});
    place_cyclic<T, B>(be, g, shift, c.view());
    monarch_multiply(be, forward_.view(), one_row(std::as_const(c)), one_row(spectrum_));
    be.synchronize();
  }

  /// y = C x, or C^H x.
  void multiply(B& be, bool adjoint, View<const T, 2, B> x, View<T, 2, B> y) const {
    const Index rows = complex_rows<T>(x.extent(0));
    Tensor<Complex, 1, B> a(be, {rows * size()}), b(be, {rows * size()});
    const View<Complex, 2, B> z = batch_contiguous<Complex, B>(a.data(), rows, size());
    const View<Complex, 2, B> spectra = batch_contiguous<Complex, B>(b.data(), rows, size());
    load_rows<T, B>(be, x, z);
    monarch_multiply(be, forward_.view(), z, spectra);
    scale_spectrum<Complex, B>(be, spectrum_.view(), adjoint, spectra);
    monarch_multiply(be, inverse_.view(), spectra, z);
    store_rows<T, B>(be, z, y);
    be.synchronize();
  }

  /// g += the gradient of the generator: dc_t = sum_i dy_i conj(x_{i - t}), summed over the batch. Where two real rows
  /// are one complex row, the real part of the sum is the sum of both: (a + i b) conj(c + i d) = ac + bd + i (..).
  void generator_gradient(B& be, View<const T, 2, B> x, View<const T, 2, B> dy, Index shift, View<T, 1, B> dg) const {
    const Index rows = complex_rows<T>(x.extent(0));
    Tensor<Complex, 1, B> a(be, {rows * size()}), b(be, {rows * size()}), c(be, {rows * size()});
    Tensor<Complex, 1, B> total(be, {size()}), gradient(be, {size()});
    const View<Complex, 2, B> z = batch_contiguous<Complex, B>(a.data(), rows, size());
    const View<Complex, 2, B> x_spectra = batch_contiguous<Complex, B>(b.data(), rows, size());
    const View<Complex, 2, B> dy_spectra = batch_contiguous<Complex, B>(c.data(), rows, size());
    load_rows<T, B>(be, x, z);
    monarch_multiply(be, forward_.view(), z, x_spectra);
    load_rows<T, B>(be, dy, z);
    monarch_multiply(be, forward_.view(), z, dy_spectra);
    correlate_spectra<Complex, B>(be, dy_spectra, x_spectra, total.view());
    monarch_multiply(be, inverse_.view(), one_row(std::as_const(total)), one_row(gradient));
    accumulate_cyclic<T, B>(be, gradient.view(), shift, dg);
    be.synchronize();
  }

 private:
  View<const Complex, 2, B> one_row(const Tensor<Complex, 1, B>& v) const { return {v.data(), {1, size()}}; }
  View<Complex, 2, B> one_row(Tensor<Complex, 1, B>& v) const { return {v.data(), {1, size()}}; }

  Radices radices_;
  Monarch<Order, Complex, B> forward_, inverse_;
  Tensor<Complex, 1, B> spectrum_;
};

template <class T, class B>
Tensor<T, 1, B> copy_of(B& be, View<const T, 1, B> from) {
  Tensor<T, 1, B> result(be, from.extents());
  const View<T, 1, B> to = result.view();
  be.for_each(from.extent(0), [=] M2_HD(Index k) { to(k) = from(k); });
  be.synchronize();
  return result;
}

}  // namespace detail

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
  /// Cost     for each complex row, or two real ones, two Monarch products of 8 N sum(radices) flops; two complex
  /// arrays
  ///          of that size for the time of the call
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const {
    this->check("circulant or Toeplitz", x, y);
    convolution_.multiply(be, false, x, y);
  }

  /// The VJP of multiply: dx = A^H dy, and dg += the gradient of the generating vector, summed over the batch.
  ///
  /// Shapes   x, dx (batch, cols), dy (batch, rows), dg like generator()
  /// Writes   dx (overwritten), dg (accumulated); dx must not overlap x or dy
  /// Errors   m2::Error if a shape does not fit
  /// Cost     twice that of multiply
  void multiply_vjp(B& be, Input<T, 2, B> x, Input<T, 2, B> dy, View<T, 2, B> dx, View<T, 1, B> dg) const {
    this->check("circulant or Toeplitz vjp", x, dy);
    M2_REQUIRE(dx.extents() == x.extents() && dg.extents() == generator_.extents(), "circulant or Toeplitz vjp: x is ",
               x.extents(), ", dx is ", dx.extents(), ", the generator is ", generator_.extents(), ", dg is ",
               dg.extents());
    convolution_.generator_gradient(be, x, dy, shift_, dg);
    convolution_.multiply(be, true, dy, dx);
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
  Circulant(B& be, Input<T, 1, B> c) : Circulant(be, c, balanced_radices<Order>(c.extent(0))) {}

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
