// expect: Cpu' and 'm2::test::Serial')
// or:     Cpu' vs. 'm2::test::Serial')
#include "m2/backend/cpu.hpp"
#include "tests/serial_backend.hpp"

int main() {
  m2::Cpu cpu;
  m2::test::Serial serial;
  m2::Tensor<float, 2, m2::Cpu> here(cpu, {2, 2});
  m2::Tensor<float, 2, m2::test::Serial> there(serial, {2, 2});
  m2::gemm(cpu, here.view(), here.view(), there.view());
}
