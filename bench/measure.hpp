#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "bench/whole_core.hpp"

/// Paired measurement. The machine is shared and its clock moves, so only ratios of one run mean anything: contestants
/// take turns in rounds, and a ratio is the median of the ratios of the rounds. A turn is repeated if the core was not
/// this program's alone before it and after it; one that never was counts only where no round has others.
namespace m2::bench {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Does its work `calls` times and returns the seconds that took.
using Contestant = std::function<double(long calls)>;

/// A contestant of this process.
template <class F>
Contestant contestant(F call) {
  return [call = std::move(call)](long calls) mutable {
    const auto start = std::chrono::steady_clock::now();
    for (long i = 0; i < calls; ++i) call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
}

inline double median(std::vector<double> values) {
  if (values.empty()) return not_a_number;
  const std::size_t middle = values.size() / 2;
  std::sort(values.begin(), values.end());
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// How long to measure: every contestant for at least `seconds` in each round, and at least one call.
struct Effort {
  int rounds = 7;
  double seconds = 0.003;
};

/// How many turns this program has taken, and how many of them had to make do with a shared core: each of those is the
/// fastest of several.
struct Turns {
  long all = 0, shared = 0;
};
inline Turns& turns() {
  static Turns turns;
  return turns;
}

/// Seconds for one call of each contestant in each round.
class Rounds {
 public:
  /// A contestant that is empty is not there: its times are not numbers. `threads` is how many cores must be free.
  Rounds(const Effort& effort, const std::vector<Contestant>& contestants, int threads = 1)
      : turns_(contestants.size()), threads_(threads), patience_(std::max(20 * effort.seconds, 0.05)) {
    WholeCore::get().allow_all_cores(threads > 1);
    std::vector<long> calls(contestants.size(), 1);
    bool slow = false;
    for (std::size_t c = 0; c < contestants.size(); ++c) {
      if (!contestants[c]) continue;
      contestants[c](1);  // warm up: pages, working memory, packed weights
      double once = contestants[c](1);
      if (once < effort.seconds / 20) once = contestants[c](10) / 10;  // one call may be shorter than the clock's step
      calls[c] = std::max(1L, std::lround(effort.seconds / std::max(once, 1e-9)));
      slow = slow || once > 0.25;
    }
    for (int round = 0; round < (slow ? std::min(effort.rounds, 3) : effort.rounds); ++round)
      for (std::size_t c = 0; c < contestants.size(); ++c)
        turns_[c].push_back(contestants[c] ? turn(contestants[c], calls[c]) : Turn{not_a_number, true});
  }

  /// The median time of one call.
  double seconds(std::size_t c) const {
    return median_of_rounds(c, c, [](const Turn& turn, const Turn&) { return turn.seconds; });
  }

  /// The least time of one call, on whole cores if there was such a turn.
  double fastest(std::size_t c) const {
    const auto sooner = [](const Turn& first, const Turn& second) {
      return first.whole != second.whole ? first.whole : first.seconds < second.seconds;
    };
    return std::min_element(turns_[c].begin(), turns_[c].end(), sooner)->seconds;
  }

  /// How many times faster contestant `a` is than contestant `b`.
  double times_faster(std::size_t a, std::size_t b) const {
    return median_of_rounds(a, b, [](const Turn& first, const Turn& second) { return second.seconds / first.seconds; });
  }

 private:
  /// Seconds for one call, on whole cores or not.
  struct Turn {
    double seconds;
    bool whole;
  };

  /// The median of f(a's turn, b's turn) over the rounds in which both had whole cores, or over all if there is none.
  template <class F>
  double median_of_rounds(std::size_t a, std::size_t b, F f) const {
    std::vector<double> all, whole;
    for (std::size_t round = 0; round < turns_[a].size(); ++round) {
      const Turn &first = turns_[a][round], &second = turns_[b][round];
      all.push_back(f(first, second));
      if (first.whole && second.whole) whole.push_back(all.back());
    }
    return median(whole.empty() ? all : whole);
  }

  /// A turn on whole cores, or the fastest one when patience is at an end.
  Turn turn(const Contestant& contestant, long calls) const {
    WholeCore& core = WholeCore::get();
    int tries = 0;
    double fastest = std::numeric_limits<double>::max(), spent = 0;
    ++turns().all;
    do {
      core.wait(threads_);
      if (calls > 1) contestant(1);  // the caches are this contestant's again
      const bool before = core.now(threads_);
      const double seconds = contestant(calls);
      if (before && core.now(threads_)) return {seconds / static_cast<double>(calls), true};
      fastest = std::min(fastest, seconds / static_cast<double>(calls));
      spent += seconds;
    } while (spent < patience_ || (++tries < 3 && spent < 1));
    ++turns().shared;
    return {fastest, false};
  }

  std::vector<std::vector<Turn>> turns_;
  int threads_;
  double patience_;  // seconds for a turn and its repetitions
};

/// The compiler must believe that the memory behind a pointer is read and written here.
inline void touch(const void* memory) { asm volatile("" : : "g"(memory) : "memory"); }

}  // namespace m2::bench
