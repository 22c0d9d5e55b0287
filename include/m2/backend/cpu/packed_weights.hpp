#pragma once

#include <span>

#include "m2/backend/cpu/threads.hpp"
#include "m2/backend/cpu/tiled_weights.hpp"
#include "m2/backend/cpu/transpose.hpp"
#include "m2/core/factor_shape.hpp"

/// The weights of Monarch factors in the order in which kernels read them whose vectors have contiguous features: lanes
/// then are features too, so a register must hold the weights of neighbouring features.
///
/// A factor with inner = 1: outputs lie along the lanes, (outer, in, out). Others: blocks lie along the lanes,
/// (outer, inner / lanes, out, in, lane), with a gap of one register behind the inputs of an output, because their
/// distance would often be a power of two and share few cache sets. With SSE2 both have the order of tiled_weights.hpp.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Numbers from one output to the next in the packed weights of blocks along the lanes, with so many inputs.
template <class R>
M2_INLINE constexpr Index packed_pitch(Index inputs) {
  return (inputs + (tiled_weights ? 0 : 1)) * Lanes<R>::count;
}
template <class R>
Index packed_pitch(const FactorShape& f) {
  return packed_pitch<R>(f.in);
}

/// Numbers from one group of `lanes` blocks to the next.
template <class R>
Index packed_group(const FactorShape& f) {
  return f.out * packed_pitch<R>(f);
}

/// Numbers in the packed form of a factor.
template <class R>
Index packed_size(const FactorShape& f) {
  return f.inner == 1 ? f.weight_count() : f.blocks() / Lanes<R>::count * packed_group<R>(f);
}

/// True if the lanes are full: such factors can be packed.
template <class R>
bool packable(const FactorShape& f) {
  return (f.inner == 1 ? f.out : f.inner) % Lanes<R>::count == 0;
}

/// The same of all factors of a matrix.
template <class R>
bool packable(std::span<const FactorShape> factors) {
  for (const FactorShape& f : factors)
    if (!packable<R>(f)) return false;
  return true;
}
template <class R>
Index packed_size(std::span<const FactorShape> factors) {
  Index size = 0;
  for (const FactorShape& f : factors) size += packed_size<R>(f);
  return size;
}

/// Fewer multiply-adds than this, or as many moves, are not worth waking a thread for.
inline constexpr Index parallel_products = 50000;

/// Runs f(block or group of blocks) for all of a factor, shared among threads if there is enough to do.
template <class R, class F>
void for_packed_groups(const FactorShape& f, F&& body) {
  const Index groups = f.inner == 1 ? f.blocks() : f.blocks() / Lanes<R>::count;
  const int threads = f.weight_count() > parallel_products ? available_threads() : 1;
  parallel_parts(threads, threads, [&](Index part) {
    for (Index g = part_begin(groups, part, threads); g < part_begin(groups, part + 1, threads); ++g) body(g);
  });
}

/// Packs the weights (outer, inner, out, in) of a packable factor.
template <class R>
void pack_weights(const FactorShape& f, const R* weights, R* packed) {
  constexpr Index lanes = Lanes<R>::count;
  const Index block = f.out * f.in;
  for_packed_groups<R>(f, [&](Index g) {
    if constexpr (tiled_weights) return pack_tiles(f, weights + g * tiled_group<R>(f), packed + g * tiled_group<R>(f));
    if (f.inner == 1) return transpose(weights + g * block, f.in, f.out, f.in, packed + g * block, f.out);
    for (Index e = 0; e < f.out; ++e)
      transpose(weights + g * lanes * block + e * f.in, block, lanes, f.in,
                packed + g * packed_group<R>(f) + e * packed_pitch<R>(f), lanes);
  });
}

/// Adds the packed gradients of one group of blocks along the lanes to gradients (outer, inner, out, in). `row` has
/// room for one register for each input.
template <class R>
void accumulate_packed(const FactorShape& f, Index group, const R* packed, R* gradients, R* row) {
  constexpr Index lanes = Lanes<R>::count;
  const Index block = f.out * f.in;
  for (Index e = 0; e < f.out; ++e) {
    transpose(packed + group * packed_group<R>(f) + e * packed_pitch<R>(f), lanes, f.in, lanes, row, f.in);
    for (Index l = 0; l < lanes; ++l) {
      R* to = gradients + (group * lanes + l) * block + e * f.in;
      for (Index d = 0; d < f.in; ++d) to[d] += row[l * f.in + d];
    }
  }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
