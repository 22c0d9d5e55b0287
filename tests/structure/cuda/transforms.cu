// Instantiates the named transforms, permutations and conventions as CUDA, on the smallest backend.
#include "m2/monarch/circulant.hpp"
#include "m2/monarch/conventions.hpp"
#include "m2/monarch/cosine.hpp"
#include "m2/monarch/hadamard.hpp"
#include "m2/monarch/orthogonal.hpp"
#include "tests/serial_backend.hpp"

using m2::test::Serial;
using Complex = std::complex<float>;

template class m2::PermutedMonarch<2, Complex, Serial>;
template class m2::DftMatrix<2, Complex, Serial>;
template class m2::CosineTransform<2, float, Serial>;
template class m2::Circulant<2, float, Serial>;
template class m2::Toeplitz<2, Complex, Serial>;
template class m2::ConvolutionMatrix<m2::Circulant<2, float, Serial>, 2, float, Serial>;
template class m2::ConvolutionMatrix<m2::Toeplitz<2, Complex, Serial>, 2, Complex, Serial>;

template m2::Monarch<3, float, Serial> m2::hadamard(Serial&, const m2::TransformSize<3>&, m2::Normalization);
template m2::Monarch<2, Complex, Serial> m2::random_orthogonal(Serial&, const m2::MonarchShape<2>&, m2::Rng&);

void matrices(Serial& be, const m2::Monarch<2, float, Serial>& m, m2::View<float, 3, Serial> w) {
  const auto weights = m2::reference_weights(m.view());
  m2::monarch_from_plprp<float>(be, weights.w2, weights.w1);
  m2::einsum_b_weights<float>(be, m2::monarch_from_einsum_b<float>(be, weights.w1, weights.w2, 1, 1).monarch(), 1, w, w);
  m2::DigitPermutation::stride(2, 4).dense_tensor<float>(be);
  m2::dft<2, Complex>(be, 12).dense_tensor(be);
}
