#include <Eigen/Core>
#include <cstdio>
#include <m2/monarch.hpp>
#include <m2/version.hpp>

int main() {
  m2::Rng rng(1);
  const auto M = m2::Monarch<2, float>::random({8, 8}, rng);
  const Eigen::MatrixXf X = Eigen::MatrixXf::Random(64, 5);
  const Eigen::MatrixXf Y = M * X;
  std::printf("m2 %s: a product of %d x %d, norm %g\n", M2_VERSION_STRING, static_cast<int>(Y.rows()),
              static_cast<int>(Y.cols()), static_cast<double>(Y.norm()));
  return Y.rows() == 64 && Y.cols() == 5 && Y.norm() > 0 ? 0 : 1;
}
