// expect: M and X must have the same element type; use X.cast<T>().
#include "m2/monarch.hpp"

int main() {
  m2::Rng rng(1);
  const auto m = m2::Monarch<2, float>::random({4, 4}, rng);
  const Eigen::MatrixXd x = Eigen::MatrixXd::Zero(16, 2);
  (void)(m * x);
}
