// Instantiates every module and the model as CUDA, on the smallest backend.
#include "m2/models/gpt.hpp"
#include "m2/nn/activation.hpp"
#include "m2/nn/monarch_mixer_layer.hpp"
#include "m2/nn/residual.hpp"
#include "m2/nn/sequential.hpp"
#include "tests/serial_backend.hpp"

using m2::test::Serial;

template class m2::Gpt<float, Serial>;  // and with it projections, norm, MLP, filter, mixer, block
template class m2::MonarchMixerLayer<2, float, Serial>;
template class m2::Activation<m2::ActivationKind::silu, float, Serial>;
template class m2::Sequential<m2::LayerNorm<float, Serial>, m2::Residual<m2::Gelu<float, Serial>>>;
template class m2::MonarchMap<1, double, Serial>;
