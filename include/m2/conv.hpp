#pragma once

/// Long convolutions on the CPU: m2::LongConvolution, m2::long_convolution, m2::Dft.
#include "m2/backend/cpu.hpp"
#include "m2/monarch/dft.hpp"
#include "m2/monarch/long_convolution.hpp"
