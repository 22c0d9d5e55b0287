#include "bench/fftw_convolution.hpp"

#include <fftw3.h>

#include <algorithm>

namespace m2::bench {

/// Plans for transforms out of place, on memory that FFTW aligns. Made by measurement, once for each size.
struct FftwConvolution::Plans {
  explicit Plans(Index n) {
    const auto count = static_cast<std::size_t>(n);
    reals = fftwf_alloc_real(count);
    in = fftwf_alloc_complex(count), out = fftwf_alloc_complex(count);
    kernel = fftwf_alloc_complex(count), other_kernel = fftwf_alloc_complex(count);
    const int size = static_cast<int>(n);
    real_forward = fftwf_plan_dft_r2c_1d(size, reals, out, FFTW_MEASURE);
    real_inverse = fftwf_plan_dft_c2r_1d(size, out, reals, FFTW_MEASURE);
    forward = fftwf_plan_dft_1d(size, in, out, FFTW_FORWARD, FFTW_MEASURE);
    inverse = fftwf_plan_dft_1d(size, out, in, FFTW_BACKWARD, FFTW_MEASURE);
  }
  ~Plans() {
    for (const fftwf_plan plan : {real_forward, real_inverse, forward, inverse}) fftwf_destroy_plan(plan);
    fftwf_free(reals);
    for (fftwf_complex* memory : {in, out, kernel, other_kernel}) fftwf_free(memory);
  }
  Plans(const Plans&) = delete;
  Plans& operator=(const Plans&) = delete;

  /// std::complex and fftwf_complex are both a pair of floats.
  static std::complex<float>* numbers(fftwf_complex* memory) { return reinterpret_cast<std::complex<float>*>(memory); }

  float* reals;
  fftwf_complex *in, *out, *kernel, *other_kernel;
  fftwf_plan real_forward, real_inverse, forward, inverse;
};

FftwConvolution::FftwConvolution(Index batch, Index length, Index channels, FftwMethod method)
    : batch_(batch),
      length_(length),
      channels_(channels),
      size_(2 * length),
      method_(method),
      plans_(std::make_unique<Plans>(size_)) {}

FftwConvolution::~FftwConvolution() = default;

void FftwConvolution::forward(const float* u, const float* k, float* y) {
  switch (method_) {
    case FftwMethod::real:
      return real(u, k, y);
    case FftwMethod::two_channels:
      return two_channels(u, k, y);
    case FftwMethod::two_rows:
      return two_rows(u, k, y);
  }
}

namespace {

/// Without the checks for infinities that operator* of std::complex has.
std::complex<float> product(std::complex<float> a, std::complex<float> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

void FftwConvolution::real(const float* u, const float* k, float* y) {
  const float scale = 1.0F / static_cast<float>(size_);
  Complex *const kernel = Plans::numbers(plans_->kernel), *const spectrum = Plans::numbers(plans_->out);
  std::fill_n(plans_->reals + length_, length_, 0.0F);
  for (Index c = 0; c < channels_; ++c) {
    std::copy_n(k + c * length_, length_, plans_->reals);
    std::fill_n(plans_->reals + length_, length_, 0.0F);
    fftwf_execute_dft_r2c(plans_->real_forward, plans_->reals, plans_->kernel);
    for (Index e = 0; e <= length_; ++e) kernel[e] *= scale;
    for (Index b = 0; b < batch_; ++b) {
      const Index at = (b * channels_ + c) * length_;
      std::copy_n(u + at, length_, plans_->reals);
      std::fill_n(plans_->reals + length_, length_, 0.0F);
      fftwf_execute(plans_->real_forward);
      for (Index e = 0; e <= length_; ++e) spectrum[e] = product(spectrum[e], kernel[e]);
      fftwf_execute(plans_->real_inverse);
      std::copy_n(plans_->reals, length_, y + at);
    }
  }
}

void FftwConvolution::pack(const float* first, const float* second) {
  Complex* const in = Plans::numbers(plans_->in);
  for (Index t = 0; t < length_; ++t) in[t] = {first[t], second == nullptr ? 0.0F : second[t]};
  std::fill_n(in + length_, length_, Complex{});
}

void FftwConvolution::unpack(float* first, float* second) const {
  const Complex* const in = Plans::numbers(plans_->in);
  for (Index t = 0; t < length_; ++t) first[t] = in[t].real();
  for (Index t = 0; second != nullptr && t < length_; ++t) second[t] = in[t].imag();
}

void FftwConvolution::two_rows(const float* u, const float* k, float* y) {
  const float scale = 1.0F / static_cast<float>(size_);
  Complex *const kernel = Plans::numbers(plans_->kernel), *const spectrum = Plans::numbers(plans_->out);
  for (Index c = 0; c < channels_; ++c) {
    std::copy_n(k + c * length_, length_, plans_->reals);
    std::fill_n(plans_->reals + length_, length_, 0.0F);
    fftwf_execute_dft_r2c(plans_->real_forward, plans_->reals, plans_->kernel);
    for (Index e = 0; e <= length_; ++e) kernel[e] *= scale;
    for (Index e = 1; e < length_; ++e) kernel[size_ - e] = std::conj(kernel[e]);
    for (Index b = 0; b < batch_; b += 2) {
      const Index at = (b * channels_ + c) * length_, next = at + channels_ * length_;
      pack(u + at, b + 1 < batch_ ? u + next : nullptr);
      fftwf_execute(plans_->forward);
      for (Index e = 0; e < size_; ++e) spectrum[e] = product(spectrum[e], kernel[e]);
      fftwf_execute(plans_->inverse);
      unpack(y + at, b + 1 < batch_ ? y + next : nullptr);
    }
  }
}

/// The spectra of a and b from Z = A + i B at frequency e and its mirror: A = (Z_e + conj Z_-e) / 2,
/// B = (Z_e - conj Z_-e) / 2i.
void FftwConvolution::two_channels(const float* u, const float* k, float* y) {
  const float scale = 1.0F / static_cast<float>(size_);
  Complex *const ka = Plans::numbers(plans_->kernel), *const kb = Plans::numbers(plans_->other_kernel);
  Complex* const z = Plans::numbers(plans_->out);
  const auto first = [&](Index e, Index mirror) { return 0.5F * (z[e] + std::conj(z[mirror])); };
  const auto second = [&](Index e, Index mirror) {
    const Complex d = 0.5F * (z[e] - std::conj(z[mirror]));
    return Complex{d.imag(), -d.real()};
  };
  for (Index c = 0; c < channels_; c += 2) {
    const bool pair = c + 1 < channels_;
    pack(k + c * length_, pair ? k + (c + 1) * length_ : nullptr);
    fftwf_execute(plans_->forward);
    for (Index e = 0; e <= length_; ++e) {
      const Index mirror = e == 0 ? 0 : size_ - e;
      ka[e] = first(e, mirror) * scale, kb[e] = second(e, mirror) * scale;
    }
    for (Index b = 0; b < batch_; ++b) {
      const Index at = (b * channels_ + c) * length_;
      pack(u + at, pair ? u + at + length_ : nullptr);
      fftwf_execute(plans_->forward);
      for (Index e = 0; e <= length_; ++e) {
        const Index mirror = e == 0 ? 0 : size_ - e;
        const Complex a = product(first(e, mirror), ka[e]), d = product(second(e, mirror), kb[e]);
        z[e] = {a.real() - d.imag(), a.imag() + d.real()};
        z[mirror] = {a.real() + d.imag(), d.real() - a.imag()};
      }
      fftwf_execute(plans_->inverse);
      unpack(y + at, pair ? y + at + length_ : nullptr);
    }
  }
}

}  // namespace m2::bench
