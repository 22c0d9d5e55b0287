#pragma once

#include <string>
#include <vector>

#include "m2/core/index.hpp"

namespace gpt {

/// The losses of a run, in nats per byte, as a table (CSV) and a picture (SVG).
class LossCurve {
 public:
  struct Point {
    m2::Index step;
    double seconds;  ///< of training so far, evaluation included
    double training;
    double validation;  ///< NaN where it was not measured
  };

  void add(const Point& point) { points_.push_back(point); }
  void set_validation(double loss);
  const std::vector<Point>& points() const { return points_; }

  /// Writes folder/losses.csv and folder/losses.svg, each complete or not at all.
  void save(const std::string& folder) const;

  /// The curve of an earlier run up to a step; empty when there is no such file.
  ///
  /// Errors   m2::Error if the file is no curve
  static LossCurve load(const std::string& folder, m2::Index last_step);

 private:
  std::string csv() const;
  std::string svg() const;

  std::vector<Point> points_;
};

}  // namespace gpt
