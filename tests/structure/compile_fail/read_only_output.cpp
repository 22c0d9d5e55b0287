// expect: required for the satisfaction of 'Element<T>' [with T = const float]
// or:     because 'const float' does not satisfy 'Element'
#include "m2/backend/cpu.hpp"

int main() {
  m2::Cpu cpu;
  m2::Tensor<float, 2, m2::Cpu> a(cpu, {2, 2});
  m2::gemm(cpu, a.view(), a.view(), a.cview());
}
