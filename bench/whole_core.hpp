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
  static WholeCore& get() {
    static WholeCore core;
    return core;
  }

  /// True if the other hardware thread is idle now, on the cores of so many threads; takes some microseconds.
  bool now([[maybe_unused]] int threads = 1) {
    double least_many = many_, least_one = one_, ratio = 1, inverse = 1;
    const double best = one_ / many_;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) reduction(min : least_many, least_one, ratio, inverse) if (threads > 1)
#endif
    {
      const double many = seconds_of_chains(), one = seconds_of_chain();
      least_many = std::min(least_many, many), least_one = std::min(least_one, one);
      ratio = std::min(ratio, one / many / best), inverse = std::min(inverse, best * many / one);
    }
    many_ = least_many, one_ = least_one;
    return ratio > 0.97 && inverse > 0.97;  // inverse: the chain alone was interrupted
  }

  /// Waits for whole cores, some milliseconds at most; a single thread looks for one among those it may use.
  void wait(int threads) {
    allow_all_cores(threads > 1);
    for (int tries = 0; tries < 1000 && !now(threads); ++tries)
      if (threads == 1 && tries % 20 == 19) move_on();
  }

  /// Lets threads that start from here on run on all cores, not only on the one that a single thread has found.
  void allow_all_cores([[maybe_unused]] bool all = true) const {
#ifdef __linux__
    if (all && known_) sched_setaffinity(0, sizeof(cores_), &cores_);
#endif
  }

  /// Where a process that measures for this one should run: where this thread does.
  void bring([[maybe_unused]] int process) const {
#ifdef __linux__
    cpu_set_t here;
    if (sched_getaffinity(0, sizeof(here), &here) == 0) sched_setaffinity(process, sizeof(here), &here);
#endif
  }

 private:
  /// Whoever works beside us, some of these moments are without him; if not, a later one is.
  WholeCore() {
#ifdef __linux__
    known_ = sched_getaffinity(0, sizeof(cores_), &cores_) == 0 && CPU_COUNT(&cores_) > 0;
#endif
    for (int i = 0; i < 20000; ++i) {
      many_ = std::min(many_, seconds_of_chains()), one_ = std::min(one_, seconds_of_chain());
      if (i % 5000 == 4999) move_on();
    }
  }

  /// To the next core that this thread may use.
  void move_on() {
#ifdef __linux__
    if (!known_) return;
    cpu_set_t one;
    do core_ = (core_ + 1) % std::size_t{CPU_SETSIZE};
    while (CPU_ISSET(core_, &cores_) == 0);
    CPU_ZERO(&one);
    CPU_SET(core_, &one);
    sched_setaffinity(0, sizeof(one), &one);
#endif
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
      for (int i = 0; i < additions / 2; i += 2)  // half as many in each: at four a cycle, as long as the one chain
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

  double many_ = std::numeric_limits<double>::max(), one_ = many_;  // the least times so far
#ifdef __linux__
  cpu_set_t cores_ = {};
  bool known_ = false;
  std::size_t core_ = 0;
#endif
};

}  // namespace m2::bench
