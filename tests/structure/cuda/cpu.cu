// Instantiates the products of the CPU backend in a CUDA translation unit, where one compares the two.
#include "m2/monarch.hpp"

template class m2::Monarch<2, float>;

template <class T>
void product(const m2::Monarch<2, T>& m, m2::Monarch<2, T>& dm, m2::View<T, 2, m2::Cpu> x) {
  m2::Cpu be;
  m2::monarch_multiply(be, m.view(), x, x);
  m2::monarch_multiply_vjp(be, m.view(), x, x, x, dm.view());
  m.packed().multiply(be, x, x);
}
template void product(const m2::Monarch<2, float>&, m2::Monarch<2, float>&, m2::View<float, 2, m2::Cpu>);
template void product(const m2::Monarch<2, double>&, m2::Monarch<2, double>&, m2::View<double, 2, m2::Cpu>);

Eigen::MatrixXf dense(const m2::Monarch<2, float>& m, const Eigen::MatrixXf& x) { return m * x + m.to_dense() * x; }
