#pragma once

#include <vector>

#include "m2/core/index.hpp"

namespace m2 {

/// One factor of a DFT written as a Monarch product: `blocks` blocks, each of `radix` digits by `inner` positions.
/// Element (block b, digit j, inner i) stands at position (b * radix + j) * inner + i. The twiddles of block b, w^1 ..
/// w^(radix-1), are the complex numbers at twiddles + b * (radix - 1); all inner positions share them.
struct DftStage {
  int radix = 1;
  Index inner = 1;
  Index blocks = 1;
  Index twiddles = 0;
};

/// The factors of a DFT in order of application, and their twiddles as (re, im) pairs.
struct DftPlan {
  Index size = 1;
  std::vector<DftStage> stages;
  std::vector<double> twiddles;
};

/// The sizes of a long convolution, and whether it is computed by direct summation or by a DFT of `transform_size`.
struct LongConvolutionShape {
  Index batch = 0;
  Index length = 0;
  Index channels = 0;
  bool bidirectional = false;
  bool direct = true;
  Index transform_size = 0;
};

}  // namespace m2
