// expect: This backend has no LU decomposition: copy the matrix to the CPU to invert it or to solve with it.
#include "m2/monarch/monarch.hpp"
#include "tests/serial_backend.hpp"

int main() {
  const m2::Monarch<2, double, m2::test::Serial> m({3, 4});
  return static_cast<int>(m.inverse().rows());
}
