#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "m2/backend/cpu/packed_weights.hpp"
#include "m2/backend/cpu/register_tile.hpp"
#include "m2/backend/cpu/scratch.hpp"

/// The products of a packed Monarch factor with one vector. They are bound by reading the weights, each of which is
/// used once: so few streams through memory, as many independent sums as hide the latency of a multiply-add, and no
/// call for each block.
namespace m2::detail::inline M2_INSTRUCTION_SET {

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

/// Registers of the vector that a group of blocks meets that are loaded once for all outputs.
inline constexpr Index held_terms = register_bytes == 64 ? 16 : 8;

/// Outputs of a group of blocks with fewer terms at a time: they share the loads of the vector.
inline constexpr Index lane_outputs = 4;

/// The sum of all of them.
template <class R, std::size_t Parts>
M2_INLINE Lanes<R> sum_of(Lanes<R> (&sums)[Parts]) {
  M2_UNROLL
  for (std::size_t half = Parts / 2; half > 0; half /= 2) M2_UNROLL
  for (std::size_t p = 0; p < half; ++p) sums[p] = sums[p] + sums[p + half];
  return sums[0];
}

/// f(0), f(1), .. f(Count - 1) by constants: where variables index an array, g++ 12 keeps a copy of it in memory.
template <Index Count, class F>
M2_INLINE void for_constants(F&& f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) M2_INLINE_LAMBDA {
    (f(std::integral_constant<Index, Index{I}>{}), ...);
  }
  (std::make_index_sequence<std::size_t{Count}>{});
}

/// V registers of outputs, y(v) = sum over k of x(k) w(k, v), where x(k) is as in a register tile. Terms are summed in
/// several parts: there are vector_sums independent sums whatever V is.
template <class R, Left Kind, Index V>
M2_INLINE void vector_sums_of(const PackedBlock<R>& w, const R* x, Index x_step, R* y, Index y_step) {
  constexpr Index parts = std::max<Index>(vector_sums / V, 1);
  Lanes<R> sums[std::size_t{V}][std::size_t{parts}];
  M2_UNROLL
  for (Index v = 0; v < V; ++v) M2_UNROLL
  for (Index p = 0; p < parts; ++p) sums[v][p] = Lanes<R>::zero();
  const auto add = [&](Index p, const R* weights, const R* at) M2_INLINE_LAMBDA {
    if constexpr (Kind == Left::number) {
      const R number = *at;
      M2_UNROLL
      for (Index v = 0; v < V; ++v) sums[v][p] = add_scaled(sums[v][p], Lanes<R>::load(weights + v * w.output), number);
    } else {
      Lanes<R> lanes = load_left<Kind, R>(at, 0);
      if constexpr (V > 1) keep_in_register(lanes);
      M2_UNROLL
      for (Index v = 0; v < V; ++v) sums[v][p] = add_product(sums[v][p], Lanes<R>::load(weights + v * w.output), lanes);
    }
  };
  const R* from = w.data;
  Index k = 0;
  for (; k + parts <= w.terms; k += parts) {
    M2_UNROLL
    for (Index p = 0; p < parts; ++p) add(p, from + p * w.term, x + p * x_step);
    from += parts * w.term;
    x += parts * x_step;
  }
  for (; k < w.terms; ++k, from += w.term, x += x_step) add(0, from, x);
  M2_UNROLL
  for (Index v = 0; v < V; ++v) sum_of(sums[v]).store(y + v * y_step);
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

/// y = W x for blocks, one behind the other, whose inputs are neighbours, with any number of registers of outputs.
template <class R>
M2_REGISTER_LOOP void wide_blocks_times_vector(Index blocks, Index terms, Index outputs, const R* w, const R* x, R* y) {
  constexpr Index lanes = Lanes<R>::count;
  for (; blocks > 0; --blocks, w += terms * outputs, x += terms, y += outputs)
    packed_times_vector<R, Left::number, number_outputs>({w, terms, outputs / lanes, outputs, lanes}, x, 1, y, lanes);
}

/// The same where the outputs of a block are one register. A number then meets one register of weights alone, and a
/// load for each number would cost as much: numbers are spread in registers.
template <class R>
M2_REGISTER_LOOP void narrow_blocks_times_vector(Index blocks, Index terms, const R* w, const R* x, R* y) {
  constexpr Index lanes = Lanes<R>::count, piece = 16 / static_cast<Index>(sizeof(R));
  using Every = std::make_index_sequence<std::size_t{lanes}>;
  for (; blocks > 0; --blocks, y += lanes) {
    Lanes<R> sums[std::size_t{piece}];
    M2_UNROLL
    for (Index p = 0; p < piece; ++p) sums[p] = Lanes<R>::zero();
    Index k = terms;
    for (; k >= piece; k -= piece, w += piece * lanes, x += piece) {
      const Lanes<R> numbers = repeat_piece(x);
      for_constants<piece>([&](auto p) M2_INLINE_LAMBDA {
        sums[p] = add_product(sums[p], Lanes<R>::load(w + p * lanes), spread_in_pieces<p>(numbers, Every{}));
      });
    }
    for (; k > 0; --k, w += lanes, ++x) sums[0] = add_scaled(sums[0], Lanes<R>::load(w), *x);
    sum_of(sums).store(y);
  }
}

/// y = W x for one group of blocks of few terms; digits lie side by side, outputs `inner` numbers apart.
template <class R>
M2_REGISTER_LOOP void short_group_times_vector(Index terms, Index outputs, const R* w, Index inner, const R* x, R* y) {
  constexpr Index lanes = Lanes<R>::count;
  packed_times_vector<R, Left::lanes, lane_outputs>({w, terms, outputs, lanes, packed_pitch<R>(terms)}, x, lanes, y,
                                                    inner);
}

/// y = W x for one group of blocks that is less than a register wide.
template <class R>
M2_REGISTER_LOOP void pieces_times_vector(Index terms, Index outputs, const R* w, Index inner, const R* x, R* y) {
  constexpr Index lanes = Lanes<R>::count;
  packed_times_vector<R, Left::piece, lane_outputs>({w, terms, outputs, lanes, packed_pitch<R>(terms)}, x, inner, y,
                                                    lanes);
}

/// y = W x for one group of blocks of held_terms terms or more. Digits and outputs lie `inner` numbers apart; the
/// digits that are not held lie side by side from `rest` on. One output at a time, so that memory is read in order (N =
/// 1024 from memory: 0.91 of its bandwidth, two 0.75).
template <class R>
M2_REGISTER_LOOP void long_group_times_vector(Index terms, Index outputs, const R* w, Index inner, const R* x,
                                              const R* rest, R* y) {
  constexpr Index lanes = Lanes<R>::count;
  Lanes<R> held[std::size_t{held_terms}];
  for_constants<held_terms>([&](auto k) M2_INLINE_LAMBDA {
    held[k] = Lanes<R>::load(x + k * inner);
    keep_in_register(held[k]);
  });
  constexpr Index gap = packed_pitch<R>(0);  // behind the terms of an output
  for (; outputs > 0; --outputs, w += gap, y += inner) {
    Lanes<R> sums[std::size_t{vector_sums}];
    for_constants<vector_sums>([&](auto k) M2_INLINE_LAMBDA { sums[k] = Lanes<R>::load(w + k * lanes) * held[k]; });
    for_constants<held_terms - vector_sums>([&](auto k) M2_INLINE_LAMBDA {
      constexpr Index at = k + vector_sums, p = at % vector_sums;
      sums[p] = add_product(sums[p], Lanes<R>::load(w + at * lanes), held[at]);
    });
    w += held_terms * lanes;
    const R* digits = rest;
    Index k = terms - held_terms;
    for (; k >= held_terms; k -= held_terms, w += held_terms * lanes, digits += held_terms * lanes)
      for_constants<held_terms>([&](auto i) M2_INLINE_LAMBDA {
        constexpr Index p = i % vector_sums;
        sums[p] = add_product(sums[p], Lanes<R>::load(w + i * lanes), Lanes<R>::load(digits + i * lanes));
      });
    for (; k > 0; --k, w += lanes, digits += lanes)
      sums[0] = add_product(sums[0], Lanes<R>::load(w), Lanes<R>::load(digits));
    sum_of(sums).store(y);
  }
}

struct LaneDigits;

/// One factor of one vector. The part of its blocks, or groups of blocks, that `part` of `parts` stands for.
template <class R>
void vector_product(const FactorShape& f, const R* packed, const R* x, R* y, Index part, Index parts) {
  constexpr Index lanes = Lanes<R>::count;
  const Index in = f.in, out = f.out, inner = f.inner;
  if (inner == 1) {
    const Index begin = part_begin(f.outer, part, parts), blocks = part_begin(f.outer, part + 1, parts) - begin;
    packed += begin * in * out, x += begin * in, y += begin * out;
    return spreads_in_registers && out == lanes ? narrow_blocks_times_vector(blocks, in, packed, x, y)
                                                : wide_blocks_times_vector(blocks, in, out, packed, x, y);
  }
  const Index all = packed_groups<R>(f), begin = part_begin(all, part, parts), end = part_begin(all, part + 1, parts);
  const Index group = packed_group<R>(f);
  if (holds_pieces<R>(f)) {
    for (Index o = begin; o < end; ++o)
      pieces_times_vector(in, out / outputs_in_register<R>(f), packed + o * group, inner, x + o * in * inner,
                          y + o * out * inner);
    return;
  }
  // Digits lie `inner` numbers apart, often in few cache sets: those that are not held in registers stay in cache once
  // they are side by side.
  const bool few = in < held_terms;
  const Index held = few ? 0 : held_terms;
  R* const side_by_side = in == held ? nullptr : thread_scratch<LaneDigits, R>((in - held) * lanes);
  Index i = 0;
  if (begin > 0) {
    const Index o = begin / (inner / lanes);
    i = begin * lanes - o * inner;
    packed += begin * group, x += o * in * inner, y += o * out * inner;
  }
  for (Index g = begin; g < end; ++g, packed += group) {
    for (Index d = held; d < in; ++d) Lanes<R>::load(x + i + d * inner).store(side_by_side + (d - held) * lanes);
    few ? short_group_times_vector(in, out, packed, inner, side_by_side, y + i)
        : long_group_times_vector(in, out, packed, inner, x + i, side_by_side, y + i);
    i += lanes;
    if (i == inner) i = 0, x += in * inner, y += out * inner;
  }
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
