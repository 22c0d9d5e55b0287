// Compiled for several instruction sets, as functions of other names: how far packed products are from dense ones.
#include "m2/monarch.hpp"

double M2_TEST_FUNCTION() {
  m2::Rng rng(1);
  const auto m = m2::Monarch<2, float>::random({32, 32}, rng);
  const auto packed = m.packed();
  const Eigen::MatrixXf dense = m.to_dense();
  double worst = 0;
  for (Eigen::Index batch : {1, 3, 16, 100}) {
    const Eigen::MatrixXf x = Eigen::MatrixXf::Random(1024, batch), y = dense * x, z = packed * x;
    worst = std::max<double>(worst, (y - z).norm() / y.norm());
  }
  return worst;
}
