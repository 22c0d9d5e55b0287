#pragma once

#include "m2/backend/concept.hpp"
#include "m2/core/dft_plan.hpp"
#include "m2/monarch/dft.hpp"

/// The long convolution on nothing but for_each: for backends without kernels of their own.
namespace m2::detail {

/// The arguments of a long convolution; k_reverse and skip may be empty.
template <class T, class B>
struct LongConvolutionKernelViews {
  View<T, 2, B> causal, reverse;
  View<T, 1, B> skip;
};

/// sum_s kernel(lag) x[b, s, c] with lag = t - s, or s - t if transposed. Lags that the kernel has not are skipped.
template <Scalar T, Backend B>
void convolve_directly(B& be, LongConvolutionKernelViews<const T, B> k, Input<T, 3, B> x, bool transposed,
                       View<T, 3, B> y) {
  const Index length = x.extent(1), channels = x.extent(2);
  const bool has_reverse = k.reverse.data() != nullptr, has_skip = k.skip.data() != nullptr;
  be.for_each(x.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, t = at / channels % length, b = at / channels / length;
    T total = has_skip ? k.skip(c) * x(b, t, c) : T{0};
    for (Index s = 0; s < length; ++s) {
      const Index lag = transposed ? s - t : t - s;
      if (lag >= 0) {
        total += k.causal(lag, c) * x(b, s, c);
      } else if (has_reverse) {
        total += k.reverse(-lag - 1, c) * x(b, s, c);
      }
    }
    y(b, t, c) = total;
  });
}

/// gradient[m, c] += sum over b, t of late[b, t, c] early[b, t - m - shift, c].
template <Scalar T, Backend B>
void correlate_directly(B& be, Input<T, 3, B> early, Input<T, 3, B> late, Index shift, View<T, 2, B> gradient) {
  const Index batch = early.extent(0), length = early.extent(1), channels = early.extent(2);
  be.for_each(gradient.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, m = at / channels;
    T total = 0;
    for (Index b = 0; b < batch; ++b)
      for (Index t = m + shift; t < length; ++t) total += late(b, t, c) * early(b, t - m - shift, c);
    gradient(m, c) += total;
  });
}

/// dskip[c] += sum over b, t of dy[b, t, c] u[b, t, c].
template <Scalar T, Backend B>
void add_skip_gradient(B& be, Input<T, 3, B> u, Input<T, 3, B> dy, View<T, 1, B> dskip) {
  const Index batch = u.extent(0), length = u.extent(1);
  be.for_each(dskip.size(), [=] M2_HD(Index c) {
    T total = 0;
    for (Index b = 0; b < batch; ++b)
      for (Index t = 0; t < length; ++t) total += dy(b, t, c) * u(b, t, c);
    dskip(c) += total;
  });
}

/// re = the lags in circular order over size positions, divided by size, the skip term at lag 0; im = 0.
template <Scalar T, Backend B>
void pack_kernel(B& be, LongConvolutionKernelViews<const T, B> k, View<T, 3, B> re, View<T, 3, B> im) {
  const Index size = re.extent(1), channels = re.extent(2), length = k.causal.extent(0);
  const bool has_reverse = k.reverse.data() != nullptr, has_skip = k.skip.data() != nullptr;
  be.for_each(re.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, t = at / channels;
    T value = 0;
    if (t < length) {
      value = k.causal(t, c) + (t == 0 && has_skip ? k.skip(c) : T{0});
    } else if (has_reverse && size - t < length) {
      value = k.reverse(size - t - 1, c);
    }
    re(0, t, c) = value / static_cast<T>(size);
    im(0, t, c) = 0;
  });
}

/// Rows 2 p and 2 p + 1 of x as the parts of complex row p, zeros beyond the length and for an absent last row.
template <Scalar T, Backend B>
void pack_rows(B& be, Input<T, 3, B> x, View<T, 3, B> re, View<T, 3, B> im) {
  const Index size = re.extent(1), channels = re.extent(2), length = x.extent(1), batch = x.extent(0);
  be.for_each(re.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, t = at / channels % size, p = at / channels / size;
    re(p, t, c) = t < length ? x(2 * p, t, c) : T{0};
    im(p, t, c) = t < length && 2 * p + 1 < batch ? x(2 * p + 1, t, c) : T{0};
  });
}

template <Scalar T, Backend B>
void unpack_rows(B& be, Input<T, 3, B> re, Input<T, 3, B> im, View<T, 3, B> y) {
  const Index channels = y.extent(2), length = y.extent(1);
  be.for_each(y.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, t = at / channels % length, b = at / channels / length;
    y(b, t, c) = b % 2 == 0 ? re(b / 2, t, c) : im(b / 2, t, c);
  });
}

/// x *= k, or its conjugate, the same k for every row.
template <Scalar T, Backend B>
void multiply_spectrum(B& be, Input<T, 3, B> kre, Input<T, 3, B> kim, bool conjugate, View<T, 3, B> re,
                       View<T, 3, B> im) {
  const Index size = re.extent(1), channels = re.extent(2);
  const T sign = conjugate ? T{-1} : T{1};
  be.for_each(re.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, t = at / channels % size, p = at / channels / size;
    const T a = re(p, t, c), b = im(p, t, c), kr = kre(0, t, c), ki = sign * kim(0, t, c);
    re(p, t, c) = a * kr - b * ki;
    im(p, t, c) = b * kr + a * ki;
  });
}

/// g = sum over rows of conj(u) y.
template <Scalar T, Backend B>
void sum_spectra(B& be, Input<T, 3, B> ure, Input<T, 3, B> uim, Input<T, 3, B> yre, Input<T, 3, B> yim,
                 View<T, 3, B> gre, View<T, 3, B> gim) {
  const Index rows = ure.extent(0), channels = gre.extent(2);
  be.for_each(gre.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, t = at / channels;
    T re = 0, im = 0;
    for (Index p = 0; p < rows; ++p) {
      re += ure(p, t, c) * yre(p, t, c) + uim(p, t, c) * yim(p, t, c);
      im += ure(p, t, c) * yim(p, t, c) - uim(p, t, c) * yre(p, t, c);
    }
    gre(0, t, c) = re;
    gim(0, t, c) = im;
  });
}

/// Adds the lags of g / size to the gradients.
template <Scalar T, Backend B>
void add_kernel_gradient(B& be, Input<T, 3, B> g, LongConvolutionKernelViews<T, B> dk) {
  const Index size = g.extent(1), channels = g.extent(2);
  const bool has_reverse = dk.reverse.data() != nullptr, has_skip = dk.skip.data() != nullptr;
  be.for_each(dk.causal.size(), [=] M2_HD(Index at) {
    const Index c = at % channels, t = at / channels;
    const T scale = T{1} / static_cast<T>(size);
    dk.causal(t, c) += scale * g(0, t, c);
    if (t == 0 && has_skip) dk.skip(c) += scale * g(0, 0, c);
    if (t > 0 && has_reverse) dk.reverse(t - 1, c) += scale * g(0, size - t, c);
  });
}

/// The plan of a backend without kernels: transforms of the whole batch at once.
template <Scalar T, Backend B>
class GenericLongConvolution {
 public:
  static constexpr Index direct_length(bool) { return 32; }

  GenericLongConvolution() = default;
  GenericLongConvolution(B& be, const LongConvolutionShape& shape, const DftPlan& plan) : shape_(shape) {
    if (shape.direct) return;
    dft_ = Dft<T, B>(be, plan.size);
    const Extents<3> one{1, plan.size, shape.channels}, rows{(shape.batch + 1) / 2, plan.size, shape.channels};
    kernel_ = Complex(be, one), gradient_ = Complex(be, one), u_ = Complex(be, rows), dy_ = Complex(be, rows);
  }

  Index workspace_elements() const { return 4 * (kernel_.re.size() + u_.re.size()); }

  void forward(B& be, Input<T, 3, B> u, Input<T, 2, B> k, Input<T, 2, B> k_reverse, Input<T, 1, B> skip,
               View<T, 3, B> y) {
    const LongConvolutionKernelViews<const T, B> kernel{k, k_reverse, skip};
    if (shape_.direct) return convolve_directly<T, B>(be, kernel, u, false, y);
    transform_kernel(be, kernel);
    const Index rows = (u.extent(0) + 1) / 2;
    const View<T, 3, B> re = u_.re.view().slice(0, 0, rows), im = u_.im.view().slice(0, 0, rows);
    pack_rows<T, B>(be, u, re, im);
    dft_.forward(be, re, im);
    multiply_spectrum<T, B>(be, kernel_.re.view(), kernel_.im.view(), false, re, im);
    dft_.inverse(be, re, im);
    unpack_rows<T, B>(be, re, im, y);
  }

  void backward(B& be, Input<T, 3, B> u, Input<T, 2, B> k, Input<T, 2, B> k_reverse, Input<T, 1, B> skip,
                Input<T, 3, B> dy, View<T, 3, B> du, View<T, 2, B> dk, View<T, 2, B> dk_reverse, View<T, 1, B> dskip) {
    const LongConvolutionKernelViews<const T, B> kernel{k, k_reverse, skip};
    if (shape_.direct) {
      convolve_directly<T, B>(be, kernel, dy, true, du);
      correlate_directly<T, B>(be, u, dy, 0, dk);
      if (shape_.bidirectional) correlate_directly<T, B>(be, dy, u, 1, dk_reverse);
      if (dskip.data() != nullptr) add_skip_gradient<T, B>(be, u, dy, dskip);
      return;
    }
    transform_kernel(be, kernel);
    const Index rows = (u.extent(0) + 1) / 2;
    const View<T, 3, B> ure = u_.re.view().slice(0, 0, rows), uim = u_.im.view().slice(0, 0, rows);
    const View<T, 3, B> yre = dy_.re.view().slice(0, 0, rows), yim = dy_.im.view().slice(0, 0, rows);
    pack_rows<T, B>(be, u, ure, uim);
    pack_rows<T, B>(be, dy, yre, yim);
    dft_.forward(be, ure, uim);
    dft_.forward(be, yre, yim);
    sum_spectra<T, B>(be, ure, uim, yre, yim, gradient_.re.view(), gradient_.im.view());
    multiply_spectrum<T, B>(be, kernel_.re.view(), kernel_.im.view(), true, yre, yim);
    dft_.inverse(be, yre, yim);
    dft_.inverse(be, gradient_.re.view(), gradient_.im.view());
    unpack_rows<T, B>(be, yre, yim, du);
    add_kernel_gradient<T, B>(be, gradient_.re.view(), {dk, dk_reverse, dskip});
  }

 private:
  struct Complex {
    Complex() = default;
    Complex(B& be, const Extents<3>& extents) : re(be, extents), im(be, extents) {}
    Tensor<T, 3, B> re, im;
  };

  void transform_kernel(B& be, const LongConvolutionKernelViews<const T, B>& kernel) {
    pack_kernel<T, B>(be, kernel, kernel_.re.view(), kernel_.im.view());
    dft_.forward(be, kernel_.re.view(), kernel_.im.view());
  }

  LongConvolutionShape shape_;
  Dft<T, B> dft_;
  Complex kernel_, gradient_, u_, dy_;
};

}  // namespace m2::detail
