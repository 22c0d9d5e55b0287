#pragma once

#include <string>

namespace m2::bench {

/// C = A B of n x n, n x batch matrices by OpenBLAS on one thread; all row-major, or all column-major.
class OpenBlas {
 public:
  /// Loads the library once, with the kernels that are fastest here among those that compute right results: it does not
  /// know every processor (version 0.3.21 takes a Zen 5 for a Haswell), and with a wrong core type it is at half speed.
  static const OpenBlas& get();

  bool available() const { return sgemm_ != nullptr; }
  /// Which version on which kernels, or why there is none.
  const std::string& description() const { return description_; }

  void multiply(bool row_major, int n, int batch, const float* a, const float* b, float* c) const;

 private:
  OpenBlas();
  using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
  Sgemm sgemm_ = nullptr;
  std::string description_;
};

}  // namespace m2::bench
