// expect: include/m2/monarch/cuda.hpp: cuda_runtime.h: CUDA belongs in backend/cuda
#pragma once
#  include <cuda_runtime.h>
