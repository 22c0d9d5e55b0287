#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "m2/backend/cpu/block_product.hpp"
#include "m2/backend/cpu/block_vector.hpp"
#include "m2/backend/cpu/row_multiply.hpp"
#include "m2/backend/cpu/threads.hpp"
#include "m2/backend/cpu/vector_tile.hpp"
#include "m2/core/factor_shape.hpp"

/// The Monarch multiply on the CPU. The batch is cut into tiles that stay in cache through all factors; in a tile the
/// batch is contiguous, so that the permutations between factors are strides. A tile is read from and written to the
/// caller's memory directly where the batch is contiguous there, and transposed in registers on the way otherwise.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The vectors of block (o, i) of a factor with this many digits.
template <class R>
BlockVectors<R> block_of(VectorTile<R> tile, Index o, Index i, Index digits, Index inner) {
  return {tile.feature(o * digits * inner + i), tile.distance(inner), tile.plane, tile.far, tile.streamed};
}

/// y = W x for every block of a factor. Blocks are shared among threads unless the caller's tile already belongs to one
/// of them. `soon` is asked for on the way, if one thread does all, and where tiles have 12 sums the places of results
/// that are far: into the second-level cache while the block before is at work, since a tile's own time is too short.
template <class T, class R = RealOf<T>>
void apply_factor(const FactorShape& f, const T* weights, VectorTile<const R> x, VectorTile<R> y, Index width,
                  LinesAhead<R>* soon = nullptr) {
  const int threads = width * f.weight_count() > parallel_products ? available_threads() : 1;
  // Small blocks are done in a few hundred cycles: no division for each of them.
  const Index x_outer = x.distance(f.in * f.inner), y_outer = y.distance(f.out * f.inner);
  const BlockVectors<const R> from = block_of(x, 0, 0, f.in, f.inner);
  BlockVectors<R> to = block_of(y, 0, 0, f.out, f.inner);
  const bool ask_results = y.far && !y.streamed && narrow_machine() && f.blocks() > threads;
  if (ask_results) to.far = false;
  parallel_parts(threads, threads, [&](Index part) {
    const Index begin = part_begin(f.blocks(), part, threads), end = part_begin(f.blocks(), part + 1, threads);
    const Index inner = f.inner, block_size = f.in * f.out, x_step = x.stride, y_step = y.stride;
    BlockProducts<T> product({weights, f.out, f.in, f.in, 1}, from, to);
    NeededSoon<R> needed{threads == 1 ? soon : nullptr, 0};
    const bool asks = ask_results || needed.vectors != nullptr;
    const T* matrix = weights + begin * block_size;
    const R* vectors = from.data + begin / inner * x_outer + begin % inner * x_step;
    R* results = to.data + begin / inner * y_outer + begin % inner * y_step;
    Index i = begin % inner;
    for (Index left = end - begin; left > 0; --left) {
      Index x_next = x_step, y_next = y_step;
      if (++i == inner) i = 0, x_next += x_outer - inner * x_step, y_next += y_outer - inner * y_step;
      const bool last = left == 1;
      if (ask_results) needed.results = last ? 0 : y_next;
      product(matrix, vectors, results, width, NextBlock<R>{true, last ? 0 : x_next, asks ? &needed : nullptr});
      if (last) break;
      matrix += block_size, vectors += x_next, results += y_next;
    }
    if (y.streamed) finish_streams();
  });
}

/// Vectors of a tile in a buffer: rounded up to whole registers.
template <class T>
Index padded_batch(Index batch) {
  constexpr Index lanes = Lanes<T>::count;
  return (batch + lanes - 1) / lanes * lanes;
}

/// Four cache lines of a feature.
template <class T>
inline constexpr Index least_width = 4 * 64 / static_cast<Index>(sizeof(RealOf<T>));

/// True if what is between two factors of a tile of so many vectors leaves the caches before it is read: then it
/// bypasses them.
template <class T>
bool tiles_stream(Index widest, Index width) {
  return narrow_machine() && planes_of<T> == 1 &&
         widest * width * static_cast<Index>(sizeof(RealOf<T>)) >= streamed_gradient;
}

/// The least vectors to a tile, unless there are fewer: a tile reads all weights. More where a tile leaves the caches
/// anyway, if the vectors of a block stay in the first one.
template <class T>
Index least_tile(const MonarchCall<T>& call) {
  constexpr Index least = least_width<SumOf<T>>;
  for (const FactorShape& f : call.factors)
    if (f.in > 32) return least;
  return tiles_stream<SumOf<T>>(call.widest, least) ? 2 * least : least;
}

/// Vectors to a tile: one buffer of the widest vector in half of the second-level cache, but at least so many. Tiles
/// are equal, in whole pairs of registers, and every thread has as many. Tiles that spread the weights over registers
/// first are larger: a buffer of theirs may take the whole cache, and vectors that are used `in_place` need hardly any.
template <class T>
Index tile_size(Index widest, Index batch, int threads, Index least, bool in_place) {
  constexpr Index pair = 2 * Lanes<T>::count, twice = spreads_numbers<T> ? 2 : 1,
                  bytes = static_cast<Index>(sizeof(RealOf<T>)) * planes_of<T>;
  const Index fitting = twice * second_level_cache / 2 / (widest * bytes) / pair * pair;
  const Index largest = std::clamp<Index>(fitting, least, (in_place ? twice : 1) * 16 * pair);
  Index tiles = (batch + largest - 1) / largest;
  if (batch >= threads * pair) tiles = (tiles + threads - 1) / threads * threads;
  const Index share = (batch + tiles - 1) / tiles;
  return std::min((share + pair - 1) / pair * pair, batch);
}

/// Factors can work in the caller's memory if the batch is contiguous there and fills whole registers.
template <class T>
bool direct(Vectors<T> vectors, Index batch, bool whole) {
  using Number = std::remove_const_t<T>;
  if constexpr (Scalar<Number>) return whole && vectors.batch_stride == 1 && batch % Lanes<Number>::count == 0;
  return false;
}

/// A tile of `width` vectors in a buffer. Features lie an odd number of registers apart, to use all cache sets.
template <class T>
VectorTile<RealOf<T>> tile_in(RealOf<T>* buffer, Index width) {
  const Index plane = width + (width / Lanes<T>::count % 2 == 0 ? Lanes<T>::count : 0);
  return {buffer, plane * planes_of<T>, plane};
}

/// What a buffer needs to hold a tile of the widest vectors, gaps included.
template <class T, class U>
Index tile_buffer_size(const MonarchCall<U>& call, Index width) {
  return call.widest * (tile_in<T>(nullptr, width).stride + Lanes<T>::count);
}

/// The tile between two factors: a gap behind all that belongs to one digit of the second, if the first writes that in
/// one piece.
template <class T>
VectorTile<RealOf<T>> with_gaps(VectorTile<RealOf<T>> tile, const FactorShape& first, const FactorShape& second) {
  if (first.out * first.inner == second.inner) tile.group = second.inner, tile.gap = Lanes<T>::count;
  return tile;
}

struct GroupTileScratch;

/// Two nested factors, one group of the second one's outer digit after the other: what is between them stays in a cache
/// that could not hold it for all groups. Groups are shared among threads as blocks are in apply_factor. While one is
/// at work, the vectors of the next one are asked for, if they are far and few enough to wait in the second-level
/// cache.
template <class T, class R = RealOf<T>>
void apply_nested_factors(std::span<const FactorShape, 2> factors, const T* const* weights, VectorTile<const R> x,
                          VectorTile<R> y, Index width) {
  const Index groups = factors[1].outer;
  const FactorShape first = group_of(factors[0], groups), second = group_of(factors[1], groups);
  const Index products = width * groups * (first.weight_count() + second.weight_count());
  const int threads = products > parallel_products ? available_threads() : 1;
  const bool ahead =
      narrow_machine() && x.far && first.in_size() * width * static_cast<Index>(sizeof(R)) <= second_level_cache / 8;
  parallel_parts(threads, threads, [&](Index part) {
    VectorTile<R> between = tile_in<T>(static_cast<R*>(nullptr), width);
    between.data = thread_scratch<GroupTileScratch, R>(second.in_size() * (between.stride + Lanes<T>::count));
    between = with_gaps<T>(between, first, second);
    for (Index o = part_begin(groups, part, threads); o < part_begin(groups, part + 1, threads); ++o) {
      LinesAhead<R> soon;
      if (ahead && o + 1 < groups)
        soon = {x.feature((o + 1) * first.in_size()), x.stride, width, first.in_size(), Soon::read};
      LinesAhead<R>* const asked = ahead ? &soon : nullptr;
      apply_factor<T>(first, weights[0] + o * first.weight_count(), x.from_feature(o * first.in_size()), between, width,
                      asked);
      apply_factor<T, R>(second, weights[1] + o * second.weight_count(), between, y.from_feature(o * second.out_size()),
                         width, asked);
    }
  });
}

struct MonarchScratch;

template <class T, class S>
void multiply_tile(const MonarchCall<T>& call, std::span<const S* const> weights, Vectors<const T> x, Vectors<T> y,
                   Index batch, bool far, bool streamed) {
  using R = RealOf<T>;
  const std::size_t count = call.factors.size();
  const Index width = padded_batch<S>(batch);
  const Index size = tile_buffer_size<S>(call, width);
  R* buffer = thread_scratch<MonarchScratch, R>(2 * size);
  VectorTile<R> next = tile_in<S>(buffer, width), other = tile_in<S>(buffer + size, width);
  VectorTile<const R> from = next;
  const bool read_in_place = direct(x, batch, call.in_features == call.padded_in());
  const bool write_in_place = direct(y, batch, call.out_features == call.padded_out());
  if constexpr (Scalar<T>) {
    if (read_in_place) from = {x.data, x.feature_stride, 0, 1, 0, far};
  }
  if (!read_in_place) {
    load_vectors<T, R>(x, next, call.in_features, call.padded_in(), batch, width);
    std::swap(next, other);
  }
  for (std::size_t f = 0, last = 0; f < count; f = last + 1) {
    // Threads that share this tile share its groups, if there are enough.
    const bool pair = f + 1 < count && nested(call.factors[f], call.factors[f + 1]) &&
                      call.factors[f + 1].outer >= available_threads();
    last = f + (pair ? 1 : 0);
    VectorTile<R> to = last + 1 < count ? with_gaps<S>(next, call.factors[last], call.factors[last + 1]) : next;
    to.streamed = last + 1 < count && tiles_stream<S>(call.widest, width);
    if constexpr (Scalar<T>) {
      if (last + 1 == count && write_in_place) to = {y.data, y.feature_stride, 0, 1, 0, far, streamed};
    }
    if (pair) {
      apply_nested_factors<S, R>(call.factors.subspan(f).template first<2>(), &weights[f], from, to, width);
    } else {
      apply_factor<S>(call.factors[f], weights[f], from, to, width);
    }
    from = to;
    std::swap(next, other);
  }
  if (!write_in_place) store_vectors<T, R>(from, y, call.out_features, batch);
}

struct VectorScratch;
struct DigitScratch;

/// A few vectors, one after the other: their lanes would be mostly empty.
template <Scalar T>
void multiply_few(const MonarchCall<T>& call, Vectors<const T> x, Vectors<T> y) {
  T* buffer = thread_scratch<VectorScratch, T>(2 * call.widest * call.batch);
  Vectors<T> next{buffer, 1, call.widest}, other{buffer + call.widest * call.batch, 1, call.widest};
  Vectors<const T> from = x;
  const auto as_input = [](Vectors<T> v) { return Vectors<const T>{v.data, v.feature_stride, v.batch_stride}; };
  if (call.in_features < call.padded_in()) {
    for (Index b = 0; b < call.batch; ++b) {
      T* to = next.at(b).data;
      for (Index f = 0; f < call.in_features; ++f) to[f] = x.at(b).data[f * x.feature_stride];
      std::fill(to + call.in_features, to + call.padded_in(), T{0});
    }
    from = as_input(next);
    std::swap(next, other);
  }
  for (std::size_t a = 0; a < call.factors.size(); ++a) {
    const FactorShape& f = call.factors[a];
    const bool last = a + 1 == call.factors.size(), cut = call.out_features < call.padded_out();
    const Vectors<T> to = last && !cut ? y : next;
    const Index step = f.inner * from.feature_stride;
    const int threads = call.batch * f.weight_count() > parallel_products ? available_threads() : 1;
    parallel_parts(threads, threads, [&](Index part) {
      T* gathered = thread_scratch<DigitScratch, T>(f.in);
      for (Index block = part_begin(f.blocks(), part, threads); block < part_begin(f.blocks(), part + 1, threads);
           ++block) {
        const Index o = block / f.inner, i = block % f.inner;
        for (Index b = 0; b < call.batch; ++b) {
          const T* digits = from.at(b).data + (o * f.in * f.inner + i) * from.feature_stride;
          for (Index d = 0; step != 1 && d < f.in; ++d) gathered[d] = digits[d * step];
          block_times_vector<T>(
              {call.weights[a] + block * f.out * f.in, f.out, f.in, f.in, 1}, step == 1 ? digits : gathered,
              to.at(b).data + (o * f.out * f.inner + i) * to.feature_stride, f.inner * to.feature_stride);
        }
      }
    });
    from = as_input(to);
    std::swap(next, other);
  }
  if (call.out_features == call.padded_out()) return;
  for (Index b = 0; b < call.batch; ++b)
    for (Index f = 0; f < call.out_features; ++f) y.at(b).data[f * y.feature_stride] = from.at(b).data[f];
}

struct WeightScratch;

/// The weights in the type that sums are held in: 16-bit ones are converted once a call, others are used as they are.
template <class T, class F>
void with_sum_weights(const MonarchCall<T>& call, F&& f) {
  if constexpr (SixteenBit<T>) {
    float* converted = thread_scratch<WeightScratch, float>(call.weight_count);
    const float** weights = thread_scratch<WeightScratch, const float*>(static_cast<Index>(call.factors.size()));
    for (std::size_t a = 0; a < call.factors.size(); ++a) {
      weights[a] = converted;
      for (Index i = 0; i < call.factors[a].weight_count(); ++i) *converted++ = static_cast<float>(call.weights[a][i]);
    }
    f(std::span<const float* const>(weights, call.factors.size()));
  } else {
    f(call.weights);
  }
}

struct PackedScratch;

/// y = M x.
template <class T>
void cpu_monarch_multiply(const MonarchCall<T>& call, const Vectors<const T>& x, const Vectors<T>& y) {
  using S = SumOf<T>;
  if (call.batch == 0) return;
  if constexpr (Scalar<T>) {
    if (x.feature_stride == 1 && y.feature_stride == 1 && packable<T>(call.factors) && rows_pay(call)) {
      const T* packed = call.packed;
      if (packed == nullptr && packing_pays(call)) {
        T* memory = thread_scratch<PackedScratch, T>(packed_size<T>(call.factors));
        pack_weights(call, memory);
        packed = memory;
      }
      if (packed != nullptr) return multiply_rows(call, packed, {x.data, x.batch_stride}, {y.data, y.batch_stride});
    }
  }
  if constexpr (Scalar<T>) {
    if (call.batch <= Lanes<T>::count / 4) return multiply_few(call, x, y);
  }
  const int threads = call.batch * call.widest >= Index{1} << 13 ? available_threads() : 1;
  const bool in_place = x.batch_stride == 1 && y.batch_stride == 1;
  const Index tile = tile_size<S>(call.widest, call.batch, threads, least_tile(call), in_place);
  const Index tiles = (call.batch + tile - 1) / tile;
  const bool far = vectors_are_far(call);
  bool streamed = false;
  if constexpr (Scalar<T>) streamed = streams(y.data, y.feature_stride, call.out_features * call.batch, tile_columns);
  with_sum_weights(call, [&](std::span<const S* const> weights) {
    parallel_parts(tiles, tiles >= threads ? threads : 1, [&](Index t) {
      const Index begin = t * tile;
      multiply_tile<T, S>(call, weights, x.at(begin), y.at(begin), std::min(tile, call.batch - begin), far, streamed);
    });
  });
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
