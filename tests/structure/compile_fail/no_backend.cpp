// expect: required for the satisfaction of 'Backend<B>' [with B = Idle]
// or:     because 'Idle' does not satisfy 'Backend'
#include "m2/backend/cpu.hpp"

struct Idle {
  void synchronize() const {}
};

int main() {
  Idle idle;
  float x[4] = {};
  const m2::View<float, 2, Idle> a(x, {2, 2});
  m2::gemm(idle, a, a, a);
}
