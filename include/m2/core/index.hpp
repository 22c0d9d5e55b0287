#pragma once

#include <array>
#include <cstddef>

/// The index type of every extent, stride and size in m2: signed, 64 bits on 64-bit machines.
namespace m2 {

using Index = std::ptrdiff_t;

template <int Rank>
using Extents = std::array<Index, static_cast<std::size_t>(Rank)>;

}  // namespace m2

/// Marks functions that also run on a GPU; empty for compilers other than nvcc.
#ifdef __CUDACC__
#define M2_HD __host__ __device__
#else
#define M2_HD
#endif
