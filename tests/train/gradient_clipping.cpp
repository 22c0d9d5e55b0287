#include "m2/train/gradient_clipping.hpp"

#include "tests/support.hpp"

namespace m2::test {
namespace {

template <class T, class B>
struct Two {
  Parameter<T, B> a{{123, 45}, constant<T>(0)};
  Parameter<T, B> b{{17}, constant<T>(0)};
  void visit(auto&& visitor) { visitor("a", a), visitor("b", b); }
};

}  // namespace

TEMPLATE_TEST_CASE("The gradient norm is that of all gradients as one vector", "[train]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Two<T, B> model;
  ParameterStore<T, B> store(be, model, 1);
  REQUIRE(gradient_norm(be, store) == 0.0);
  Rng rng(2);
  double squares = 0;
  for (const auto& entry : store.entries())
    for (Index i = entry.offset; i < entry.offset + entry.size; ++i) {
      store.gradients()(i) = rng.template normal<T>();
      squares += static_cast<double>(store.gradients()(i)) * static_cast<double>(store.gradients()(i));
    }
  REQUIRE(std::abs(gradient_norm(be, store) - std::sqrt(squares)) <= tolerance<double>(6000, std::sqrt(squares)));
  store.gradients()(3) = std::numeric_limits<T>::quiet_NaN();
  REQUIRE(std::isnan(gradient_norm(be, store)));
  store.gradients()(3) = std::numeric_limits<T>::max();
  if (sizeof(T) == sizeof(float)) REQUIRE(std::isfinite(gradient_norm(be, store)));  // summed in double
}

TEST_CASE("Clipping scales down to the limit and never up", "[train]") {
  REQUIRE(clipping_scale(4.0, 1.0) == 0.25);
  REQUIRE(clipping_scale(0.5, 1.0) == 1.0);
  REQUIRE(clipping_scale(0.0, 1.0) == 1.0);
  REQUIRE(clipping_scale(1e9, 0.0) == 1.0);  // no limit
  require_error([] { clipping_scale(1.0, -2.0); }, {"clipping_scale", "-2"});
  require_error([] { clipping_scale(1.0, std::nan("")); }, {"clipping_scale", "nan"});
}

}  // namespace m2::test
