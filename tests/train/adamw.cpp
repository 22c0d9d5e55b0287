#include "m2/train/adamw.hpp"

#include "tests/support.hpp"

namespace m2::test {
namespace {

/// Parameters of every kind of option, of sizes that leave gaps in the flat store.
template <class T, class B>
struct Mixed {
  Parameter<T, B> weight{{3, 5}, normal<T>(1.0)};
  Parameter<T, B> second{{4}, normal<T>(1.0)};
  Parameter<T, B> bias{{7}, normal<T>(1.0), {.weight_decay = false}};
  Parameter<T, B> kernel{{2, 3, 2}, normal<T>(1.0), {.weight_decay = true, .learning_rate_scale = 0.1}};
  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor("weight", weight), visitor("second", second), visitor("bias", bias), visitor("kernel", kernel);
  }
};

template <class T, class B, Index Size>
struct Vector {
  Parameter<T, B> weight{{Size}, constant<T>(1.0)};
  void visit(auto&& visitor) { visitor("weight", weight); }
};

}  // namespace

static_assert(Optimizer<AdamW<float, Cpu>, float, Cpu>);

TEMPLATE_TEST_CASE("AdamW equals the textbook loop in double", "[train]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Mixed<T, B> model;
  ParameterStore<T, B> store(be, model, 3);
  const AdamWOptions options{.learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.3};
  AdamW<T, B> optimizer(be, store, options);

  std::vector<double> p = to_host(store.values()), m(p.size()), v(p.size());
  Rng rng(9);
  const int steps = 12;
  for (int t = 1; t <= steps; ++t) {
    const double rate_scale = 1.0 / t, gradient_scale = 0.5 + 0.1 * t;
    std::vector<double> g(p.size());
    for (const auto& entry : store.entries()) {
      const double rate = options.learning_rate * rate_scale * entry.options.learning_rate_scale;
      for (Index i = entry.offset; i < entry.offset + entry.size; ++i) {
        const auto k = static_cast<std::size_t>(i);
        store.gradients()(i) = rng.template normal<T>();
        g[k] = gradient_scale * static_cast<double>(store.gradients()(i));
        m[k] = options.beta1 * m[k] + (1 - options.beta1) * g[k];
        v[k] = options.beta2 * v[k] + (1 - options.beta2) * g[k] * g[k];
        const double decay = entry.options.weight_decay ? rate * options.weight_decay * p[k] : 0;
        const double step = rate * (m[k] / (1 - std::pow(options.beta1, t))) /
                            (std::sqrt(v[k] / (1 - std::pow(options.beta2, t))) + options.epsilon);
        p[k] -= decay + step;
      }
    }
    optimizer.step(be, store, rate_scale, gradient_scale);
  }
  REQUIRE(optimizer.steps() == steps);
  require_close(to_host(store.values()), p, tolerance<T>(steps, largest(p)));
  optimizer.visit_state([&](const std::string& name, auto&& member) {
    if constexpr (!std::integral<std::remove_cvref_t<decltype(member)>>)
      require_close(to_host(member), name == "first_moment" ? m : v, tolerance<T>(steps, largest(v) + largest(m)));
  });
}

TEMPLATE_TEST_CASE("AdamW updates arrays long enough for several threads", "[train]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Vector<T, B, 40001> model;
  ParameterStore<T, B> store(be, model, 1);
  AdamW<T, B> optimizer(be, store, {.learning_rate = 0.5, .weight_decay = 0});
  for (Index i = 0; i < 40001; ++i) store.gradients()(i) = static_cast<T>(i % 2 == 0 ? 3 : -3);
  optimizer.step(be, store);
  std::vector<double> expected(static_cast<std::size_t>(store.values().extent(0)), 0.0);
  for (std::size_t i = 0; i < 40001; ++i) expected[i] = i % 2 == 0 ? 0.5 : 1.5;  // the first step has length rate
  require_close(to_host(store.values()), expected, tolerance<T>(1) + 0.5 * AdamWOptions{}.epsilon);
}

TEST_CASE("AdamW survives a huge finite gradient", "[train]") {
  Cpu be;
  Mixed<float, Cpu> model;
  ParameterStore<float, Cpu> store(be, model, 3);
  AdamW<float, Cpu> optimizer(be, store);
  store.gradients()(0) = 1e30F;
  optimizer.step(be, store);
  for (const double p : to_host(store.values())) REQUIRE(std::isfinite(p));
}

TEST_CASE("The square root without branches is within three units in the last place", "[train]") {
  REQUIRE(detail::square_root(0.0F) == 0.0F);
  Rng rng(4);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const float x = static_cast<float>(std::exp2(rng.uniform(-125.0, 127.0)));
    const double exact = std::sqrt(static_cast<double>(x));
    const double unit = std::exp2(std::floor(std::log2(exact))) * std::numeric_limits<float>::epsilon();
    worst = std::max(worst, std::abs(static_cast<double>(detail::square_root(x)) - exact) / unit);
  }
  INFO("worst error " << worst << " units in the last place");
  REQUIRE(worst <= 3.0);
}

TEST_CASE("AdamW refuses options out of range and another store", "[train]") {
  Cpu be;
  Mixed<double, Cpu> model;
  ParameterStore<double, Cpu> store(be, model, 3);
  using Adam = AdamW<double, Cpu>;
  require_error([&] { Adam(be, store, {.learning_rate = -1}); }, {"adamw", "learning rate", "-1"});
  require_error([&] { Adam(be, store, {.beta1 = 1}); }, {"adamw", "beta1", "[0, 1)"});
  require_error([&] { Adam(be, store, {.beta2 = -0.5}); }, {"adamw", "beta2"});
  require_error([&] { Adam(be, store, {.epsilon = 0}); }, {"adamw", "epsilon"});
  require_error([&] { Adam(be, store, {.weight_decay = std::nan("")}); }, {"adamw", "weight decay", "nan"});
  Vector<double, Cpu, 100> other;
  ParameterStore<double, Cpu> other_store(be, other, 1);
  Adam optimizer(be, store);
  require_error([&] { optimizer.step(be, other_store); }, {"adamw", "104", std::to_string(store.values().extent(0))});
}

}  // namespace m2::test
