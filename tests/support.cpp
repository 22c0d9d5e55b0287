#include "tests/support.hpp"

namespace m2::test {

std::vector<double> as_doubles(const std::vector<std::complex<double>>& values) {
  std::vector<double> result;
  for (const auto& value : values) result.insert(result.end(), {value.real(), value.imag()});
  return result;
}

double largest(const std::vector<double>& values) {
  double best = 0;
  for (const double value : values) best = std::max(best, std::abs(value));
  return best;
}

LargestDifference::LargestDifference(const std::vector<double>& a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size() && !std::isnan(worst); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= worst)) worst = difference, where = i;
  }
}

void require_close(const std::vector<double>& actual, const std::vector<double>& expected, double allowed) {
  REQUIRE(actual.size() == expected.size());
  const auto [worst, where] = LargestDifference(actual, expected);
  INFO("largest difference " << worst << " at element " << where << " of " << actual.size() << ", allowed " << allowed);
  REQUIRE(worst <= allowed);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

void require_error(const std::function<void()>& f, std::initializer_list<std::string_view> parts) {
  std::string message;
  bool thrown = false;
  try {
    f();
  } catch (const Error& error) {
    message = error.what();
    thrown = true;
  }
  REQUIRE(thrown);
  INFO("message: " << message);
  for (const std::string_view part : parts) REQUIRE(message.find(part) != std::string::npos);
}

}  // namespace m2::test
