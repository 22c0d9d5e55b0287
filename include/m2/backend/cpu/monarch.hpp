#pragma once

#include <algorithm>
#include <span>

#include "m2/backend/cpu/gemm.hpp"
#include "m2/backend/cpu/loops.hpp"
#include "m2/backend/cpu/scratch.hpp"
#include "m2/core/factor_shape.hpp"

/// The Monarch multiply on the CPU. The batch is cut into tiles that stay in cache through all factors; in a tile the
/// batch is contiguous, so that every block of every factor is one Eigen product whose strides are the permutation. A
/// tile is read from and written to the caller's memory directly where a product can do it, and transposed on the way
/// otherwise.
namespace m2::detail {

/// A tile of vectors: element (feature, vector) at data[feature * feature_stride + vector * batch_stride].
template <class T>
struct Tile {
  T* data;
  Index feature_stride, batch_stride;

  Tile at(Index vector) const { return {data + vector * batch_stride, feature_stride, batch_stride}; }
};

/// The vectors of block (o, i) of a factor, as a (digit x batch) matrix.
template <class T>
StridedMatrix<T> block_of(Tile<T> tile, Index o, Index i, Index digits, Index inner, Index batch) {
  return {tile.data + (o * digits * inner + i) * tile.feature_stride, digits, batch, inner * tile.feature_stride,
          tile.batch_stride};
}

template <class T>
void apply_factor(const FactorShape& f, const T* weights, Tile<const T> x, Tile<T> y, Index batch) {
  const int threads = batch * f.weight_count() > 50000 ? available_threads() : 1;
  parallel_parts(f.blocks(), threads, [&](Index block) {
    const Index o = block / f.inner, i = block % f.inner;
    gemm_single<T>({weights + block * f.out * f.in, f.out, f.in, f.in, 1}, block_of(x, o, i, f.in, f.inner, batch),
                   block_of(y, o, i, f.out, f.inner, batch), false);
  });
}

/// dx = W^T dy and dw += dy x^T, block by block.
template <class T>
void apply_factor_vjp(const FactorShape& f, const T* weights, Tile<const T> x, Tile<const T> dy, Tile<T> dx, T* dw,
                      Index batch) {
  const int threads = batch * f.weight_count() > 50000 ? available_threads() : 1;
  parallel_parts(f.blocks(), threads, [&](Index block) {
    const Index o = block / f.inner, i = block % f.inner;
    const auto g = block_of(dy, o, i, f.out, f.inner, batch);
    const StridedMatrix<const T> w{weights + block * f.out * f.in, f.out, f.in, f.in, 1};
    gemm_single<T>(g, block_of(x, o, i, f.in, f.inner, batch).transposed(),
                   {dw + block * f.out * f.in, f.out, f.in, f.in, 1}, true);
    gemm_single<T>(w.transposed(), g, block_of(dx, o, i, f.in, f.inner, batch), false);
  });
}

/// Copies `features` features of a tile and zeroes the features above, up to `padded`. It goes by squares through a small
/// buffer: reads and writes both run along their own contiguous dimension, where a plain transposition would touch one
/// element of many cache lines at a time, all of one cache set when the stride is a power of two.
template <class T>
void copy_tile(Tile<const T> from, Tile<T> to, Index features, Index padded, Index batch) {
  constexpr Index side = 16;
  T square[side * side];  // (feature, vector)
  for (Index f0 = 0; f0 < features; f0 += side) {
    const Index fs = std::min(side, features - f0);
    for (Index b0 = 0; b0 < batch; b0 += side) {
      const Index bs = std::min(side, batch - b0);
      const T* in = from.data + f0 * from.feature_stride + b0 * from.batch_stride;
      T* out = to.data + f0 * to.feature_stride + b0 * to.batch_stride;
      if (from.batch_stride == 1) {
        for (Index f = 0; f < fs; ++f) std::copy_n(in + f * from.feature_stride, bs, square + f * side);
      } else {
        for (Index b = 0; b < bs; ++b)
          for (Index f = 0; f < fs; ++f) square[f * side + b] = in[f * from.feature_stride + b * from.batch_stride];
      }
      if (to.batch_stride == 1) {
        for (Index f = 0; f < fs; ++f) std::copy_n(square + f * side, bs, out + f * to.feature_stride);
      } else {
        for (Index b = 0; b < bs; ++b)
          for (Index f = 0; f < fs; ++f) out[f * to.feature_stride + b * to.batch_stride] = square[f * side + b];
      }
    }
  }
  for (Index f = features; f < padded; ++f)
    for (Index b = 0; b < batch; ++b) to.data[f * to.feature_stride + b * to.batch_stride] = T{0};
}

/// A product can read or write a block in place if one of its strides is 1.
template <class T>
bool direct(Tile<T> tile, Index inner) {
  return tile.batch_stride == 1 || (tile.feature_stride == 1 && inner == 1);
}

struct MonarchScratch;

/// Vectors to a tile: two buffers of the widest vector in 3/4 of a 1 MiB second-level cache, but at least 64, since a
/// tile reads all weights, and at most 256. Fewer when that lets every thread have a tile.
template <class T>
Index tile_size(const MonarchCall<T>& call, int threads) {
  const Index cache = Index{3} << 18;
  Index tile = std::clamp<Index>(cache / (2 * call.widest * static_cast<Index>(sizeof(T))) / 16 * 16, 64, 256);
  const Index share = (call.batch + threads - 1) / threads;
  if (share < tile && share >= 32) tile = (share + 15) / 16 * 16;
  return std::min(tile, call.batch);
}

template <class T>
void multiply_tile(const MonarchCall<T>& call, Tile<const T> x, Tile<T> y, Index batch, Index tile) {
  const Index count = static_cast<Index>(call.factors.size());
  T* buffer = thread_scratch<MonarchScratch, T>(2 * call.widest * tile);
  const Tile<T> ping{buffer, batch, 1}, pong{buffer + call.widest * tile, batch, 1};
  Tile<const T> from = x;
  Tile<T> next = ping, other = pong;
  if (call.in_features < call.padded_in() || !direct(x, call.factors.front().inner)) {
    copy_tile<T>(x, next, call.in_features, call.padded_in(), batch);
    from = {next.data, next.feature_stride, 1};
    std::swap(next, other);
  }
  const bool direct_out = call.out_features == call.padded_out() && direct(y, call.factors.back().inner);
  for (Index f = 0; f < count; ++f) {
    const auto at = static_cast<std::size_t>(f);
    const Tile<T> to = f + 1 == count && direct_out ? y : next;
    apply_factor<T>(call.factors[at], call.weights[at], from, to, batch);
    from = {to.data, to.feature_stride, to.batch_stride};
    std::swap(next, other);
  }
  if (!direct_out) copy_tile<T>(from, y, call.out_features, call.out_features, batch);
}

template <class T>
void cpu_monarch_multiply(const MonarchCall<T>& call, Tile<const T> x, Tile<T> y) {
  if (call.batch == 0) return;
  const int threads = call.batch * call.widest >= Index{1} << 13 ? available_threads() : 1;
  const Index tile = tile_size(call, threads), tiles = (call.batch + tile - 1) / tile;
  parallel_parts(tiles, tiles >= threads ? threads : 1, [&](Index t) {
    const Index begin = t * tile;
    multiply_tile(call, x.at(begin), y.at(begin), std::min(tile, call.batch - begin), tile);
  });
}

struct MonarchGradientScratch;

/// Where each part of a VJP sums its weight gradients: part 0 in the caller's memory, the others in memory of their
/// own.
template <class T>
struct PartialGradients {
  std::span<const FactorShape> factors;
  std::span<T* const> dweights;
  T* own;
  Index total;

  T* of(Index part, std::size_t factor) const {
    if (part == 0) return dweights[factor];
    Index offset = (part - 1) * total;
    for (std::size_t f = 0; f < factor; ++f) offset += factors[f].weight_count();
    return own + offset;
  }
};

/// One tile of the VJP: the inputs of all factors are computed again, which costs less than keeping them in memory.
template <class T>
void multiply_vjp_tile(const MonarchCall<T>& call, Tile<const T> x, Tile<const T> dy, Tile<T> dx,
                       const PartialGradients<T>& sums, Index part, Index batch, Index tile) {
  const auto count = call.factors.size();
  const Index step = call.widest * tile;
  T* buffer = thread_scratch<MonarchScratch, T>((static_cast<Index>(count) + 2) * step);
  const auto input = [&](std::size_t f) { return Tile<T>{buffer + static_cast<Index>(f) * step, batch, 1}; };
  const auto read = [](Tile<T> t) { return Tile<const T>{t.data, t.feature_stride, t.batch_stride}; };
  copy_tile<T>(x, input(0), call.in_features, call.padded_in(), batch);
  for (std::size_t f = 0; f + 1 < count; ++f)
    apply_factor<T>(call.factors[f], call.weights[f], read(input(f)), input(f + 1), batch);
  Tile<T> gradient = input(count), other = input(count + 1);
  copy_tile<T>(dy, gradient, call.out_features, call.padded_out(), batch);
  for (std::size_t f = count; f-- > 0;) {
    apply_factor_vjp<T>(call.factors[f], call.weights[f], read(input(f)), read(gradient), other, sums.of(part, f),
                        batch);
    std::swap(gradient, other);
  }
  copy_tile<T>(read(gradient), dx, call.in_features, call.in_features, batch);
}

/// dx overwritten, dweights accumulated. Partial sums are added in a fixed order: the result depends on the number of
/// threads, never on their timing.
template <class T>
void cpu_monarch_multiply_vjp(const MonarchCall<T>& call, Tile<const T> x, Tile<const T> dy, Tile<T> dx,
                              std::span<T* const> dweights) {
  if (call.batch == 0) return;
  const int available = call.batch * call.widest >= Index{1} << 13 ? available_threads() : 1;
  const Index tile = tile_size(call, available), tiles = (call.batch + tile - 1) / tile;
  const int threads = tiles >= available ? available : 1;
  PartialGradients<T> sums{call.factors, dweights, nullptr, 0};
  for (const FactorShape& f : call.factors) sums.total += f.weight_count();
  sums.own = thread_scratch<MonarchGradientScratch, T>(sums.total * (threads - 1));
  std::fill_n(sums.own, sums.total * (threads - 1), T{0});
  parallel_parts(threads, threads, [&](Index part) {
    for (Index t = tiles * part / threads; t < tiles * (part + 1) / threads; ++t) {
      const Index begin = t * tile;
      multiply_vjp_tile(call, x.at(begin), dy.at(begin), dx.at(begin), sums, part, std::min(tile, call.batch - begin),
                        tile);
    }
  });
  for (Index part = 1; part < threads; ++part)
    for (std::size_t f = 0; f < call.factors.size(); ++f)
      cpu_for_each(call.factors[f].weight_count(),
                   [out = dweights[f], in = sums.of(part, f)](Index i) { out[i] += in[i]; });
}

}  // namespace m2::detail
