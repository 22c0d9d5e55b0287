#pragma once

#include "m2/nn/monarch_linear.hpp"

namespace m2 {

/// y = blockdiag(W_0 .. W_{n-1}) x + b, a Monarch matrix of order 1: BlockDiagonalLinear<T, B>(in, out, {.blocks = 4}).
/// The weight is (blocks, out / blocks, in / blocks); M2-BERT's MLPs are made of it.
template <Scalar T, Backend B>
using BlockDiagonalLinear = MonarchMap<1, T, B>;

}  // namespace m2
