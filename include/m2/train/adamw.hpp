#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "m2/train/optimizer.hpp"

namespace m2 {

/// Settings of AdamW. The defaults are those of the M2 models (beta2 = 0.98) with the usual epsilon and weight decay of
/// language models.
struct AdamWOptions {
  double learning_rate = 1e-3;  ///< per step, times the schedule's factor and the parameter's learning_rate_scale
  double beta1 = 0.9;           ///< memory of the first moment
  double beta2 = 0.98;          ///< memory of the second moment
  double epsilon = 1e-8;        ///< added to the root of the second moment
  double weight_decay = 0.1;    ///< per step and learning rate, for parameters that ask for it
};

namespace detail {

/// sqrt(x) for x >= 0 without a branch or errno, so that loops around it vectorise: three Newton steps for 1 / sqrt(x).
/// For float within 3 ulp of the exact value for normal x (measured against double); sqrt(0) = 0.
template <Scalar T>
M2_HD inline T square_root(T x) {
  if constexpr (std::same_as<T, float>) {
    float y = std::bit_cast<float>(std::uint32_t{0x5F375A86} - (std::bit_cast<std::uint32_t>(x) >> 1));
    const float half = 0.5F * x;
    y = y * (1.5F - half * y * y);
    y = y * (1.5F - half * y * y);
    y = y * (1.5F - half * y * y);
    return x * y;
  } else {
    return std::sqrt(x);
  }
}

}  // namespace detail

/// Adam with decoupled weight decay over a flat ParameterStore. With g the scaled gradient and t the number of the
/// step,
///
///   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2,
///   p = p - rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay p),
///
/// where rate = learning_rate x learning_rate_scale(step) x learning_rate_scale(parameter).
///
/// Source   Loshchilov & Hutter 2019 (arXiv:1711.05101) Alg. 2; the decay is multiplied by the learning rate, as is
/// common
template <Scalar T, Backend B>
class AdamW {
 public:
  /// Makes the state (two arrays as large as the parameters, zero) for a store.
  ///
  /// Errors   m2::Error when an option is out of range
  AdamW(B& be, ParameterStore<T, B>& store, const AdamWOptions& options = {})
      : options_(checked(options)),
        first_moment_(be, {store.values().extent(0)}),
        second_moment_(be, {store.values().extent(0)}) {
    for (const auto& entry : store.entries()) {
      const Index end = entry.offset + entry.size;
      if (!runs_.empty() && runs_.back().options.weight_decay == entry.options.weight_decay &&
          runs_.back().options.learning_rate_scale == entry.options.learning_rate_scale) {
        runs_.back().end = end;  // the gap in between holds zeros, which stay zeros
      } else {
        runs_.push_back({entry.offset, end, entry.options});
      }
    }
  }

  /// One update of every parameter from gradient_scale x the store's gradients.
  ///
  /// Writes   store.values(), the moments and steps()
  /// Errors   m2::Error if the store is not the size of the one that the optimizer was made for
  /// Cost     one pass: four numbers read and three written a parameter; one loop per run of equal options
  void step(B& be, ParameterStore<T, B>& store, double learning_rate_scale = 1.0, double gradient_scale = 1.0) {
    M2_REQUIRE(store.values().extent(0) == first_moment_.extent(0), "adamw: the store has ", store.values().extent(0),
               " numbers, the optimizer was made for ", first_moment_.extent(0));
    ++steps_;
    const double count = static_cast<double>(steps_);
    const double correction1 = 1.0 - std::pow(options_.beta1, count);
    const double correction2 = 1.0 - std::pow(options_.beta2, count);
    const T scale = static_cast<T>(gradient_scale);
    const T keep1 = static_cast<T>(options_.beta1), keep2 = static_cast<T>(options_.beta2);
    const T take1 = static_cast<T>(1.0 - options_.beta1), take2 = static_cast<T>(1.0 - options_.beta2);
    const T root_scale = static_cast<T>(1.0 / std::sqrt(correction2));
    const T epsilon = static_cast<T>(options_.epsilon);
    const T largest = std::numeric_limits<T>::max();
    for (const Run& run : runs_) {
      const double rate = options_.learning_rate * learning_rate_scale * run.options.learning_rate_scale;
      const T move = static_cast<T>(rate / correction1);
      const T shrink = static_cast<T>(run.options.weight_decay ? rate * options_.weight_decay : 0.0);
      T* const values = store.values().data() + run.begin;
      const T* const gradients = store.gradients().data() + run.begin;
      T* const first = first_moment_.data() + run.begin;
      T* const second = second_moment_.data() + run.begin;
      be.for_each(run.end - run.begin, [=] M2_HD(Index i) {
        const T g = scale * gradients[i];
        const T m = keep1 * first[i] + take1 * g;
        const T sum = keep2 * second[i] + take2 * g * g;
        const T v = sum < largest ? sum : largest;  // a huge but finite gradient must not make infinity
        const T p = values[i];
        first[i] = m;
        second[i] = v;
        values[i] = p - (move * m / (detail::square_root(v) * root_scale + epsilon) + shrink * p);
      });
    }
  }

  /// The options, also to change the learning rate between steps.
  const AdamWOptions& options() const { return options_; }
  void set_options(const AdamWOptions& options) { options_ = checked(options); }
  double learning_rate() const { return options_.learning_rate; }
  /// Updates made so far.
  Index steps() const { return steps_; }

  /// Calls visitor(name, View) for each array laid out as store.values(), visitor(name, number) for each number: what a
  /// checkpoint has to keep.
  template <class Visitor>
  void visit_state(Visitor&& visitor) {
    visitor("steps", steps_);
    visitor("first_moment", first_moment_.view());
    visitor("second_moment", second_moment_.view());
  }

 private:
  struct Run {
    Index begin, end;
    ParameterOptions options;
  };

  static const AdamWOptions& checked(const AdamWOptions& options) {
    M2_REQUIRE(options.learning_rate >= 0 && std::isfinite(options.learning_rate), "adamw: the learning rate is ",
               options.learning_rate, ", a finite number >= 0 is needed");
    M2_REQUIRE(options.beta1 >= 0 && options.beta1 < 1, "adamw: beta1 is ", options.beta1, ", it must be in [0, 1)");
    M2_REQUIRE(options.beta2 >= 0 && options.beta2 < 1, "adamw: beta2 is ", options.beta2, ", it must be in [0, 1)");
    M2_REQUIRE(options.epsilon > 0 && std::isfinite(options.epsilon), "adamw: epsilon is ", options.epsilon,
               ", a finite number > 0 is needed");
    M2_REQUIRE(options.weight_decay >= 0 && std::isfinite(options.weight_decay), "adamw: the weight decay is ",
               options.weight_decay, ", a finite number >= 0 is needed");
    return options;
  }

  AdamWOptions options_;
  std::vector<Run> runs_;
  Tensor<T, 1, B> first_moment_, second_moment_;
  Index steps_ = 0;
};

}  // namespace m2
