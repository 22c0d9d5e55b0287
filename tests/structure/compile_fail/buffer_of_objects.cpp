// expect: Buffers hold plain numbers.
#include <string>

#include "m2/backend/cpu.hpp"

int main() {
  m2::Cpu cpu;
  m2::Tensor<std::string, 1, m2::Cpu> names(cpu, {2});
}
