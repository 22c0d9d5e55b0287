#include "m2/core/math.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// Requires |f(x) - exact(x)| <= absolute + ulps units in the last place at floats spread over [low, high].
template <class F, class G>
void require_accuracy(const char* name, F f, G exact, float low, float high, double ulps, double absolute = 0) {
  constexpr int points = 20000;
  constexpr double unit = std::numeric_limits<float>::epsilon();
  for (int i = 0; i <= points; ++i) {
    const float x = low + (high - low) * (static_cast<float>(i) / points);
    const double expected = exact(static_cast<double>(x)), actual = static_cast<double>(f(x));
    const double allowed = absolute + ulps * unit * std::abs(expected);
    if (!(std::abs(actual - expected) <= allowed)) {
      INFO(name << "(" << x << ") is " << actual << ", expected " << expected << " within " << allowed);
      REQUIRE(std::abs(actual - expected) <= allowed);
    }
  }
  SUCCEED(name);
}

double normal_integral(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("float functions keep the error bounds in their comments", "[core][math]") {
  const double smallest = static_cast<double>(std::numeric_limits<float>::denorm_min());
  require_accuracy(
      "exp", [](float x) { return math::exp(x); }, [](double x) { return std::exp(x); }, -87, 88.5F, 1);
  require_accuracy(
      "exp", [](float x) { return math::exp(x); }, [](double x) { return std::exp(x); }, -110, -87, 1, smallest);
  require_accuracy(
      "exp", [](float x) { return math::exp(x); }, [](double x) { return std::exp(x); }, -1, 1, 1);
  for (const float range : {4.0F, 1e3F, 1e9F}) {
    require_accuracy(
        "sin", [](float x) { return math::sin(x); }, [](double x) { return std::sin(x); }, -range, range, 0, 1.3e-7);
    require_accuracy(
        "cos", [](float x) { return math::cos(x); }, [](double x) { return std::cos(x); }, -range, range, 0, 1.3e-7);
  }
  require_accuracy(
      "erf", [](float x) { return math::erf(x); }, [](double x) { return std::erf(x); }, -6, 6, 2);
  require_accuracy(
      "erf", [](float x) { return math::erf(x); }, [](double x) { return std::erf(x); }, -1e-3F, 1e-3F, 2);
  require_accuracy(
      "tanh", [](float x) { return math::tanh(x); }, [](double x) { return std::tanh(x); }, -12, 12, 1.5);
  require_accuracy(
      "tanh", [](float x) { return math::tanh(x); }, [](double x) { return std::tanh(x); }, -1e-3F, 1e-3F, 1.5);
  require_accuracy(
      "sigmoid", [](float x) { return math::sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 80, 3);
  require_accuracy(
      "normal", [](float x) { return math::normal(x).integral; }, normal_integral, -16, 16, 0, 1.1e-7);
  require_accuracy(
      "normal", [](float x) { return math::normal(x).density; }, normal_density, -16, 16, 0, 1e-7);
  for (int i = 0; i < 13; ++i) {  // the tail, relative to itself: 1e-7 (5 + x^2)
    const double x = -i, allowed = 1e-7 * (5 + x * x) * normal_integral(x);
    REQUIRE(std::abs(static_cast<double>(math::normal(static_cast<float>(x)).integral) - normal_integral(x)) <=
            allowed);
  }
}

TEST_CASE("float functions have the right limits", "[core][math]") {
  REQUIRE(math::exp(infinity) == infinity);
  REQUIRE(math::exp(100.0F) == infinity);
  REQUIRE(math::exp(-infinity) == 0.0F);
  REQUIRE(math::exp(-200.0F) == 0.0F);
  REQUIRE(math::exp(0.0F) == 1.0F);
  REQUIRE(math::sigmoid(infinity) == 1.0F);
  REQUIRE(math::sigmoid(-infinity) == 0.0F);
  REQUIRE(math::tanh(infinity) == 1.0F);
  REQUIRE(math::tanh(-infinity) == -1.0F);
  REQUIRE(math::erf(infinity) == 1.0F);
  REQUIRE(math::erf(-infinity) == -1.0F);
  REQUIRE(math::normal(infinity).integral == 1.0F);
  REQUIRE(math::normal(-infinity).integral == 0.0F);
  REQUIRE(math::normal(infinity).density == 0.0F);
  REQUIRE(math::sin(0.0F) == 0.0F);
  for (const float x : {1e20F, 3e38F, -1e30F}) {
    REQUIRE(std::abs(math::sin(x)) <= 1.0F);
    REQUIRE(std::abs(math::cos(x)) <= 1.0F);
  }
}

TEST_CASE("NaN gives NaN", "[core][math]") {
  REQUIRE(std::isnan(math::exp(not_a_number)));
  REQUIRE(std::isnan(math::sin(not_a_number)));
  REQUIRE(std::isnan(math::cos(not_a_number)));
  REQUIRE(std::isnan(math::erf(not_a_number)));
  REQUIRE(std::isnan(math::tanh(not_a_number)));
  REQUIRE(std::isnan(math::sigmoid(not_a_number)));
  REQUIRE(std::isnan(math::normal(not_a_number).integral));
  REQUIRE(std::isnan(math::normal(not_a_number).density));
}

TEST_CASE("double functions are those of the standard library", "[core][math]") {
  for (const double x : {-3.5, -0.25, 0.0, 0.75, 6.0}) {
    REQUIRE(math::exp(x) == std::exp(x));
    REQUIRE(math::sin(x) == std::sin(x));
    REQUIRE(math::cos(x) == std::cos(x));
    REQUIRE(math::erf(x) == std::erf(x));
    REQUIRE(math::tanh(x) == std::tanh(x));
    REQUIRE(std::abs(math::sigmoid(x) - 1 / (1 + std::exp(-x))) <= tolerance<double>(0));
    REQUIRE(std::abs(math::normal(x).integral - normal_integral(x)) <= tolerance<double>(0));
    REQUIRE(std::abs(math::normal(x).density - normal_density(x)) <= tolerance<double>(0));
  }
}
