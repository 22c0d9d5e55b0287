// expect: include/m2/nn/openmp.hpp: omp.h: OpenMP belongs in backend/cpu
#pragma once
#include <omp.h>
