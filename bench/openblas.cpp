#include "bench/openblas.hpp"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "bench/measure.hpp"

namespace m2::bench {

namespace {

#ifndef M2_BENCH_OPENBLAS
#define M2_BENCH_OPENBLAS ""
#endif

constexpr int row_major_order = 101, column_major_order = 102, no_transpose = 111;  // of the CBLAS standard

template <class F>
F symbol(void* library, const char* name) {
  return reinterpret_cast<F>(dlsym(library, name));
}

void* load(const char* core) {
  if (*core != '\0') setenv("OPENBLAS_CORETYPE", core, 1);
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  return dlopen(M2_BENCH_OPENBLAS, RTLD_NOW | RTLD_LOCAL);
}

/// In a process of its own, because a wrong core type may crash and the library chooses only once: seconds of a product
/// of size 512, or NaN if its result is wrong.
double trial(const char* core) {
  int ends[2];
  if (pipe(ends) != 0) return not_a_number;
  const pid_t child = fork();
  if (child == 0) {
    double seconds = not_a_number;
    if (void* library = load(core)) {
      using Sgemm =
          void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
      const auto sgemm = symbol<Sgemm>(library, "cblas_sgemm");
      constexpr int n = 512;
      std::vector<float> a(std::size_t{n} * n), b(a.size()), c(a.size());
      for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<float>(i % 7) - 3.0F;
        b[i] = static_cast<float>(i % 11) - 5.0F;
      }
      const Rounds rounds({3, 0.01}, {contestant([&] {
                            sgemm(row_major_order, no_transpose, no_transpose, n, n, n, 1.0F, a.data(), n, b.data(), n,
                                  0.0F, c.data(), n);
                          })});
      bool right = true;  // small whole numbers: every sum is exact
      for (std::size_t i = 0; i < n; i += 37)
        for (std::size_t j = 0; j < n; ++j) {
          float sum = 0;
          for (std::size_t k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
          right = right && sum == c[i * n + j];
        }
      if (right) seconds = rounds.seconds(0);
    }
    const bool told = write(ends[1], &seconds, sizeof(seconds)) == sizeof(seconds);
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  double seconds = not_a_number;
  if (child < 0 || read(ends[0], &seconds, sizeof(seconds)) != sizeof(seconds)) seconds = not_a_number;
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return seconds;
}

}  // namespace

const OpenBlas& OpenBlas::get() {
  static const OpenBlas library;
  return library;
}

OpenBlas::OpenBlas() {
  description_ = "OpenBLAS is not installed (Debian: libopenblas-dev)";
  if (*M2_BENCH_OPENBLAS == '\0') return;
  unsetenv("OPENBLAS_L2_SIZE");
  unsetenv("OPENBLAS_CORETYPE");
  std::vector<const char*> cores{""};  // what it detects itself
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) cores.push_back("SkylakeX");
  if (__builtin_cpu_supports("avx2")) cores.push_back("Haswell");
#endif
  const char* best = nullptr;
  double best_seconds = INFINITY;
  for (const char* core : cores) {
    const double seconds = trial(core);
    if (seconds < best_seconds) best = core, best_seconds = seconds;  // false for NaN
  }
  if (best == nullptr) {
    description_ = "OpenBLAS computes wrong results on this processor";
    return;
  }
  if (void* library = load(best)) {
    sgemm_ = symbol<Sgemm>(library, "cblas_sgemm");
    const auto core = symbol<char* (*)()>(library, "openblas_get_corename");
    const auto config = symbol<char* (*)()>(library, "openblas_get_config");
    description_ = std::string(config ? config() : "OpenBLAS") + ", running the kernels of " + (core ? core() : "?") +
                   (*best == '\0' ? " (its own choice)" : " (OPENBLAS_CORETYPE)");
  }
}

void OpenBlas::multiply(bool row_major, int n, int batch, const float* a, const float* b, float* c) const {
  const int stride = row_major ? batch : n;
  sgemm_(row_major ? row_major_order : column_major_order, no_transpose, no_transpose, n, batch, n, 1.0F, a, n, b,
         stride, 0.0F, c, stride);
}

}  // namespace m2::bench
