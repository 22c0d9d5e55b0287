// Instantiates Monarch products, transforms, long convolutions and causal mixers as CUDA, on the smallest backend.
#include "m2/monarch/causal.hpp"
#include "m2/monarch/dft.hpp"
#include "m2/monarch/hierarchical_causal.hpp"
#include "m2/monarch/long_convolution.hpp"
#include "m2/monarch/monarch.hpp"
#include "m2/monarch/product.hpp"
#include "tests/serial_backend.hpp"

using m2::test::Serial;

template <int Order, class T>
void product(Serial& be, const m2::MonarchView<Order, T, Serial>& m, m2::View<T, 2, Serial> x) {
  m2::monarch_multiply(be, m, x, x);
  m2::monarch_multiply_vjp(be, m, x, x, x, m);
}
template void product<1, float>(Serial&, const m2::MonarchView<1, float, Serial>&, m2::View<float, 2, Serial>);
template void product<3, double>(Serial&, const m2::MonarchView<3, double, Serial>&, m2::View<double, 2, Serial>);
using Complex = std::complex<float>;
template void product<2, Complex>(Serial&, const m2::MonarchView<2, Complex, Serial>&, m2::View<Complex, 2, Serial>);

template <int Order, class T>
void algebra(Serial& be, m2::Monarch<Order, T, Serial>& m, m2::View<T, 1, Serial> d) {
  m.scale_rows(be, d);
  m.scale_columns(be, d);
  const auto product = m.transpose(be) * m.conjugate(be);
  const auto merged = m2::merge_factors<0>(be, product);
  (void)m2::lazy_product(m.clone(), m.adjoint()).norm();
  (void)merged.norm(be);
  (void)m.equivalent(merged);
  (void)m2::monarch_distance(be, m, merged);
  m2::PackedMonarch<Order, T, Serial> packed = m.packed(be);
  packed.assign(be, m.view());
  packed.multiply(be, {d.data(), {1, 1}}, {d.data(), {1, 1}});
  const m2::View<T, 2, Serial> vectors(d.data(), {1, 1});
  m2::detail::copy_cast<T, T, Serial>(be, vectors, vectors);
  m2::detail::set_unit_diagonals(be, d.data(), 1, 1);
  m2::detail::conjugate_in_place(be, d.data(), 1);
  m2::detail::subtract(be, d.data(), d.data(), 1);
}
template void algebra<1, float>(Serial&, m2::Monarch<1, float, Serial>&, m2::View<float, 1, Serial>);
template void algebra<2, Complex>(Serial&, m2::Monarch<2, Complex, Serial>&, m2::View<Complex, 1, Serial>);

template class m2::LongConvolution<float, Serial>;
template class m2::LongConvolution<double, Serial>;

template class m2::HierarchicalCausal<1, double, Serial>;
template class m2::HierarchicalCausal<3, float, Serial>;
template class m2::CausalMonarch<1, double, Serial>;
template class m2::CausalMonarch<3, float, Serial>;
void polynomials(Serial& be, const m2::Monarch<2, Complex, Serial>& m, m2::View<Complex, 2, Serial> x) {
  m2::polynomial_product(be, m, x, m, x, m, x);
}
