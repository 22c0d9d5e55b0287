#pragma once

#include <array>
#include <cstddef>

#include "m2/core/qualifiers.hpp"

/// The index type of every extent, stride and size in m2: signed, 64 bits on 64-bit machines.
namespace m2 {

using Index = std::ptrdiff_t;

template <int Rank>
using Extents = std::array<Index, static_cast<std::size_t>(Rank)>;

}  // namespace m2
