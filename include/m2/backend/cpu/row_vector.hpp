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

/// y = W x for `count` blocks, whose inputs are neighbours, with any number of registers of outputs. This and the
/// functions below return what lies behind the weights that they have read.
template <class R>
M2_REGISTER_LOOP const R* wide_blocks_times_vector(const FactorShape& f, Index count, const R* w, const R* x, R* y) {
  constexpr Index lanes = Lanes<R>::count;
  const Index in = f.in, out = f.out;
  for (; count > 0; --count, w += in * out, x += in, y += out)
    packed_times_vector<R, Left::number, number_outputs>({w, in, out / lanes, out, lanes}, x, 1, y, lanes);
  return w;
}

/// The same where the outputs of a block are one register. A number then meets one register of weights alone, and a
/// load for each number would cost as much: numbers are spread in registers.
template <class R>
M2_REGISTER_LOOP const R* narrow_blocks_times_vector(const FactorShape& f, Index count, const R* w, const R* x, R* y) {
  constexpr Index lanes = Lanes<R>::count, piece = 16 / static_cast<Index>(sizeof(R));
  using Every = std::make_index_sequence<std::size_t{lanes}>;
  const Index in = f.in;
  for (; count > 0; --count, y += lanes) {
    Lanes<R> sums[std::size_t{piece}];
    M2_UNROLL
    for (Index p = 0; p < piece; ++p) sums[p] = Lanes<R>::zero();
    const auto add_piece = [&]() M2_INLINE_LAMBDA {
      const Lanes<R> numbers = repeat_piece(x);
      for_constants<piece>([&](auto p) M2_INLINE_LAMBDA {
        sums[p] = add_product(sums[p], Lanes<R>::load(w + p * lanes), spread_in_pieces<p>(numbers, Every{}));
      });
      w += piece * lanes, x += piece;
    };
    Index k = in;
    for (; k >= 4 * piece; k -= 4 * piece) add_piece(), add_piece(), add_piece(), add_piece();
    for (; k >= piece; k -= piece) add_piece();
    for (; k > 0; --k, w += lanes, ++x) sums[0] = add_scaled(sums[0], Lanes<R>::load(w), *x);
    sum_of(sums).store(y);
  }
  return w;
}

/// Groups of blocks along the lanes, `count` of them: calls f(x, y) with where a group's digits and outputs begin. The
/// first one is the group `at` of those side by side.
template <class R, class F>
M2_INLINE void for_groups(const FactorShape& f, Index at, Index count, const R* x, R* y, F&& body) {
  constexpr Index lanes = Lanes<R>::count;
  const Index row = f.inner / lanes;
  for (; count > 0; --count) {
    body(x, y);
    x += lanes, y += lanes;
    if (++at == row) at = 0, x += (f.in - 1) * f.inner, y += (f.out - 1) * f.inner;
  }
}

/// y = W x for groups of blocks of few terms. Digits are put side by side first: where they lie apart, they share few
/// cache sets. `side_by_side` has room for those of one group.
template <class R>
M2_REGISTER_LOOP const R* short_groups_times_vector(const FactorShape& f, Index at, Index count, const R* w, const R* x,
                                                    R* y, R* side_by_side) {
  constexpr Index lanes = Lanes<R>::count;
  const Index in = f.in, out = f.out, inner = f.inner, pitch = packed_pitch<R>(in);
  for_groups(f, at, count, x, y, [&](const R* from, R* to) M2_INLINE_LAMBDA {
    for (Index d = 0; d < in; ++d) Lanes<R>::load(from + d * inner).store(side_by_side + d * lanes);
    packed_times_vector<R, Left::lanes, lane_outputs>({w, in, out, lanes, pitch}, side_by_side, lanes, to, inner);
    w += out * pitch;
  });
  return w;
}

/// y = W x for `count` groups of blocks that are less than a register wide, with so many registers of outputs.
template <class R>
M2_REGISTER_LOOP const R* pieces_times_vector(const FactorShape& f, Index outputs, Index count, const R* w, const R* x,
                                              R* y) {
  constexpr Index lanes = Lanes<R>::count;
  const Index in = f.in, inner = f.inner, pitch = packed_pitch<R>(in);
  for (; count > 0; --count, w += outputs * pitch, x += in * inner, y += outputs * lanes)
    packed_times_vector<R, Left::piece, lane_outputs>({w, in, outputs, lanes, pitch}, x, inner, y, lanes);
  return w;
}

/// y = W x for groups of blocks of Held terms, which are held in registers, or for More; those behind them are put side
/// by side. One output at a time, so that memory is read in order (N = 1024 from memory: 0.91 of its bandwidth, two
/// 0.75).
template <class R, Index Held, bool More>
M2_REGISTER_LOOP const R* held_groups_times_vector(const FactorShape& f, Index at, Index count, const R* w, const R* x,
                                                   R* y, R* side_by_side) {
  constexpr Index lanes = Lanes<R>::count, gap = packed_pitch<R>(0);  // behind the terms of an output
  const Index more = More ? f.in - Held : 0, out = f.out, inner = f.inner;
  for_groups(f, at, count, x, y, [&](const R* from, R* to) M2_INLINE_LAMBDA {
    Lanes<R> held[std::size_t{Held}];
    for_constants<Held>([&](auto k) M2_INLINE_LAMBDA {
      held[k] = Lanes<R>::load(from);
      keep_in_register(held[k]);
      from += inner;
      hide_origin(from);  // no product of `inner` for each of them
    });
    for (Index d = 0; d < more; ++d, from += inner) Lanes<R>::load(from).store(side_by_side + d * lanes);
    for (Index e = out; e > 0; --e, w += gap, to += inner) {
      Lanes<R> sums[std::size_t{vector_sums}];
      for_constants<vector_sums>([&](auto k) M2_INLINE_LAMBDA { sums[k] = Lanes<R>::load(w + k * lanes) * held[k]; });
      for_constants<Held - vector_sums>([&](auto k) M2_INLINE_LAMBDA {
        constexpr Index term = k + vector_sums, p = term % vector_sums;
        sums[p] = add_product(sums[p], Lanes<R>::load(w + term * lanes), held[term]);
      });
      w += Held * lanes;
      if constexpr (More) {
        const R* digits = side_by_side;
        Index k = more;
        for (; k >= Held; k -= Held, w += Held * lanes, digits += Held * lanes)
          for_constants<Held>([&](auto i) M2_INLINE_LAMBDA {
            constexpr Index p = i % vector_sums;
            sums[p] = add_product(sums[p], Lanes<R>::load(w + i * lanes), Lanes<R>::load(digits + i * lanes));
          });
        for (; k > 0; --k, w += lanes, digits += lanes)
          sums[0] = add_product(sums[0], Lanes<R>::load(w), Lanes<R>::load(digits));
      }
      sum_of(sums).store(to);
    }
  });
  return w;
}

struct LaneDigits;

/// y = W x for `count` blocks, or groups of blocks, of one factor: the first one is group `at` of those side by side,
/// and the pointers are to its own weights, digits and outputs.
template <class R>
M2_INLINE const R* groups_times_vector(const FactorShape& f, Index at, Index count, const R* w, const R* x, R* y) {
  constexpr Index lanes = Lanes<R>::count;
  if (f.inner == 1)
    return spreads_in_registers && f.out == lanes ? narrow_blocks_times_vector(f, count, w, x, y)
                                                  : wide_blocks_times_vector(f, count, w, x, y);
  if (holds_pieces<R>(f)) return pieces_times_vector(f, f.out / outputs_in_register<R>(f), count, w, x, y);
  if (f.in == held_terms) return held_groups_times_vector<R, held_terms, false>(f, at, count, w, x, y, nullptr);
  if constexpr (register_bytes == 64) {  // others hardly have blocks of 4 terms, and would compile them
    constexpr Index half = held_terms / 2;
    if (f.in == half) return held_groups_times_vector<R, half, false>(f, at, count, w, x, y, nullptr);
  }
  R* const side_by_side = thread_scratch<LaneDigits, R>(f.in * lanes);
  return f.in < held_terms ? short_groups_times_vector(f, at, count, w, x, y, side_by_side)
                           : held_groups_times_vector<R, held_terms, true>(f, at, count, w, x, y, side_by_side);
}

/// The part of one factor that `part` of `parts` stands for. `packed` are the weights of the whole factor.
template <class R>
void vector_product(const FactorShape& f, const R* packed, const R* x, R* y, Index part, Index parts) {
  const Index groups = packed_groups<R>(f), begin = part_begin(groups, part, parts),
              count = part_begin(groups, part + 1, parts) - begin;
  const Index row = groups_side_by_side<R>(f), o = begin / row, at = begin - o * row, i = at * Lanes<R>::count;
  const Index group = f.inner == 1 ? f.in * f.out : packed_group<R>(f);
  groups_times_vector(f, at, count, packed + begin * group, x + o * f.in * f.inner + i, y + o * f.out * f.inner + i);
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
