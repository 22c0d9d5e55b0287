#pragma once

#include <algorithm>

#include "m2/backend/cpu/packed_weights.hpp"
#include "m2/backend/cpu/register_tile.hpp"
#include "m2/backend/cpu/scratch.hpp"

/// The products of a packed Monarch factor with one vector. They are bound by reading the weights, each of which is
/// used once: so few streams through memory, as many independent sums as hide the latency of a multiply-add, and no
/// call for each block.
namespace m2::detail {

/// A matrix in the packed form of one block, or of `lanes` blocks side by side: the register of term k and output e
/// lies at data + k * term + e * output.
template <class R>
struct PackedBlock {
  const R* data;
  Index terms, outputs, term, output;
};

/// Sums that do not wait for one another: a multiply-add takes about four times as long as the load of its weights.
inline constexpr Index vector_sums = 4;

/// Registers of outputs of one block at a time: whole rows of weights, which lie one after the other.
inline constexpr Index number_outputs = register_bytes == 64 ? 16 : 8;

/// Outputs of a group of blocks at a time, whose weights lie far apart: several share the loads of the vector, but one
/// reads memory in order, which counts for more where a row of weights is longer than `short_row` registers (N = 1024
/// from memory: 0.91 of its bandwidth instead of 0.75).
inline constexpr Index lane_outputs = 4, short_row = 16;

/// V registers of outputs, y(v) = sum over k of x(k) w(k, v), where x(k) is a number or a register. Terms are summed in
/// several parts: there are vector_sums independent sums whatever V is.
template <class R, Left Kind, Index V>
M2_INLINE void vector_sums_of(const PackedBlock<R>& w, const R* x, Index x_step, R* y, Index y_step) {
  constexpr Index parts = std::max<Index>(vector_sums / V, 1);
  Lanes<R> sums[std::size_t{parts}][std::size_t{V}];
  M2_UNROLL
  for (Index p = 0; p < parts; ++p) M2_UNROLL
  for (Index v = 0; v < V; ++v) sums[p][v] = Lanes<R>::zero();
  const auto add = [&](Lanes<R>* to, const R* weights, const R* at) {
    if constexpr (Kind == Left::number) {
      const R number = *at;
      M2_UNROLL
      for (Index v = 0; v < V; ++v) to[v] = add_scaled(to[v], Lanes<R>::load(weights + v * w.output), number);
    } else {
      Lanes<R> lanes = Lanes<R>::load(at);
      if constexpr (V > 1) keep_in_register(lanes);
      M2_UNROLL
      for (Index v = 0; v < V; ++v) to[v] = add_product(to[v], Lanes<R>::load(weights + v * w.output), lanes);
    }
  };
  const R* from = w.data;
  Index k = 0;
  for (; k + parts <= w.terms; k += parts) {
    M2_UNROLL
    for (Index p = 0; p < parts; ++p) add(sums[p], from + p * w.term, x + p * x_step);
    from += parts * w.term;
    x += parts * x_step;
  }
  for (; k < w.terms; ++k, from += w.term, x += x_step) add(sums[0], from, x);
  M2_UNROLL
  for (Index half = parts / 2; half > 0; half /= 2) M2_UNROLL
  for (Index p = 0; p < half; ++p) M2_UNROLL
  for (Index v = 0; v < V; ++v) sums[p][v] = sums[p][v] + sums[p + half][v];
  M2_UNROLL
  for (Index v = 0; v < V; ++v) sums[0][v].store(y + v * y_step);
}

/// y = W x for one block, or one group of blocks: `Largest` registers of outputs at a time, then half as many.
template <class R, Left Kind, Index Largest>
M2_INLINE void packed_times_vector(PackedBlock<R> w, const R* x, Index x_step, R* y, Index y_step) {
  for (; w.outputs >= Largest; w.outputs -= Largest) {
    vector_sums_of<R, Kind, Largest>(w, x, x_step, y, y_step);
    w.data += Largest * w.output;
    y += Largest * y_step;
  }
  if constexpr (Largest > 1) {
    if (w.outputs > 0) packed_times_vector<R, Kind, Largest / 2>(w, x, x_step, y, y_step);
  }
}

struct LaneDigits;

/// One factor of one vector. The part of its blocks, or groups of blocks, that `part` of `parts` stands for.
template <class R>
void vector_product(const FactorShape& f, const R* packed, const R* x, R* y, Index part, Index parts) {
  constexpr Index lanes = Lanes<R>::count;
  if (f.inner == 1) {
    for (Index o = part_begin(f.outer, part, parts), end = part_begin(f.outer, part + 1, parts); o < end; ++o)
      packed_times_vector<R, Left::number, number_outputs>(
          {packed + o * f.in * f.out, f.in, f.out / lanes, f.out, lanes}, x + o * f.in, 1, y + o * f.out, lanes);
    return;
  }
  // The digits lie `inner` numbers apart, often in few cache sets: once they are side by side they stay in cache.
  const bool together = f.inner == lanes;
  R* const side_by_side = together ? nullptr : thread_scratch<LaneDigits, R>(f.in * lanes);
  const Index groups = f.inner / lanes, all = f.outer * groups;
  for (Index g = part_begin(all, part, parts), end = part_begin(all, part + 1, parts); g < end; ++g) {
    const Index o = together ? g : g / groups, i = (g - o * groups) * lanes;
    const R* const from = x + o * f.in * f.inner + i;
    for (Index d = 0; !together && d < f.in; ++d) Lanes<R>::load(from + d * f.inner).store(side_by_side + d * lanes);
    const R* const digits = together ? from : side_by_side;
    const PackedBlock<R> w{packed + g * packed_group<R>(f), f.in, f.out, lanes, packed_pitch<R>(f)};
    R* to = y + o * f.out * f.inner + i;
    f.in > short_row ? packed_times_vector<R, Left::lanes, 1>(w, digits, lanes, to, f.inner)
                     : packed_times_vector<R, Left::lanes, lane_outputs>(w, digits, lanes, to, f.inner);
  }
}

}  // namespace m2::detail
