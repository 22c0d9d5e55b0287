// Instantiates what core, the backend concept and random numbers offer, as CUDA, on the smallest backend.
#if __cplusplus < 202002L
#error "m2 is C++20; nvcc was not told so."
#endif
#include "m2/backend/concept.hpp"
#include "m2/ops/random.hpp"
#include "tests/serial_backend.hpp"

using m2::test::Serial;

template <class T>
__global__ void on_the_device(m2::View<T, 2, int> x) {
  const auto bits = m2::random_bits(1, 2, 3);
  x(0, 0) = m2::unit_interval<T>(bits[0], bits[1]);
}
template __global__ void on_the_device<float>(m2::View<float, 2, int>);
template __global__ void on_the_device<double>(m2::View<double, 2, int>);

template void m2::gemm<float, Serial>(Serial&, Input<float, 2, Serial>, Input<float, 2, Serial>, View<float, 2, Serial>,
                                      bool);
template void m2::gemm<double, Serial>(Serial&, Input<double, 2, Serial>, Input<double, 2, Serial>,
                                       View<double, 2, Serial>, bool);
