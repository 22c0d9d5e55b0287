#pragma once

#include <complex>
#include <memory>
#include <vector>

#include "m2/core/index.hpp"

/// Causal long convolutions by FFTW, single precision, the way an FFT library is used: zero-padded to twice the length,
/// the sequences of a channel contiguous. FFTW is under the GPL: only this benchmark program links it, and nothing that
/// is installed does.
namespace m2::bench {

enum class FftwMethod {
  real,          ///< a real transform for each sequence
  two_channels,  ///< two channels packed as one complex sequence, their spectra taken apart
  two_rows,      ///< two batch rows of one channel packed as one complex sequence; batch >= 2
};

/// One convolution: y (batch, channels, length) = u (batch, channels, length) * k (channels, length).
class FftwConvolution {
 public:
  FftwConvolution(Index batch, Index length, Index channels, FftwMethod method);
  ~FftwConvolution();
  FftwConvolution(const FftwConvolution&) = delete;
  FftwConvolution& operator=(const FftwConvolution&) = delete;

  void forward(const float* u, const float* k, float* y);

 private:
  using Complex = std::complex<float>;
  struct Plans;
  void real(const float* u, const float* k, float* y);
  void two_channels(const float* u, const float* k, float* y);
  void two_rows(const float* u, const float* k, float* y);
  /// Two sequences (the second may be absent) as the complex input of a transform, zero-padded.
  void pack(const float* first, const float* second);
  void unpack(float* first, float* second) const;

  Index batch_, length_, channels_, size_;
  FftwMethod method_;
  std::unique_ptr<Plans> plans_;
};

}  // namespace m2::bench
