#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "m2/core/error.hpp"

namespace m2 {

/// The part of training that a learning-rate schedule describes.
///
/// With t = step + 1 the number of the update (the first has step 0), the factor rises linearly from 0 at t = 0 to 1 at
/// t = warmup, then falls to `final_fraction` at t = total, and stays there.
struct ScheduleOptions {
  Index warmup = 0;             ///< steps; 0 starts at the full learning rate
  Index total = 1;              ///< steps, warm-up included
  double final_fraction = 0.0;  ///< of the full learning rate, at the last step
};

namespace detail {

inline const ScheduleOptions& checked(const ScheduleOptions& options) {
  M2_REQUIRE(options.total >= 1, "schedule: the total is ", options.total, " steps, at least 1 is needed");
  M2_REQUIRE(options.warmup >= 0 && options.warmup < options.total, "schedule: the warm-up is ", options.warmup,
             " steps, it must be at least 0 and less than the total of ", options.total);
  M2_REQUIRE(options.final_fraction >= 0 && options.final_fraction <= 1, "schedule: the final fraction is ",
             options.final_fraction, ", it must be in [0, 1]");
  return options;
}

/// Below 0: 1 + the fraction of the warm-up; from 0 to 1: the fraction of the decay.
inline double schedule_progress(const ScheduleOptions& options, Index step) {
  M2_REQUIRE(step >= 0, "schedule: the step is ", step, ", it must not be negative");
  const Index number = std::min(step, options.total - 1) + 1;
  if (number < options.warmup) return static_cast<double>(number) / static_cast<double>(options.warmup) - 1.0;
  return static_cast<double>(number - options.warmup) / static_cast<double>(options.total - options.warmup);
}

}  // namespace detail

/// Linear warm-up, then a straight line to the final fraction.
///
/// Source   Devlin et al. 2019 (arXiv:1810.04805) app. A.2
class LinearSchedule {
 public:
  explicit LinearSchedule(const ScheduleOptions& options) : options_(detail::checked(options)) {}

  /// The factor on the learning rate of update `step`, counted from 0.
  double operator()(Index step) const {
    const double progress = detail::schedule_progress(options_, step);
    return progress < 0 ? 1.0 + progress : 1.0 + (options_.final_fraction - 1.0) * progress;
  }
  const ScheduleOptions& options() const { return options_; }

 private:
  ScheduleOptions options_;
};

/// Linear warm-up, then half a cosine to the final fraction.
///
/// Source   Loshchilov & Hutter 2017 (arXiv:1608.03983) eq. 5, one period
class CosineSchedule {
 public:
  explicit CosineSchedule(const ScheduleOptions& options) : options_(detail::checked(options)) {}

  /// The factor on the learning rate of update `step`, counted from 0.
  double operator()(Index step) const {
    const double progress = detail::schedule_progress(options_, step);
    if (progress < 0) return 1.0 + progress;
    const double wave = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
    return options_.final_fraction + (1.0 - options_.final_fraction) * wave;
  }
  const ScheduleOptions& options() const { return options_; }

 private:
  ScheduleOptions options_;
};

}  // namespace m2
