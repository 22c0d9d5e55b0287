#pragma once

#include <utility>

#include "m2/monarch/complex_rows.hpp"
#include "m2/monarch/fourier.hpp"

/// The cyclic convolution with a fixed vector as two Monarch products: it is diagonal between the DFT and its inverse,
/// and with F = P M (decimation in frequency) and F^-1 = M' P^T (in time) no permutation is left,
///
///   C = F^-1 diag(F c) F = M' diag(M c) M.
///
/// Source   Golub and Van Loan, Matrix Computations, 4.7.7; Fu et al. 2023 (arXiv:2310.12109) Sec. 3
namespace m2::detail {

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

  /// y = C x.
  void multiply(B& be, View<const T, 2, B> x, View<T, 2, B> y) const {
    const Index rows = complex_rows<T>(x.extent(0));
    Tensor<Complex, 1, B> a(be, {rows * size()}), b(be, {rows * size()});
    const View<Complex, 2, B> z = batch_contiguous<Complex, B>(a.data(), rows, size());
    const View<Complex, 2, B> spectra = batch_contiguous<Complex, B>(b.data(), rows, size());
    load_rows<T, B>(be, x, z);
    monarch_multiply(be, forward_.view(), z, spectra);
    scale_spectrum<Complex, B>(be, spectrum_.view(), false, spectra);
    monarch_multiply(be, inverse_.view(), spectra, z);
    store_rows<T, B>(be, z, y);
    be.synchronize();
  }

  /// dx = C^H dy, and dg += the gradient of the generator: dc_t = sum_i dy_i conj(x_{i - t}), summed over the batch.
  /// Where two real rows are one complex row, the real part of the sum is the sum of both: (a + i b) conj(c + i d) = ac
  /// + bd + i (..).
  void multiply_vjp(B& be, View<const T, 2, B> x, View<const T, 2, B> dy, Index shift, View<T, 2, B> dx,
                    View<T, 1, B> dg) const {
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
    scale_spectrum<Complex, B>(be, spectrum_.view(), true, dy_spectra);
    monarch_multiply(be, inverse_.view(), dy_spectra, z);
    store_rows<T, B>(be, z, dx);
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

}  // namespace m2::detail
