// expect: A View has at least one dimension.
#include "m2/backend/cpu.hpp"

int main() {
  const m2::View<float, 0, m2::Cpu> point;
  return point.data() == nullptr;
}
