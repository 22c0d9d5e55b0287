#pragma once

#include <algorithm>
#include <span>

#include "m2/backend/cpu/block_product.hpp"
#include "m2/backend/cpu/gemm.hpp"
#include "m2/backend/cpu/loops.hpp"
#include "m2/backend/cpu/scratch.hpp"
#include "m2/backend/cpu/transpose.hpp"
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

struct PanelScratch;

/// y = W x for every block of a factor; with Transposed, y = W^T x, so that in and out change places. Blocks are shared
/// among threads unless the caller's tile already belongs to one of them.
template <bool Transposed, class T>
void apply_factor(const FactorShape& f, const T* weights, Tile<const T> x, Tile<T> y, Index batch) {
  constexpr Index lanes = Lanes<T>::count;
  const Index in = Transposed ? f.out : f.in, out = Transposed ? f.in : f.out;
  const int threads = batch * f.weight_count() > 50000 ? available_threads() : 1;
  parallel_parts(f.blocks(), threads, [&](Index block) {
    const Index o = block / f.inner, i = block % f.inner;
    const T* w = weights + block * f.out * f.in;
    const BlockWeights<T> matrix{w, out, in, Transposed ? 1 : f.in, Transposed ? f.in : 1};
    const auto from = block_of(x, o, i, in, f.inner, batch);
    const auto to = block_of(y, o, i, out, f.inner, batch);
    T* panel = thread_scratch<PanelScratch, T>(2 * lanes * in);
    if (batch % lanes == 0 && from.col_stride == 1 && to.col_stride == 1) {
      block_product(matrix, from.data, from.row_stride, to.data, to.row_stride, batch, panel);
    } else if (batch <= lanes / 4 && !Transposed) {
      for (Index b = 0; b < batch; ++b) {
        for (Index d = 0; d < in; ++d) panel[d] = from.data[d * from.row_stride + b * from.col_stride];
        block_times_vector(matrix, panel, to.data + b * to.col_stride, to.row_stride);
      }
    } else {
      gemm_single<T>({w, out, in, matrix.row_stride, matrix.column_stride}, from, to, false);
    }
  });
}

/// dw += dy x^T, block by block.
template <class T>
void accumulate_weight_gradients(const FactorShape& f, Tile<const T> x, Tile<const T> dy, T* dw, Index batch) {
  const int threads = batch * f.weight_count() > 50000 ? available_threads() : 1;
  parallel_parts(f.blocks(), threads, [&](Index block) {
    const Index o = block / f.inner, i = block % f.inner;
    gemm_single<T>(block_of(dy, o, i, f.out, f.inner, batch), block_of(x, o, i, f.in, f.inner, batch).transposed(),
                   {dw + block * f.out * f.in, f.out, f.in, f.in, 1}, true);
  });
}

/// Copies `features` features of `batch` vectors, and zeroes the features above and the vectors behind them up to
/// `padded` and `padded_batch`. Reads and writes both run along their own contiguous dimension: where a stride is a
/// power of two, a plain transposition would touch one element each of many cache lines that all belong to one cache
/// set.
template <class T>
void copy_tile(Tile<const T> from, Tile<T> to, Index features, Index padded, Index batch, Index padded_batch) {
  if (from.feature_stride == 1 && to.batch_stride == 1) {
    transpose(from.data, from.batch_stride, batch, features, to.data, to.feature_stride);
  } else if (from.batch_stride == 1 && to.feature_stride == 1) {
    transpose(from.data, from.feature_stride, features, batch, to.data, to.batch_stride);
  } else {
    for (Index f = 0; f < features; ++f)
      for (Index b = 0; b < batch; ++b)
        to.data[f * to.feature_stride + b * to.batch_stride] =
            from.data[f * from.feature_stride + b * from.batch_stride];
  }
  for (Index f = 0; f < padded; ++f)
    for (Index b = f < features ? batch : 0; b < padded_batch; ++b)
      to.data[f * to.feature_stride + b * to.batch_stride] = T{0};
}

struct MonarchScratch;

/// Vectors to a tile: two buffers of the widest vector in 3/4 of a 1 MiB second-level cache, but at least 64, since a
/// tile reads all weights, and at most 256. Fewer when that lets every thread have a tile.
template <class T>
Index tile_size(const MonarchCall<T>& call, int threads) {
  const Index cache = Index{3} << 18;
  Index tile = std::clamp<Index>(cache / (2 * call.widest * static_cast<Index>(sizeof(T))) / 32 * 32, 64, 256);
  const Index share = (call.batch + threads - 1) / threads;
  if (share < tile && share >= 32) tile = (share + 31) / 32 * 32;
  return std::min(tile, call.batch);
}

/// Vectors of a tile in a buffer: rounded up to whole registers, unless there are so few that one by one is better.
template <class T>
Index padded_batch(Index batch) {
  constexpr Index lanes = Lanes<T>::count;
  return batch <= lanes / 4 ? batch : (batch + lanes - 1) / lanes * lanes;
}

/// Factors can work in the caller's memory if the batch is contiguous there and fills whole registers, or is tiny.
template <class T>
bool direct(Tile<T> tile, Index batch) {
  return padded_batch<std::remove_const_t<T>>(batch) == batch &&
         (tile.batch_stride == 1 || batch <= Lanes<std::remove_const_t<T>>::count / 4);
}

template <class T>
void multiply_tile(const MonarchCall<T>& call, Tile<const T> x, Tile<T> y, Index batch) {
  const Index count = static_cast<Index>(call.factors.size()), width = padded_batch<T>(batch);
  T* buffer = thread_scratch<MonarchScratch, T>(2 * call.widest * width);
  Tile<T> next{buffer, width, 1}, other{buffer + call.widest * width, width, 1};
  Tile<const T> from = x;
  if (call.in_features < call.padded_in() || !direct(x, batch)) {
    copy_tile<T>(x, next, call.in_features, call.padded_in(), batch, width);
    from = {next.data, width, 1};
    std::swap(next, other);
  }
  const bool direct_out = call.out_features == call.padded_out() && direct(y, batch);
  for (Index f = 0; f < count; ++f) {
    const auto at = static_cast<std::size_t>(f);
    const Tile<T> to = f + 1 == count && direct_out ? y : next;
    apply_factor<false, T>(call.factors[at], call.weights[at], from, to, width);
    from = {to.data, to.feature_stride, to.batch_stride};
    std::swap(next, other);
  }
  if (!direct_out) copy_tile<T>(from, y, call.out_features, call.out_features, batch, batch);
}

template <class T>
void cpu_monarch_multiply(const MonarchCall<T>& call, Tile<const T> x, Tile<T> y) {
  if (call.batch == 0) return;
  const int threads = call.batch * call.widest >= Index{1} << 13 ? available_threads() : 1;
  const Index tile = tile_size(call, threads), tiles = (call.batch + tile - 1) / tile;
  parallel_parts(tiles, tiles >= threads ? threads : 1, [&](Index t) {
    const Index begin = t * tile;
    multiply_tile(call, x.at(begin), y.at(begin), std::min(tile, call.batch - begin));
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
                       const PartialGradients<T>& sums, Index part, Index batch) {
  const auto count = call.factors.size();
  const Index width = padded_batch<T>(batch), step = call.widest * width;
  T* buffer = thread_scratch<MonarchScratch, T>((static_cast<Index>(count) + 2) * step);
  const auto input = [&](std::size_t f) { return Tile<T>{buffer + static_cast<Index>(f) * step, width, 1}; };
  const auto read = [](Tile<T> t) { return Tile<const T>{t.data, t.feature_stride, t.batch_stride}; };
  copy_tile<T>(x, input(0), call.in_features, call.padded_in(), batch, width);
  for (std::size_t f = 0; f + 1 < count; ++f)
    apply_factor<false, T>(call.factors[f], call.weights[f], read(input(f)), input(f + 1), width);
  Tile<T> gradient = input(count), other = input(count + 1);
  copy_tile<T>(dy, gradient, call.out_features, call.padded_out(), batch, width);
  for (std::size_t f = count; f-- > 0;) {
    accumulate_weight_gradients<T>(call.factors[f], read(input(f)), read(gradient), sums.of(part, f), width);
    apply_factor<true, T>(call.factors[f], call.weights[f], read(gradient), other, width);
    std::swap(gradient, other);
  }
  copy_tile<T>(read(gradient), dx, call.in_features, call.in_features, batch, batch);
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
      multiply_vjp_tile(call, x.at(begin), dy.at(begin), dx.at(begin), sums, part, std::min(tile, call.batch - begin));
    }
  });
  for (Index part = 1; part < threads; ++part)
    for (std::size_t f = 0; f < call.factors.size(); ++f)
      cpu_for_each(call.factors[f].weight_count(),
                   [out = dweights[f], in = sums.of(part, f)](Index i) { out[i] += in[i]; });
}

}  // namespace m2::detail
