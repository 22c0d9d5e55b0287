#pragma once

#include <utility>

#include "m2/nn/module.hpp"
#include "m2/nn/rows.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

/// y = x + m(x) for a module m that keeps the shape. Parameters keep the names m gives them.
///
/// Shapes   x, y as m's
/// Writes   y; backward: dx (overwritten), parameter gradients (accumulated)
/// Errors   m2::Error if m changes the shape
template <Module M>
class Residual {
 public:
  using Scalar = typename M::Scalar;
  using Backend = typename M::Backend;
  using Cache = typename M::Cache;

  explicit Residual(M module) : module_(std::move(module)) {}

  Extents<3> output_extents(Extents<3> x) const {
    const Extents<3> y = module_.output_extents(x);
    M2_REQUIRE(y == x, "residual: x is ", x, ", the module makes it ", y);
    return x;
  }
  Cache make_cache(Backend& be, Extents<3> x) const {
    output_extents(x);
    return module_.make_cache(be, x);
  }
  void forward(Backend& be, View<const Scalar, 3, Backend> x, View<Scalar, 3, Backend> y, Cache& cache) const {
    detail::require_extents("residual: y", y.extents(), output_extents(x.extents()));
    module_.forward(be, x, y, cache);
    accumulate(be, x, y);
  }
  void backward(Backend& be, View<const Scalar, 3, Backend> x, View<const Scalar, 3, Backend> dy, Cache& cache,
                View<Scalar, 3, Backend> dx) {
    module_.backward(be, x, dy, cache, dx);
    accumulate(be, dy, dx);
  }
  template <class Visitor>
  void visit(Visitor&& visitor) {
    module_.visit(visitor);
  }

 private:
  M module_;
};

}  // namespace m2
