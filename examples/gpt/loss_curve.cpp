#include "loss_curve.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <sstream>

#include "m2/core/error.hpp"
#include "m2/io/atomic_file.hpp"
#include "m2/io/text_file.hpp"

namespace gpt {

namespace {

constexpr const char* csv_header = "step,seconds,training_loss,validation_loss";

/// A step of 1, 2 or 5 times a power of ten that cuts a range into about five parts.
double tick_step(double range) {
  const double raw = range / 5, power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10 * power;
}

}  // namespace

void LossCurve::set_validation(double loss) {
  if (!points_.empty()) points_.back().validation = loss;
}

std::string LossCurve::csv() const {
  std::string text = std::string(csv_header) + "\n";
  for (const Point& p : points_) {
    text += fmt::format("{},{:.3f},{:.6f},", p.step, p.seconds, p.training);
    if (!std::isnan(p.validation)) text += fmt::format("{:.6f}", p.validation);
    text += '\n';
  }
  return text;
}

LossCurve LossCurve::load(const std::string& folder, m2::Index last_step) {
  LossCurve curve;
  const std::string path = folder + "/losses.csv";
  if (!std::filesystem::exists(path)) return curve;
  std::istringstream lines(m2::read_text_file(path));
  std::string line;
  std::getline(lines, line);
  M2_REQUIRE(line == csv_header, path, ": its first line is not ", csv_header);
  while (std::getline(lines, line)) {
    Point p{0, 0, 0, std::numeric_limits<double>::quiet_NaN()};
    const int fields = std::sscanf(line.c_str(), "%td,%lf,%lf,%lf", &p.step, &p.seconds, &p.training, &p.validation);
    M2_REQUIRE(fields >= 3, path, ": the line \"", line, "\" is not step,seconds,loss");
    if (p.step <= last_step) curve.add(p);
  }
  return curve;
}

std::string LossCurve::svg() const {
  constexpr double width = 800, height = 480, left = 60, right = 20, top = 40, bottom = 50;
  std::vector<std::pair<double, double>> training, validation;
  double smooth = 0, weight = 0;  // running mean over about 20 steps, corrected for its start
  for (const Point& p : points_) {
    smooth = 0.95 * smooth + 0.05 * p.training;
    weight = 0.95 * weight + 0.05;
    training.emplace_back(static_cast<double>(p.step), smooth / weight);
    if (!std::isnan(p.validation)) validation.emplace_back(static_cast<double>(p.step), p.validation);
  }
  double low = std::numeric_limits<double>::max(), high = std::numeric_limits<double>::lowest(), last = 1;
  for (const auto* line : {&training, &validation})
    for (const auto& [step, loss] : *line)
      low = std::min(low, loss), high = std::max(high, loss), last = std::max(last, step);
  if (low > high) low = 0, high = 1;
  // One loss, or equal ones, must have a height, too: at least a thousandth of what they are.
  const double step_y = tick_step(std::max({high - low, 1e-3, 1e-3 * std::abs(high)}));
  const double step_x = std::max(1.0, tick_step(last));
  low = std::floor(low / step_y) * step_y;
  high = std::max(std::ceil(high / step_y) * step_y, low + step_y);
  const auto x_of = [&](double step) { return left + step / last * (width - left - right); };
  const auto y_of = [&](double loss) { return top + (high - loss) / (high - low) * (height - top - bottom); };

  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, height);
  for (double y = low; y <= high + step_y / 2; y += step_y)
    out += fmt::format(
        "<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n",
        left, width - right, y_of(y), y_of(y), left - 8, y_of(y) + 4, y);
  for (double x = 0; x <= last; x += step_x)
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.0f}</text>\n", x_of(x),
                       height - bottom + 20, x);
  out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">step</text>\n", (left + width - right) / 2,
                     height - 10);
  const auto draw = [&](const auto& line, const char* colour, const char* name, double legend) {
    out += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"", colour);
    for (const auto& [step, loss] : line) out += fmt::format("{:.1f},{:.1f} ", x_of(step), y_of(loss));
    out += "\"/>\n";
    if (line.size() == 1)  // a line of one point is not seen
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x_of(line[0].first),
                         y_of(line[0].second), colour);
    out += fmt::format("<text x=\"{:.1f}\" y=\"24\" fill=\"{}\">{}</text>\n", legend, colour, name);
  };
  draw(training, "#1f77b4", "training (running mean)", left);
  draw(validation, "#d62728", "validation", left + 190);
  out += fmt::format("<text x=\"{:.1f}\" y=\"24\" text-anchor=\"end\">nats per byte</text>\n</svg>\n", width - right);
  return out;
}

void LossCurve::save(const std::string& folder) const {
  m2::write_text_file(folder + "/losses.csv", csv());
  m2::write_text_file(folder + "/losses.svg", svg());
}

}  // namespace gpt
