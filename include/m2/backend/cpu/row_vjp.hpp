#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "m2/backend/cpu/row_multiply.hpp"

/// The VJP of the Monarch multiply for vectors whose features are contiguous. No element is moved between the factors,
/// nor for either of the two products, but far gradients of results.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// True if every factor can be packed, and so can its transpose.
template <class R>
bool transposes_packable(std::span<const FactorShape> factors) {
  for (const FactorShape& f : factors)
    if (f.inner < Lanes<R>::count && !packable<R>(transposed(f))) return false;
  return packable<R>(factors);
}

/// Numbers of what dx = W^T g reads of all factors beside the packed weights: the packed transposes of those whose
/// registers hold several outputs of a block.
template <class R>
Index packed_transposes_size(std::span<const FactorShape> factors) {
  Index size = 0;
  for (const FactorShape& f : factors) size += holds_pieces<R>(f) ? packed_size<R>(transposed(f)) : 0;
  return size;
}

struct TransposedScratch;

/// Packs the weights, and behind them these transposes, one after the other. The last factor is not applied, so where
/// its transpose is packed it is not.
template <class R>
void pack_vjp_weights(const MonarchCall<R>& call, R* packed) {
  R* to = packed;
  packed += packed_size<R>(call.factors);
  for (std::size_t a = 0; a < call.factors.size(); ++a) {
    const FactorShape& f = call.factors[a];
    if (!holds_pieces<R>(f) || a + 1 < call.factors.size()) pack_weights(f, call.weights[a], to);
    to += packed_size<R>(f);
    if (!holds_pieces<R>(f)) continue;
    R* const weights = thread_scratch<TransposedScratch, R>(f.weight_count());
    for (Index block = 0, at = 0; block < f.blocks(); ++block, at += f.in * f.out)
      transpose(call.weights[a] + at, f.in, f.out, f.in, weights + at, f.out);
    pack_weights<R>(transposed(f), weights, packed);
    packed += packed_size<R>(transposed(f));
  }
}

/// True if the registers are enough for these kernels. With less than those of AVX-512 they lose more than transposing
/// costs (AVX2, N = 4096: 0.40 of the peak against 0.65).
inline constexpr bool row_vjp_tiles = register_bytes == 64;

/// True if these kernels beat those that transpose: see rows_pay and packing_pays; and a tile of the least size has to
/// fit the second-level cache.
template <class R>
bool row_vjp_pays(const MonarchCall<R>& call) {
  return rows_pay(call) && packing_pays(call) &&
         call.widest * least_row_tile * static_cast<Index>(sizeof(R)) <= second_level_cache;
}

/// Where the weight gradients of a factor are summed: packed where blocks lie along the lanes, otherwise (outer, out,
/// in). If `begun`, sums add to what is there; those of inner = 1 always do. `far` as in TileResult.
template <class R>
struct RowSums {
  R* data;
  bool begun, far;
};

/// dW += g x^T for one block of a factor with inner = 1, or one group of blocks, the sum over the vectors of a tile.
template <class R>
void rows_gradient(const FactorShape& f, Index group, VectorRows<const R> x, VectorRows<const R> g,
                   const RowSums<R>& sums, Index batch, LinesAhead<R>& soon) {
  constexpr Index lanes = Lanes<R>::count;
  if (f.inner == 1) {
    accumulate_products<R, tile_columns>(
        f.out, f.in, batch, {g.data + group * f.out, g.pitch, 1}, {x.data + group * f.in, x.pitch, 0},
        {sums.data + group * f.out * f.in, f.in, 0, 0, sums.far}, [&] { soon.ask(lines_beside_gradient); });
    return;
  }
  const LaneTiles<R> registers{holds_pieces<R>(f)};
  const Index side = blocks_in_register<R>(f), groups = f.inner / side, o = group / groups, i = group % groups * side;
  // What is repeated, if anything is, are the inputs: then they are the left operand.
  struct Digits {
    const R* data;
    Index pitch, step, count, result;  // from vector to vector, from one to the next, there and in the sums
  };
  const Digits inputs{x.data + o * f.in * f.inner + i, x.pitch, f.inner, f.in, lanes};
  const Digits outputs{g.data + (g.digit != 0 ? group * f.out * g.digit : o * f.out * f.inner + i), g.pitch,
                       registers.pieces ? lanes : digit_step(g, f.inner), f.out / outputs_in_register<R>(f),
                       packed_pitch<R>(f)};
  const Digits &left = registers.pieces ? inputs : outputs, &right = registers.pieces ? outputs : inputs;
  R* const packed = sums.data + group * packed_group<R>(f);
  TileOperand<R> from{left.data, left.pitch, left.step}, with{right.data, right.pitch, right.step};
  TileResult<R> to{packed, left.result, right.result, 0, sums.far, false, sums.begun};
  registers.for_columns(right.count, [&](Index columns, Index c) {
    with.data = right.data + c * right.step;
    registers.for_rows(left.count, [&](Index rows, Index r) {
      soon.ask(lines_beside_gradient);
      from.data = left.data + r * left.step;
      to.data = packed + c * right.result + r * left.result;
      registers.tile(rows, columns)(batch, from, with, to);
    });
  });
}

/// Both products of one factor, block by block, so that what is written is spread over the time of both: dW += g x^T,
/// and dx = W^T g by weights as rows_product takes them. What is needed `soon` is asked for beside one product each.
template <class R>
void rows_factor_vjp(const FactorShape& f, const R* weights, VectorRows<const R> x, VectorRows<const R> g,
                     VectorRows<R> dx, const RowSums<R>& sums, Index batch, LinesAhead<R>& soon_first,
                     LinesAhead<R>& soon_second) {
  const Index groups = packed_groups<R>(f);
  for (Index group = 0; group < groups; ++group) {
    rows_gradient(f, group, x, g, sums, batch, soon_first);
    rows_product<true, R>(f, weights, g, dx, batch, group, groups, soon_second);
  }
}

/// Vectors to a tile: five arrays of them share the second-level cache, but all weights and their gradients are read
/// for each tile.
template <class R>
Index row_vjp_tile_size(Index widest) {
  const Index fitting = second_level_cache / 4 / (widest * static_cast<Index>(sizeof(R)));
  return std::clamp(fitting, least_row_tile, most_row_tile);
}

struct RowVjpScratch;
struct RowGradientScratch;
struct RowSumsScratch;
struct RowWeightScratch;

/// Brings the digits of vectors together that one group of blocks reads as its outputs' gradients, see VectorRows.
template <class R>
void gather_digits(const FactorShape& f, VectorRows<const R> from, R* to, Index digit, Index batch) {
  constexpr Index lanes = Lanes<R>::count;
  const Index groups = f.inner / lanes;
  for (Index b = 0; b < batch; ++b, to += lanes) {
    const R* vector = from.data + b * from.pitch;
    for (Index o = 0; o < f.outer; ++o)
      for (Index e = 0; e < f.out; ++e)
        for (Index i = 0; i < groups; ++i, vector += lanes)
          Lanes<R>::load(vector).store(to + ((o * groups + i) * f.out + e) * digit);
  }
}

/// One tile: the inputs of all factors are computed again. The caller's vectors are used where they lie unless they are
/// padded or `far`: what is read several times, at strides that no prefetcher follows, is copied from there first, for
/// a last factor of blocks along the lanes digit by digit, as its gradients read it. The `behind_these` vectors that
/// come next are asked for beside the products of the first factor, which come last.
template <class R>
void multiply_vjp_row_tile(const MonarchCall<R>& call, const R* packed, VectorRows<const R> x, VectorRows<const R> dy,
                           VectorRows<R> dx, std::span<const RowSums<R>> sums, Index batch, Index behind_these) {
  const std::size_t count = call.factors.size();
  const Index pitch = row_pitch<R>(call.widest), digit = (batch | 1) * Lanes<R>::count,
              size = std::max(batch * pitch, call.widest / Lanes<R>::count * digit);
  // Buffer f holds the input of factor f; the last two hold gradients.
  R* const memory = thread_scratch<RowVjpScratch, R>((static_cast<Index>(count) + 2) * size);
  const auto buffer = [&](std::size_t b) { return VectorRows<R>{memory + static_cast<Index>(b) * size, pitch}; };
  VectorRows<const R> first = x;
  if (x.far || call.in_features < call.padded_in()) {
    copy_rows(x, call.in_features, buffer(0), call.padded_in(), batch);
    first = as_input(buffer(0));
  }
  const auto input = [&](std::size_t f) { return f == 0 ? first : as_input(buffer(f)); };
  const R* weights = packed;
  for (std::size_t f = 0; f + 1 < count; ++f) {
    rows_product<R>(call.factors[f], weights, input(f), buffer(f + 1), batch);
    weights += packed_size<R>(call.factors[f]);
  }
  VectorRows<R> next = buffer(count), other = buffer(count + 1);
  VectorRows<const R> gradient = dy;
  if (const FactorShape& last = call.factors.back();
      dy.far && last.inner >= Lanes<R>::count && call.out_features == call.padded_out()) {
    gradient = {next.data, Lanes<R>::count, false, false, false, digit};
    gather_digits(last, dy, next.data, digit, batch);
    std::swap(next, other);
  } else if (dy.far || call.out_features < call.padded_out()) {
    copy_rows(dy, call.out_features, next, call.padded_out(), batch);
    gradient = as_input(next);
    std::swap(next, other);
  }
  const bool cut = call.in_features < call.padded_in();
  Index behind = packed_size<R>(call.factors), transposes_behind = behind + packed_transposes_size<R>(call.factors);
  for (std::size_t f = count; f-- > 0;) {
    const FactorShape& shape = call.factors[f];
    behind -= packed_size<R>(shape);
    if (holds_pieces<R>(shape)) transposes_behind -= packed_size<R>(transposed(shape));
    const R* const transposable = shape.inner == 1         ? call.weights[f]
                                  : holds_pieces<R>(shape) ? packed + transposes_behind
                                                           : packed + behind;
    const VectorRows<R> to = f > 0 || cut ? next : dx;
    LinesAhead<R> next_x, next_dy;
    if (f == 0 && x.far) {
      next_x = {x.data + batch * x.pitch, x.pitch, call.in_features, behind_these, Soon::read};
      next_dy = {dy.data + batch * dy.pitch, dy.pitch, call.out_features, behind_these, Soon::read};
    }
    rows_factor_vjp(shape, transposable, input(f), gradient, to, sums[f], batch, next_x, next_dy);
    gradient = as_input(to);
    std::swap(next, other);
  }
  if (dx.streamed) finish_streams();
  if (cut) copy_rows<R>(gradient, call.in_features, dx, call.in_features, batch);
}

/// Adds what the parts have summed, in their order, to the caller's gradients. The first part sums there at once where
/// inner = 1.
template <class R>
void accumulate_row_gradients(std::span<const FactorShape> factors, const R* sums, Index parts,
                              std::span<R* const> dweights) {
  const Index total = packed_size<R>(factors);
  for (std::size_t f = 0; f < factors.size(); ++f) {
    const FactorShape& shape = factors[f];
    for_packed_groups<R>(shape, [&](Index group) {
      R* const row = thread_scratch<RowGradientScratch, R>(shape.in * Lanes<R>::count);
      const Index block = shape.in * shape.out;
      for (Index part = shape.inner == 1 ? 1 : 0; part < parts; ++part) {
        const R* const from = sums + part * total;
        if (shape.inner > 1) {
          accumulate_packed(shape, group, from, dweights[f], row);
        } else {
          for (Index i = group * block; i < (group + 1) * block; ++i) dweights[f][i] += from[i];
        }
      }
    });
    sums += packed_size<R>(shape);
  }
}

/// dx overwritten, dweights accumulated, where transposes_packable and features are contiguous.
template <class R>
void multiply_vjp_rows(const MonarchCall<R>& call, VectorRows<const R> x, VectorRows<const R> dy, VectorRows<R> dx,
                       std::span<R* const> dweights) {
  const std::size_t count = call.factors.size();
  const Index total = packed_size<R>(call.factors);
  const Index parts = call.batch >= 32 ? std::min<Index>(available_threads(), call.batch) : 1;
  const bool far = call.batch * call.widest * static_cast<Index>(sizeof(R)) > 2 * second_level_cache;
  const bool streamed = streams(dx.data, dx.pitch, call.batch * call.in_features, 1, streamed_gradient);
  const bool far_sums = 2 * total * static_cast<Index>(sizeof(R)) > second_level_cache;
  const Index all_weights = total + packed_transposes_size<R>(call.factors);
  R* const packed = thread_scratch<RowWeightScratch, R>(all_weights + total * parts);
  R* const sums = packed + all_weights;
  pack_vjp_weights(call, packed);
  const Index largest = row_vjp_tile_size<R>(call.widest);
  parallel_parts(parts, static_cast<int>(parts), [&](Index part) {
    RowSums<R>* const own = thread_scratch<RowSumsScratch, RowSums<R>>(static_cast<Index>(count));
    for (std::size_t f = 0; f < count; ++f) {
      const FactorShape& shape = call.factors[f];
      own[f] = {sums + part * total + packed_size<R>(call.factors.first(f)), shape.inner == 1, far_sums};
      if (shape.inner > 1) continue;
      if (part == 0) {
        own[f].data = dweights[f];
      } else {
        std::fill_n(own[f].data, packed_size<R>(shape), R{0});
      }
    }
    const Index begin = part_begin(call.batch, part, parts), end = part_begin(call.batch, part + 1, parts);
    const Index tiles = (end - begin + largest - 1) / largest;
    for (Index t = 0; t < tiles; ++t) {
      const Index from = begin + part_begin(end - begin, t, tiles), to = begin + part_begin(end - begin, t + 1, tiles);
      multiply_vjp_row_tile<R>(
          call, packed, {x.data + from * x.pitch, x.pitch, far}, {dy.data + from * dy.pitch, dy.pitch, far},
          {dx.data + from * dx.pitch, dx.pitch, far, streamed}, {own, count}, to - from, std::min(largest, end - to));
      for (std::size_t f = 0; f < count; ++f) own[f].begun = true;
    }
  });
  accumulate_row_gradients<R>(call.factors, sums, parts, dweights);
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
