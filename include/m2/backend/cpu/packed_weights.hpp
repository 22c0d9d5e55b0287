#pragma once

#include <algorithm>
#include <span>

#include "m2/backend/cpu/scratch.hpp"
#include "m2/backend/cpu/threads.hpp"
#include "m2/backend/cpu/tiled_weights.hpp"
#include "m2/backend/cpu/transpose.hpp"
#include "m2/core/factor_shape.hpp"

/// The weights of Monarch factors in the order in which kernels read them whose vectors have contiguous features: lanes
/// then are features too, so a register must hold the weights of neighbouring features.
///
/// A factor with inner = 1: outputs lie along the lanes, (outer, in, out). Others: blocks lie along the lanes,
/// (outer, inner / lanes, out, in, lane), with a gap of one register behind the inputs of an output, because their
/// distance would often be a power of two and share few cache sets. Where inner is a part of the lanes, so many outputs
/// of all its blocks lie along them as fill a register, (outer, out inner / lanes, in, lane), since that is how outputs
/// lie in a vector: the numbers that they meet are a piece of a register's width, over and over. With SSE2 all have the
/// order of tiled_weights.hpp.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// True if a register holds several outputs of every block.
template <class R>
bool holds_pieces(const FactorShape& f) {
  return f.inner > 1 && f.inner < Lanes<R>::count;
}

/// The shape of a factor's transpose.
inline FactorShape transposed(const FactorShape& f) { return {f.outer, f.out, f.in, f.inner}; }

/// Blocks, and outputs of each of them, that lie along the lanes if inner > 1.
template <class R>
Index blocks_in_register(const FactorShape& f) {
  return std::min(f.inner, Lanes<R>::count);
}
template <class R>
Index outputs_in_register(const FactorShape& f) {
  return Lanes<R>::count / blocks_in_register<R>(f);
}

/// Numbers from one output to the next in the packed weights of blocks along the lanes, with so many inputs.
template <class R>
M2_INLINE constexpr Index packed_pitch(Index inputs) {
  return (inputs + (tiled_weights ? 0 : 1)) * Lanes<R>::count;
}
template <class R>
Index packed_pitch(const FactorShape& f) {
  return packed_pitch<R>(f.in);
}

/// Groups of blocks that share registers: so many lie side by side, and in all. No division by what the compiler does
/// not know: one small product would wait for it.
template <class R>
M2_INLINE Index groups_side_by_side(const FactorShape& f) {
  return std::max<Index>(f.inner / Lanes<R>::count, 1);
}
template <class R>
M2_INLINE Index packed_groups(const FactorShape& f) {
  return f.outer * groups_side_by_side<R>(f);
}

/// Numbers from one group to the next, if inner > 1.
template <class R>
Index packed_group(const FactorShape& f) {
  return f.out / outputs_in_register<R>(f) * packed_pitch<R>(f);
}

/// Numbers in the packed form of a factor.
template <class R>
Index packed_size(const FactorShape& f) {
  return f.inner == 1 ? f.weight_count() : packed_groups<R>(f) * packed_group<R>(f);
}

/// True if the lanes are full: such factors can be packed.
template <class R>
bool packable(const FactorShape& f) {
  if (holds_pieces<R>(f)) return is_piece<R>(f.inner) && f.out * f.inner % Lanes<R>::count == 0;
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
  const Index groups = packed_groups<R>(f);
  const int threads = f.weight_count() > parallel_products ? available_threads() : 1;
  parallel_parts(threads, threads, [&](Index part) {
    for (Index g = part_begin(groups, part, threads); g < part_begin(groups, part + 1, threads); ++g) body(g);
  });
}

/// Calls f(row, lane) for every row of the weights of a group that meets register e of its outputs: `row` numbers
/// behind the group's first weight.
template <class R, class F>
void for_lanes(const FactorShape& f, Index e, F&& body) {
  const Index blocks = blocks_in_register<R>(f), outputs = outputs_in_register<R>(f);
  for (Index l = 0; l < Lanes<R>::count; ++l) body((l % blocks * f.out + e * outputs + l / blocks) * f.in, l);
}

struct PackingScratch;

/// Packs the weights (outer, inner, out, in) of a packable factor.
template <class R>
void pack_weights(const FactorShape& f, const R* weights, R* packed) {
  constexpr Index lanes = Lanes<R>::count;
  const Index block = f.out * f.in;
  for_packed_groups<R>(f, [&](Index g) {
    if constexpr (tiled_weights) return pack_tiles(f, weights + g * tiled_group<R>(f), packed + g * tiled_group<R>(f));
    if (f.inner == 1) return transpose(weights + g * block, f.in, f.out, f.in, packed + g * block, f.out);
    const R* const from = weights + g * blocks_in_register<R>(f) * block;
    R* const rows = thread_scratch<PackingScratch, R>(lanes * f.in);
    for (Index e = 0; e < f.out / outputs_in_register<R>(f); ++e) {
      R* const to = packed + g * packed_group<R>(f) + e * packed_pitch<R>(f);
      if (!holds_pieces<R>(f)) {
        transpose(from + e * f.in, block, lanes, f.in, to, lanes);
      } else {
        for_lanes<R>(f, e, [&](Index row, Index lane) { std::copy_n(from + row, f.in, rows + lane * f.in); });
        transpose(rows, f.in, lanes, f.in, to, lanes);
      }
    }
  });
}

/// Adds the packed gradients of one group to gradients (outer, inner, out, in). `rows` has
/// room for one register for each input.
template <class R>
void accumulate_packed(const FactorShape& f, Index group, const R* packed, R* gradients, R* rows) {
  constexpr Index lanes = Lanes<R>::count;
  R* const to = gradients + group * blocks_in_register<R>(f) * f.out * f.in;
  for (Index e = 0; e < f.out / outputs_in_register<R>(f); ++e) {
    transpose(packed + group * packed_group<R>(f) + e * packed_pitch<R>(f), lanes, f.in, lanes, rows, f.in);
    for_lanes<R>(f, e, [&](Index row, Index lane) {
      for (Index d = 0; d < f.in; ++d) to[row + d] += rows[lane * f.in + d];
    });
  }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
