#include <cstdio>
#include <string_view>

#include "bench/ceilings.hpp"
#include "bench/product.hpp"

/// Compiled without -march: what a portable build reaches of the FMA peak of its own instruction set. Its
/// argument is the layout; bench/programs.cpp reads what it prints.
int main(int argc, char** argv) {
  using namespace m2::bench;
#ifdef _OPENMP
  omp_set_num_threads(1);
#endif
  const Layout layout = argc > 1 && std::string_view(argv[1]) == "column" ? Layout::column : Layout::row;
  Product<2, float> p(balanced_shape<2>(1024), 256, layout);
  const Rounds rounds({}, {p.contestant(), fma_peak<float>()});
  const double per_call = FmaLoop<float>::flops;
  std::printf("%g %g\n", rounds.times_faster(0, 1) * p.flops() / per_call, per_call / rounds.seconds(1) * 1e-9);
}
