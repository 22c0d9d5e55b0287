#pragma once

#include <cmath>
#include <vector>

#include "m2/monarch/complex_rows.hpp"
#include "m2/monarch/fourier.hpp"

/// The discrete cosine transforms II and III through one complex Monarch matrix. With C[k, n] = cos(pi k (2 n + 1) /
/// (2 N)), w = exp(-i pi / (2 N)), E the permutation that puts the even elements first and the odd ones behind them
/// backwards, and F the DFT of size N,
///
///   (C x)_k = Re(w^k (F E x)_k) = (w^k z_k + w^{-k} z_{-k}) / 2,   z = F E x, indices modulo N.
///
/// The first form holds for real x since the cosines of E's even and odd half are the real parts of w^k w_N^{k n}; the
/// second, its average over x and its conjugate, is linear over the complex numbers. So C = (D F + D^-1 J F) E / 2
/// exactly, with D a diagonal matrix and J the reversal of indices; and with F = M P of decimation in time, P and E are
/// one index map where x is read. C^T is the same backwards, since F is symmetric.
///
/// Source   Makhoul 1980, "A fast cosine transform in one and two dimensions"; Ahmed, Natarajan, Rao 1974
namespace m2 {

namespace detail {

/// Where the DFT of a DCT of size n finds its input i.
inline Index even_odd(Index n, Index i) { return i < (n + 1) / 2 ? 2 * i : 2 * (n - 1 - i) + 1; }

/// z(row, i) = x(row, map[i]).
template <Element T, Backend B>
void gather_rows(B& be, const Index* map, View<const T, 2, B> x, View<ComplexOf<T>, 2, B> z) {
  const Index rows = z.extent(0);
  be.for_each(z.size(), [=] M2_HD(Index at) {
    const Index row = at % rows, i = at / rows;
    z(row, i) = read_row<T, B>(x, row, map[i]);
  });
}

/// y(row, map[i]) = z(row, i).
template <Element T, Backend B>
void scatter_rows(B& be, const Index* map, View<const ComplexOf<T>, 2, B> z, View<T, 2, B> y) {
  const Index rows = z.extent(0);
  be.for_each(z.size(), [=] M2_HD(Index at) {
    const Index row = at % rows, i = at / rows;
    write_row<T, B>(y, row, map[i], z(row, i));
  });
}

/// y_k = t_k z_k + conj(t_k) z_{-k}.
template <Element T, Backend B>
void fold(B& be, const ComplexOf<T>* t, View<const ComplexOf<T>, 2, B> z, View<T, 2, B> y) {
  const Index rows = z.extent(0), n = z.extent(1);
  be.for_each(z.size(), [=] M2_HD(Index at) {
    const Index row = at % rows, k = at / rows;
    write_row<T, B>(y, row, k, t[k] * z(row, k) + conjugate(t[k]) * z(row, k == 0 ? 0 : n - k));
  });
}

/// z(row, i) = s_k with k = map[i] and s_k = t_k x_k + conj(t_{-k}) x_{-k}: the transpose of fold, in the order of map.
template <Element T, Backend B>
void fold_transposed(B& be, const Index* map, const ComplexOf<T>* t, View<const T, 2, B> x,
                     View<ComplexOf<T>, 2, B> z) {
  const Index rows = z.extent(0), n = z.extent(1);
  be.for_each(z.size(), [=] M2_HD(Index at) {
    const Index row = at % rows, i = at / rows, k = map[i], other = k == 0 ? 0 : n - k;
    z(row, i) = t[k] * read_row<T, B>(x, row, k) + conjugate(t[other]) * read_row<T, B>(x, row, other);
  });
}

}  // namespace detail

/// A discrete cosine transform, diag(a) C (II) or C^T diag(a) (III), as an order-p Monarch product. The scales a are
/// those of dct2 and dct3, or of an inverse or transpose of theirs.
template <int Order, Element T, Backend B>
requires(!SixteenBit<T>) class CosineTransform : public LinearMap<CosineTransform<Order, T, B>> {
  using Complex = detail::ComplexOf<T>;

 public:
  using value_type = T;
  using backend_type = B;
  using Radices = typename MonarchShape<Order>::Radices;
  static constexpr int order = Order;

  /// diag(scales) C, or, if transposed, C^T diag(scales).
  ///
  /// Errors   m2::Error if there are not as many scales as r0 r1 .. r_{p-1}
  CosineTransform(B& be, const Radices& radices, bool transposed, const std::vector<double>& scales)
      : radices_(radices),
        transposed_(transposed),
        scales_(scales),
        monarch_(dft_monarch<Order, Complex>(be, radices)) {
    const Index n = rows();
    M2_REQUIRE(static_cast<Index>(scales.size()) == n, "cosine transform: ", scales.size(), " scales, the size is ", n);
    std::vector<Index> input = dft_permutation(radices, Decimation::time).index_map(), output;
    if (transposed) {
      for (Index i = 0; i < n; ++i) output.push_back(detail::even_odd(n, i));
    } else {
      for (Index& i : input) i = detail::even_odd(n, i);
    }
    input_map_ = detail::upload_map(be, input);
    output_map_ = detail::upload_map(be, output);
    std::vector<Complex> phases;
    for (Index k = 0; k < n; ++k)
      phases.push_back(element_cast<Complex>(0.5 * scales[static_cast<std::size_t>(k)] * root_of_unity(4 * n, k)));
    phases_ = Tensor<Complex, 1, B>(be, {n});
    be.upload(phases.data(), phases_.data(), n);
    be.synchronize();
  }

  Index rows() const { return monarch_.rows(); }
  Index cols() const { return monarch_.cols(); }
  bool transposed() const { return transposed_; }
  const std::vector<double>& scales() const { return scales_; }
  const Monarch<Order, Complex, B>& monarch() const { return monarch_; }

  /// The transform of every row of x; the VJP is transpose().multiply.
  ///
  /// Shapes   x, y (batch, N), any strides
  /// Writes   y (overwritten); must not overlap x
  /// Errors   m2::Error if a shape does not fit
  /// Cost     for each complex row, or two real ones, a Monarch product of 8 N sum(radices) flops; two complex arrays
  ///          of that size for the time of the call
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const {
    this->check("cosine transform", x, y);
    const Index n = rows(), batch = detail::complex_rows<T>(x.extent(0));
    Tensor<Complex, 1, B> from(be, {batch * n}), to(be, {batch * n});
    const View<Complex, 2, B> z = detail::batch_contiguous<Complex, B>(from.data(), batch, n);
    const View<Complex, 2, B> spectrum = detail::batch_contiguous<Complex, B>(to.data(), batch, n);
    if (transposed_) {
      detail::fold_transposed<T, B>(be, input_map_.data(), phases_.data(), x, z);
    } else {
      detail::gather_rows<T, B>(be, input_map_.data(), x, z);
    }
    monarch_multiply(be, monarch_.view(), z, spectrum);
    if (transposed_) {
      detail::scatter_rows<T, B>(be, output_map_.data(), spectrum, y);
    } else {
      detail::fold<T, B>(be, phases_.data(), spectrum, y);
    }
    be.synchronize();
  }

  CosineTransform transpose(B& be) const { return CosineTransform(be, radices_, !transposed_, scales_); }
  CosineTransform transpose() const {
    B be;
    return transpose(be);
  }

  /// The inverse, exact because C C^T = diag(N, N/2, .., N/2).
  ///
  /// Errors   m2::Error if a scale is 0
  CosineTransform inverse(B& be) const {
    std::vector<double> scales;
    for (const double scale : scales_) {
      M2_REQUIRE(scale != 0, "cosine transform: scale ", scales.size(), " is 0, so there is no inverse");
      scales.push_back((scales.empty() ? 1.0 : 2.0) / (static_cast<double>(rows()) * scale));
    }
    return CosineTransform(be, radices_, !transposed_, scales);
  }
  CosineTransform inverse() const {
    B be;
    return inverse(be);
  }

 private:
  Radices radices_;
  bool transposed_;
  std::vector<double> scales_;
  Monarch<Order, Complex, B> monarch_;
  Tensor<Index, 1, B> input_map_;   ///< where element i of the DFT's input lies in x
  Tensor<Index, 1, B> output_map_;  ///< where element i of its output goes to in y, if transposed
  Tensor<Complex, 1, B> phases_;
};

namespace detail {

template <int Order, class T, class B>
CosineTransform<Order, T, B> cosine_transform(B& be, const TransformSize<Order>& size, bool transposed,
                                              Normalization normalization) {
  const auto n = static_cast<double>(dft_shape(size.radices, Decimation::time).in_features());
  const bool ortho = normalization == Normalization::ortho;
  std::vector<double> scales(static_cast<std::size_t>(n), ortho ? std::sqrt(2 / n) : 2);
  scales[0] = ortho ? std::sqrt(1 / n) : transposed ? 1 : 2;
  return {be, size.radices, transposed, scales};
}

}  // namespace detail

/// DCT-II: y_k = 2 sum_j x_j cos(pi k (2 j + 1) / (2 N)), the definition of FFTW (REDFT10) and SciPy. With ortho, y_0
/// is divided by sqrt(4 N) and the others by sqrt(2 N), which makes it orthogonal.
///
/// Errors   m2::Error if a radix is below 1 or the size does not fit
template <int Order, Element T, Backend B>
CosineTransform<Order, T, B> dct2(B& be, const TransformSize<Order>& size,
                                  Normalization normalization = Normalization::none) {
  return detail::cosine_transform<Order, T>(be, size, false, normalization);
}

/// DCT-III: y_k = x_0 + 2 sum_{j > 0} x_j cos(pi j (2 k + 1) / (2 N)), the definition of FFTW (REDFT01) and SciPy, 2 N
/// times the inverse of dct2. With ortho it is the inverse and the transpose of dct2 with ortho.
///
/// Errors   m2::Error if a radix is below 1 or the size does not fit
template <int Order, Element T, Backend B>
CosineTransform<Order, T, B> dct3(B& be, const TransformSize<Order>& size,
                                  Normalization normalization = Normalization::none) {
  return detail::cosine_transform<Order, T>(be, size, true, normalization);
}

}  // namespace m2
