#include "bench/ceilings.hpp"
#include "bench/product.hpp"

namespace m2::bench {

namespace {

/// dx, dM, and the inputs of the second factor again, which the VJP computes rather than keeps: 5/4 of the flops of the
/// gradients alone.
void vjp_case(Findings& found, const Effort& effort, Index n, Index batch, Layout layout) {
  Product<2, float> p(balanced_shape<2>(n), batch, layout);
  Vectors<float> dy(p.be, batch, n, layout), dx(p.be, batch, n, layout);
  Monarch<2, float> dm(p.m.shape());
  const Rounds rounds(
      effort, {contestant([&] { monarch_multiply_vjp(p.be, p.m.view(), p.x.view(), dy.view(), dx.view(), dm.view()); }),
               fma_peak<float>(), p.not_packed()});
  const double flops = 2.5 * p.flops(), per_call = FmaLoop<float>::flops, rate = per_call / rounds.seconds(1);
  found.note("GFLOP/s", flops / rounds.seconds(0) * 1e-9);
  found.note("over_forward", rounds.times_faster(2, 0));
  found.add("vjp", rounds.times_faster(0, 1) * flops / per_call,
            roofline(flops, 2 * p.weight_bytes() + 1.5 * p.vector_bytes(), rate));
}

}  // namespace

void register_vjp_cases(const Effort& effort) {
  for (const Index n : {1024, 4096})
    for (const Index batch : {256, 1024})
      for (const Layout layout : layouts)
        register_case("vjp/N:" + std::to_string(n) + "/B:" + std::to_string(batch) + "/" + name_of(layout),
                      [=](Findings& found) { vjp_case(found, effort, n, batch, layout); });
}

}  // namespace m2::bench
