#pragma once

#include "m2/nn/module.hpp"
#include "tests/support.hpp"

/// What every test of a module needs.
namespace m2::test {

/// A module's parameters with memory, inputs and a cotangent of the output, and one run of both passes.
template <Module M>
struct ModuleRun {
  using T = typename M::Scalar;
  using B = typename M::Backend;

  ModuleRun(M& m, Extents<3> extents, Index gap = 1)
      : module(m),
        store(be, m, 11),
        x(be, extents, gap),
        dx(be, extents, gap),
        y(be, m.output_extents(extents), gap),
        dy(be, m.output_extents(extents), gap),
        cache(m.make_cache(be, extents)) {
    Rng rng(5);
    fill_normal(x.view(), rng);
    fill_normal(dy.view(), rng);
  }
  void forward() { module.forward(be, x.view(), y.view(), cache); }
  void backward() { module.backward(be, x.view(), dy.view(), cache, dx.view()); }
  std::vector<double> gradients() { return to_host(store.gradients()); }

  B be;
  M& module;
  ParameterStore<T, B> store;
  Strided<T, 3, B> x, dx, y, dy;
  typename M::Cache cache;
};

/// Requires of a module, for an input of these extents:
/// - the gradients of x and of every parameter are those of central differences (T = double only);
/// - a second run with the same cache gives the same bits; parameter gradients accumulate;
/// - strided x, y, dx and dy give the same results to rounding.
template <Module M>
void require_module_gradients(M& module, Extents<3> extents) {
  using T = typename M::Scalar;
  constexpr Index terms = 1 << 12;  // more than the longest sum of any module at test size
  ModuleRun<M> run(module, extents);
  run.forward();
  run.backward();
  const std::vector<double> y = to_host(run.y.view()), dx = to_host(run.dx.view()), gradients = run.gradients();

  run.store.zero_gradients(run.be);
  Rng rng(3);
  fill_normal(run.y.view(), rng);  // the passes must overwrite their outputs
  fill_normal(run.dx.view(), rng);
  run.forward();
  run.backward();
  REQUIRE(to_host(run.y.view()) == y);
  REQUIRE(to_host(run.dx.view()) == dx);
  REQUIRE(run.gradients() == gradients);

  run.backward();
  std::vector<double> doubled = gradients;
  for (double& g : doubled) g *= 2;
  require_close(run.gradients(), doubled, tolerance<T>(terms, std::max(1.0, largest(gradients))));

  {
    ModuleRun<M> strided(module, extents, 2);  // binds the parameters to a store of its own, with the same start
    strided.forward();
    strided.backward();
    require_close(to_host(strided.y.view()), y, tolerance<T>(terms, std::max(1.0, largest(y))));
    require_close(to_host(strided.dx.view()), dx, tolerance<T>(terms, std::max(1.0, largest(dx))));
    require_close(strided.gradients(), gradients, tolerance<T>(terms, std::max(1.0, largest(gradients))));

    if constexpr (std::same_as<T, double>) {
      const std::vector<double> dy = to_host(strided.dy.view());
      const auto loss = [&] {
        strided.forward();
        return dot(to_host(strided.y.view()), dy);
      };
      require_gradient(strided.x.view(), dx, loss);
      std::size_t i = 0;
      for_each_parameter<T, typename M::Backend>(module, [&](const std::string& name, auto& parameter) {
        INFO("parameter " << name);
        const auto begin = gradients.begin() + strided.store.entries()[i++].offset;
        require_gradient(parameter.flat_value(), std::vector<double>(begin, begin + parameter.size()), loss);
      });
    }
  }
}

/// Requires that a module names both shapes when it is given something else than it was made for.
template <Module M>
void require_shape_errors(M& module, Extents<3> good, Extents<3> bad, std::initializer_list<std::string_view> parts) {
  using T = typename M::Scalar;
  using B = typename M::Backend;
  ModuleRun<M> run(module, good);
  Tensor<T, 3, B> x(run.be, bad), dx(run.be, bad);
  require_error([&] { module.make_cache(run.be, bad); }, parts);
  require_error([&] { module.forward(run.be, x.view(), run.y.view(), run.cache); }, parts);
  require_error([&] { module.backward(run.be, x.view(), run.dy.view(), run.cache, dx.view()); }, parts);
}

/// A parameter of a module by its full name.
template <class T, class B, class M>
Parameter<T, B>& parameter_named(M& module, const std::string& name) {
  Parameter<T, B>* found = nullptr;
  for_each_parameter<T, B>(module, [&](const std::string& full, Parameter<T, B>& parameter) {
    if (full == name) found = &parameter;
  });
  INFO("parameter " << name);
  REQUIRE(found != nullptr);
  return *found;
}

}  // namespace m2::test
