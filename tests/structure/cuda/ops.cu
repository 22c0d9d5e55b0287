// Instantiates every op as CUDA, on the smallest backend.
#include "m2/ops/activations.hpp"
#include "m2/ops/dropout.hpp"
#include "m2/ops/elementwise.hpp"
#include "m2/ops/embedding.hpp"
#include "m2/ops/layer_norm.hpp"
#include "m2/ops/short_convolution.hpp"
#include "m2/ops/softmax_cross_entropy.hpp"
#include "tests/serial_backend.hpp"

using m2::test::Serial;

template <class T, int R>
void elementwise(Serial& be, m2::View<T, R, Serial> x, m2::View<T, 1, Serial> v) {
  m2::fill(be, 1, x);
  m2::copy(be, x, x);
  m2::add(be, x, x, x);
  m2::accumulate(be, x, x);
  m2::scale(be, 2, x, x);
  m2::multiply(be, x, x, x);
  m2::multiply_vjp(be, x, x, x, x, x);
  m2::add_bias(be, v, x);
  m2::add_bias_vjp(be, x, v);
  m2::gelu(be, x, x);
  m2::gelu_vjp(be, x, x, x);
  m2::silu(be, x, x);
  m2::silu_vjp(be, x, x, x);
  m2::tanh(be, x, x);
  m2::tanh_vjp(be, x, x, x);
  m2::sine(be, x, x);
  m2::sine_vjp(be, x, x, x);
  m2::gated_gelu(be, x, x, x);
  m2::gated_gelu_vjp(be, x, x, x, x, x);
  m2::sine_scaled(be, v, 1, x, x);
  m2::sine_scaled_vjp(be, v, 1, x, x, x, v);
  m2::dropout(be, 0.1, 1, x, x);
  m2::dropout_vjp(be, 0.1, 1, x, x);
}
template void elementwise<float, 2>(Serial&, m2::View<float, 2, Serial>, m2::View<float, 1, Serial>);
template void elementwise<double, 3>(Serial&, m2::View<double, 3, Serial>, m2::View<double, 1, Serial>);

template <class T>
void rows(Serial& be, m2::View<T, 3, Serial> x, m2::View<T, 2, Serial> m, m2::View<T, 1, Serial> v,
          m2::View<const std::int32_t, 1, Serial> ids) {
  m2::layer_norm(be, m, v, v, 1e-5, m, v, v);
  m2::layer_norm_vjp(be, m, v, v, v, m, m, v, v);
  (void)m2::softmax_cross_entropy(be, m, ids, -100, v, v);
  m2::softmax_cross_entropy_vjp(be, m, ids, -100, v, 1, m);
  m2::embedding(be, m, ids, m);
  m2::embedding_vjp(be, ids, m, m);
  m2::short_convolution(be, x, m, v, x);
  m2::short_convolution_vjp(be, x, m, x, x, m, v);
}
template void rows<float>(Serial&, m2::View<float, 3, Serial>, m2::View<float, 2, Serial>, m2::View<float, 1, Serial>,
                          m2::View<const std::int32_t, 1, Serial>);
template void rows<double>(Serial&, m2::View<double, 3, Serial>, m2::View<double, 2, Serial>,
                           m2::View<double, 1, Serial>, m2::View<const std::int32_t, 1, Serial>);
