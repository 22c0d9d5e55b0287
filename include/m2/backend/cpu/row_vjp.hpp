#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "m2/backend/cpu/row_multiply.hpp"

/// The VJP of the Monarch multiply for vectors whose features are contiguous. No element is moved between the factors,
/// nor for either of the two products.
namespace m2::detail {

/// True if every factor can be packed, and so can its transpose.
template <class R>
bool transposes_packable(std::span<const FactorShape> factors) {
  for (const FactorShape& f : factors)
    if (f.inner == 1 && f.in % Lanes<R>::count != 0) return false;
  return packable<R>(factors);
}

/// True if these kernels beat those that transpose: see rows_pay and packing_pays; and a tile of the least size has to
/// fit the second-level cache.
template <class R>
bool row_vjp_pays(const MonarchCall<R>& call) {
  return rows_pay(call) && packing_pays(call) &&
         call.widest * least_row_tile * static_cast<Index>(sizeof(R)) <= second_level_cache;
}

/// dW += g x^T for one factor, the sum over the vectors of a tile: packed where blocks lie along the lanes, otherwise
/// (outer, out, in).
template <class R>
void rows_gradient(const FactorShape& f, VectorRows<const R> x, VectorRows<const R> g, R* sums, Index batch) {
  constexpr Index lanes = Lanes<R>::count;
  for (Index o = 0; o < f.outer; ++o) {
    const R* const from = x.data + o * f.in * f.inner;
    const R* const gradient = g.data + o * f.out * f.inner;
    if (f.inner == 1) {
      accumulate_products<R, tile_columns>(f.out, f.in, batch, {gradient, g.pitch, 1}, {from, x.pitch, 0},
                                           {sums + o * f.out * f.in, f.in, 0}, [] {});
      continue;
    }
    for (Index i = 0; i < f.inner; i += lanes, sums += packed_group<R>(f))
      for_row_tiles(f.in, most_lane_columns(), [&](Index columns, Index d) {
        TileOperand<R> left{gradient, g.pitch, f.inner};
        const TileOperand<R> right{from + d * f.inner + i, x.pitch, f.inner};
        TileResult<R> to{sums, packed_pitch<R>(f), lanes, 0, false, false, true};
        for_row_tiles(f.out, most_lane_rows(), [&](Index rows, Index e) {
          left.data = gradient + e * f.inner + i;
          to.data = sums + e * packed_pitch<R>(f) + d * lanes;
          lanes_tile<R>(rows, columns)(batch, left, right, to);
        });
      });
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
struct RowWeightScratch;

/// One tile: the inputs of all factors are computed again. The caller's vectors are used where they lie unless they are
/// padded or `far`: what is read several times, at strides that no prefetcher follows, is copied from there first.
template <class R>
void multiply_vjp_row_tile(const MonarchCall<R>& call, const R* packed, VectorRows<const R> x, VectorRows<const R> dy,
                           VectorRows<R> dx, R* sums, Index batch) {
  const std::size_t count = call.factors.size();
  const Index pitch = row_pitch<R>(call.widest), size = batch * pitch;
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
    rows_product<false, R>(call.factors[f], weights, input(f), buffer(f + 1), batch, 0, 1);
    weights += packed_size<R>(call.factors[f]);
  }
  VectorRows<R> next = buffer(count), other = buffer(count + 1);
  VectorRows<const R> gradient = dy;
  if (dy.far || call.out_features < call.padded_out()) {
    copy_rows(dy, call.out_features, next, call.padded_out(), batch);
    gradient = as_input(next);
    std::swap(next, other);
  }
  const bool cut = call.in_features < call.padded_in();
  Index behind = packed_size<R>(call.factors);
  for (std::size_t f = count; f-- > 0;) {
    const FactorShape& shape = call.factors[f];
    behind -= packed_size<R>(shape);
    rows_gradient(shape, input(f), gradient, sums + behind, batch);
    const VectorRows<R> to = f > 0 || cut ? next : dx;
    rows_product<true, R>(shape, shape.inner == 1 ? call.weights[f] : packed + behind, gradient, to, batch, 0, 1);
    gradient = as_input(to);
    std::swap(next, other);
  }
  if (dx.streamed) finish_streams();
  if (cut) copy_rows<R>(gradient, call.in_features, dx, call.in_features, batch);
}

/// Adds what the parts have summed, in their order, to the caller's gradients.
template <class R>
void accumulate_row_gradients(std::span<const FactorShape> factors, const R* sums, Index parts,
                              std::span<R* const> dweights) {
  const Index total = packed_size<R>(factors);
  for (std::size_t f = 0; f < factors.size(); ++f) {
    const FactorShape& shape = factors[f];
    for_packed_groups<R>(shape, [&](Index group) {
      R* const row = thread_scratch<RowGradientScratch, R>(shape.in * Lanes<R>::count);
      const Index block = shape.in * shape.out;
      for (Index part = 0; part < parts; ++part) {
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
  const Index total = packed_size<R>(call.factors), parts = call.batch >= 32 ? available_threads() : 1;
  const bool far = call.batch * call.widest * static_cast<Index>(sizeof(R)) > 2 * second_level_cache;
  const bool streamed = streams(dx.data, dx.pitch, call.batch * call.in_features);
  R* const packed = thread_scratch<RowWeightScratch, R>(total * (parts + 1));
  R* const sums = packed + total;
  pack_weights(call, packed);
  const Index largest = row_vjp_tile_size<R>(call.widest);
  parallel_parts(parts, static_cast<int>(parts), [&](Index part) {
    R* const own = sums + part * total;
    std::fill_n(own, total, R{0});
    const Index begin = call.batch * part / parts, end = call.batch * (part + 1) / parts;
    const Index tiles = (end - begin + largest - 1) / largest;
    for (Index t = 0; t < tiles; ++t) {
      const Index from = begin + (end - begin) * t / tiles, to = begin + (end - begin) * (t + 1) / tiles;
      multiply_vjp_row_tile<R>(call, packed, {x.data + from * x.pitch, x.pitch, far},
                               {dy.data + from * dy.pitch, dy.pitch, far},
                               {dx.data + from * dx.pitch, dx.pitch, far, streamed}, own, to - from);
    }
  });
  accumulate_row_gradients<R>(call.factors, sums, parts, dweights);
}

}  // namespace m2::detail
