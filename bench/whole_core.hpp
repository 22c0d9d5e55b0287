#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>

#ifdef __linux__
#include <sched.h>
#endif

/// Whether a core works for this program alone. On a shared machine the other hardware thread of a core may be
/// somebody else's. While it works, kernels lose up to half of their speed, for milliseconds or for minutes, and the
/// FMA loop that they are compared with loses next to nothing, because it leaves most of the core idle.
namespace m2::bench {

/// Integer additions a cycle tell: eight chains of them take all that a core can start in a cycle, one chain waits for
/// its own results and hardly loses by a neighbour. So the ratio of the two does not depend on the clock. It is
/// compared with the best that this program has seen.
class WholeCore {
 public:
  static const WholeCore& get() {
    static const WholeCore core;
    return core;
  }

  /// True if the other hardware thread is idle now, on the cores of so many threads; takes some microseconds.
  bool now([[maybe_unused]] int threads = 1) const {
    bool whole = true;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) reduction(&& : whole) if (threads > 1)
#endif
    {
      const double many = seconds_of_chains(), one = seconds_of_chain();
      const double ratio = one / many / ratio_;
      whole = ratio > 0.97 && ratio < 1.03;  // above: the chain alone was interrupted
    }
    return whole;
  }

  /// Waits for whole cores, a few milliseconds at most; a single thread looks for one among those it may use.
  void wait(int threads) const {
#ifdef __linux__
    if (threads > 1) sched_setaffinity(0, sizeof(cores_), &cores_);
#endif
    for (int tries = 0; tries < 1000 && !now(threads); ++tries) {
#ifdef __linux__
      if (threads > 1 || tries % 20 != 19) continue;
      cpu_set_t one;
      do core_ = (core_ + 1) % std::size_t{CPU_SETSIZE};
      while (CPU_ISSET(core_, &cores_) == 0);
      CPU_ZERO(&one);
      CPU_SET(core_, &one);
      sched_setaffinity(0, sizeof(one), &one);
#endif
    }
  }

 private:
  /// Whoever works beside us, some of these moments are without him.
  WholeCore() {
#ifdef __linux__
    sched_getaffinity(0, sizeof(cores_), &cores_);
#endif
    double many = std::numeric_limits<double>::max(), one = many;
    for (int i = 0; i < 20000; ++i) many = std::min(many, seconds_of_chains()), one = std::min(one, seconds_of_chain());
    ratio_ = one / many;
  }

  static constexpr int additions = 8000;

  /// The compiler must add here, to a register.
  static void add_one(long& sum) {
    ++sum;
    asm volatile("" : "+r"(sum));
  }
  template <class F>
  static double seconds(F f) {
    const auto start = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  static double seconds_of_chains() {
    return seconds([] {
      long a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
      for (int i = 0; i < additions / 2; i += 2)  // as many in each chain
        for (int twice = 0; twice < 2; ++twice) {
          add_one(a), add_one(b), add_one(c), add_one(d), add_one(e), add_one(f), add_one(g), add_one(h);
        }
    });
  }
  static double seconds_of_chain() {
    return seconds([] {
      long a = 0;
      for (int i = 0; i < additions; i += 16) {
        add_one(a), add_one(a), add_one(a), add_one(a), add_one(a), add_one(a), add_one(a), add_one(a);
        add_one(a), add_one(a), add_one(a), add_one(a), add_one(a), add_one(a), add_one(a), add_one(a);
      }
    });
  }

  double ratio_;
#ifdef __linux__
  cpu_set_t cores_ = {};
  mutable std::size_t core_ = 0;
#endif
};

}  // namespace m2::bench
