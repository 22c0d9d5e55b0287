#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "m2/backend/cpu/monarch.hpp"
#include "m2/backend/cpu/row_vjp.hpp"

/// The VJP of the Monarch multiply on the CPU, on the tiles of the multiply.
namespace m2::detail::inline M2_INSTRUCTION_SET {

struct GradientScratch;

/// Sums of the weight gradients of one factor: row e of a block starts at data + (block * out + e) * planes * pitch,
/// digit d at offset d, so that inputs lie along the lanes; behind the inputs is padding. Complex sums are conjugated.
template <class R>
struct GradientSums {
  R* data;
  Index pitch;
};

/// Where each part of a VJP sums its weight gradients. The first part of a call with real weights in whole registers
/// does so in the caller's memory, all others in memory of their own.
template <class T>
class PartialGradients {
  using S = SumOf<T>;
  using R = RealOf<T>;
  static constexpr Index lanes = Lanes<S>::count, planes = planes_of<T>;

 public:
  PartialGradients(std::span<const FactorShape> factors, std::span<T* const> dweights, Index parts)
      : factors_(factors), dweights_(dweights), parts_(parts) {
    for (const FactorShape& f : factors) total_ += size(f);
    own_ = thread_scratch<GradientScratch, R>(total_ * parts);
    for (Index part = 0; part < parts; ++part)
      for (std::size_t f = 0; f < factors.size(); ++f)
        if (!in_place(part, factors[f])) std::fill_n(of(part, f).data, size(factors[f]), R{0});
  }

  GradientSums<R> of(Index part, std::size_t factor) const {
    const Index pitch = padded(factors_[factor].in);
    if constexpr (Scalar<T>) {
      if (in_place(part, factors_[factor])) return {dweights_[factor], pitch};
    }
    Index offset = part * total_;
    for (std::size_t f = 0; f < factor; ++f) offset += size(factors_[f]);
    return {own_ + offset, pitch};
  }

  /// Adds up what the parts have summed, in their order: the result depends on the number of parts, never on timing.
  void finish() const {
    for (std::size_t f = 0; f < factors_.size(); ++f) {
      const FactorShape& shape = factors_[f];
      const Index rows = shape.blocks() * shape.out, pitch = padded(shape.in) * planes;
      const int threads = rows * shape.in > parallel_products ? available_threads() : 1;
      parallel_parts(threads, threads, [&](Index thread) {
        for (Index part = in_place(0, shape) ? 1 : 0; part < parts_; ++part)
          for (Index row = part_begin(rows, thread, threads); row < part_begin(rows, thread + 1, threads); ++row)
            add_row(of(part, f).data + row * pitch, dweights_[f] + row * shape.in, shape.in);
      });
    }
  }

 private:
  static Index padded(Index in) { return (in + lanes - 1) / lanes * lanes; }
  static Index size(const FactorShape& f) { return f.blocks() * f.out * padded(f.in) * planes; }
  static bool in_place(Index part, const FactorShape& f) { return Scalar<T> && part == 0 && f.in % lanes == 0; }
  static void add_row(const R* sums, T* to, Index in) {
    for (Index d = 0; d < in; ++d) {
      if constexpr (planes == 2) {
        to[d] += T(sums[d], -sums[padded(in) + d]);
      } else {
        to[d] = static_cast<T>(static_cast<R>(to[d]) + sums[d]);
      }
    }
  }

  std::span<const FactorShape> factors_;
  std::span<T* const> dweights_;
  Index parts_, total_ = 0;
  R* own_ = nullptr;
};

/// What is read after the products at hand: it is prefetched into the second-level cache, a part before each register
/// tile. All of it at once would stop the products until memory has answered. Whole rows at a time: asked for by
/// LinesAhead, which may stop within a row, the VJP loses 3% with the batch contiguous.
template <class T, class R = RealOf<T>>
class ReadAhead {
 public:
  /// Rows of so many numbers.
  explicit ReadAhead(Index row) : row_(row) {}
  void add(const R* data, Index stride, Index rows) { parts_[count_++] = {data, stride, rows}; }
  void add(BlockVectors<const R> vectors, Index digits) {
    add(vectors.data, vectors.stride, digits);
    if constexpr (planes_of<T> == 2) add(vectors.data + vectors.plane, vectors.stride, digits);
  }

  // Answers what block_product asks of NextBlock.
  static constexpr bool weights = false;
  ReadAhead& after_panel(Index, Index, Index) { return *this; }
  template <class... Tile>
  Index before_tile(const Tile&...) {
    constexpr Index line = 64 / static_cast<Index>(sizeof(R)), lines = lines_beside_gradient;
    for (Index asked = 0; asked < lines && at_ < count_; asked += (row_ + line - 1) / line) {
      Rows& part = parts_[at_];
      for (Index i = 0; i < row_; i += line) prefetch_far(part.data + i);
      part.data += part.stride;
      if (--part.rows == 0) ++at_;
    }
    return 0;
  }

 private:
  struct Rows {
    const R* data;
    Index stride, rows;
  };
  Rows parts_[5] = {};
  Index row_, count_ = 0, at_ = 0;
};

struct TurnedScratch;

/// Vectors whose products with a block are computed at once: x turned takes half of the first-level cache, if those are
/// enough terms for a tile of the weight gradients to be worth its stores.
template <class R>
Index gradient_vectors(Index turned_row) {
  constexpr Index least = 64, bytes = Index{1} << 14;
  return std::max(least, bytes / static_cast<Index>(sizeof(R)) / turned_row / least * least);
}

/// One factor, all its blocks: dx = W^T g, and dW += g x^T, a few vectors of a block at a time, in the first-level
/// cache. x is turned, so that its digits are contiguous. If `gather`, vectors of g are brought together first: both
/// products read them several times, and in the caller's memory they may lie a power of two apart. If `far`, what comes
/// next is prefetched. dx may take the place of x.
template <class T, class R = RealOf<T>>
void factor_vjp(const FactorShape& f, const T* weights, VectorTile<const R> x, VectorTile<const R> g, VectorTile<R> dx,
                GradientSums<R> sums, Index width, bool gather, bool far) {
  constexpr Index planes = planes_of<T>;
  const int threads = width * f.weight_count() > parallel_products ? available_threads() : 1;
  const Index turned_row = planes * sums.pitch, most = std::min(gradient_vectors<R>(turned_row), width),
              block_size = f.out * f.in;
  parallel_parts(threads, threads, [&](Index part) {
    R* turned = thread_scratch<TurnedScratch, R>(most * (turned_row + f.out * planes));
    R* gathered = turned + most * turned_row;
    if (f.in < sums.pitch) std::fill_n(turned, most * turned_row, R{0});
    const BlockVectors<const R> together{gathered, planes * most, most};
    BlockProducts<T> product({weights, f.in, f.out, 1, f.in}, gather ? together : block_of(g, 0, 0, f.out, f.inner),
                             block_of(dx, 0, 0, f.in, f.inner));
    const Index end = part_begin(f.blocks(), part + 1, threads);
    for (Index block = part_begin(f.blocks(), part, threads); block < end; ++block) {
      const auto vectors_of = [&](VectorTile<const R> tile, Index of_block, Index digits) {
        return block_of(tile, of_block / f.inner, of_block % f.inner, digits, f.inner);
      };
      const auto inputs = vectors_of(x, block, f.in), gradients = vectors_of(g, block, f.out);
      const auto results = block_of(dx, block / f.inner, block % f.inner, f.in, f.inner);
      const T* const matrix = weights + block * block_size;
      for (Index b = 0; b < width; b += most) {
        const Index vectors = std::min(most, width - b);
        ReadAhead<T> next(vectors);
        if (far && b + vectors < width) {
          next.add(gradients.at(b + vectors), f.out);
          next.add(inputs.at(b + vectors), f.in);
        } else if (far && block + 1 < end) {
          next.add(vectors_of(g, block + 1, f.out), f.out);
          next.add(vectors_of(x, block + 1, f.in), f.in);
          next.add(reinterpret_cast<const R*>(matrix + block_size), vectors,
                   (block_size * planes + vectors - 1) / vectors);
        }
        const auto from = inputs.at(b);
        for (Index p = 0; p < planes; ++p)
          transpose(from.data + p * from.plane, from.stride, f.in, vectors, turned + p * sums.pitch, turned_row);
        auto gradient = gradients.at(b);
        if (gather) {
          for (Index e = 0; e < f.out; ++e)
            for (Index p = 0; p < planes; ++p)
              std::copy_n(gradient.data + e * gradient.stride + p * gradient.plane, vectors,
                          gathered + (e * planes + p) * most);
          gradient = together;
        }
        accumulate_products<T, widest_columns<T>>(
            f.out, sums.pitch, vectors, {gradient.data, 1, gradient.stride, gradient.plane},
            {turned, turned_row, 0, sums.pitch},
            {sums.data + block * f.out * turned_row, turned_row, 0, sums.pitch, far && b == 0},
            [&] { next.before_tile(); });
        product(matrix, gradient.data, results.data + b, vectors, next);
      }
    }
    if (dx.streamed) finish_streams();
  });
}

/// One tile of the VJP: the inputs of all factors are computed again, which costs less than keeping them in memory. The
/// gradient of an input takes its place. The caller's vectors are used where they lie, if `direct` allows it.
template <class T, class S, class R = RealOf<T>>
void multiply_vjp_tile(const MonarchCall<T>& call, std::span<const S* const> weights, Vectors<const T> x,
                       Vectors<const T> dy, Vectors<T> dx, const PartialGradients<T>& sums, Index part, Index batch,
                       bool far, bool streamed) {
  const auto count = call.factors.size();
  const Index width = padded_batch<S>(batch), size = tile_buffer_size<S>(call, width);
  R* memory = thread_scratch<MonarchScratch, R>((static_cast<Index>(count) + 1) * size);
  const auto buffer = [&](std::size_t f) {
    const VectorTile<R> tile = tile_in<S>(memory + static_cast<Index>(f) * size, width);
    return f > 0 && f < count ? with_gaps<S>(tile, call.factors[f - 1], call.factors[f]) : tile;
  };
  const bool whole = call.in_features == call.padded_in();
  const bool read_in_place = direct(x, batch, whole), write_in_place = direct(dx, batch, whole);
  const bool gradient_in_place = direct(dy, batch, call.out_features == call.padded_out());
  VectorTile<const R> first = buffer(0), gradient = buffer(count);
  VectorTile<R> last = buffer(0);
  if constexpr (Scalar<T>) {
    if (read_in_place) first = {x.data, x.feature_stride, 0};
    if (gradient_in_place) gradient = {dy.data, dy.feature_stride, 0};
    if (write_in_place) last = {dx.data, dx.feature_stride, 0, 1, 0, far, streamed};
  }
  const auto input = [&](std::size_t f) -> VectorTile<const R> { return f == 0 ? first : buffer(f); };
  if (!read_in_place) load_vectors<T, R>(x, buffer(0), call.in_features, call.padded_in(), batch, width);
  for (std::size_t f = 0; f + 1 < count; ++f)
    apply_factor<S, R>(call.factors[f], weights[f], input(f), buffer(f + 1), width);
  // Complex: conjugated gradients need no conjugated weights. conj(dx) = W^T conj(dy), conj(dW) = conj(dy) x^T.
  const auto conjugate_tile = [&](VectorTile<R> tile, Index features) {
    if constexpr (planes_of<T> == 2) {
      for (Index f = 0; f < features; ++f)
        for (Index b = 0; b < width; ++b) tile.feature(f)[tile.plane + b] = -tile.feature(f)[tile.plane + b];
    }
  };
  if (!gradient_in_place) {
    load_vectors<T, R>(dy, buffer(count), call.out_features, call.padded_out(), batch, width);
    conjugate_tile(buffer(count), call.padded_out());
  }
  for (std::size_t f = count; f-- > 0;) {
    const VectorTile<R> to = f == 0 ? last : buffer(f);
    factor_vjp<S, R>(call.factors[f], weights[f], input(f), gradient, to, sums.of(part, f), width,
                     f + 1 == count && gradient_in_place, far);
    gradient = to;
  }
  if (write_in_place) return;
  conjugate_tile(last, call.in_features);
  store_vectors<T, R>(gradient, dx, call.in_features, batch);
}

/// dx overwritten, dweights accumulated.
template <class T>
void cpu_monarch_multiply_vjp(const MonarchCall<T>& call, Vectors<const T> x, Vectors<const T> dy, Vectors<T> dx,
                              std::span<T* const> dweights) {
  using S = SumOf<T>;
  if (call.batch == 0) return;
  if constexpr (Scalar<T> && row_vjp_tiles) {
    const bool rows = x.feature_stride == 1 && dy.feature_stride == 1 && dx.feature_stride == 1;
    if (rows && transposes_packable<T>(call.factors) && row_vjp_pays(call))
      return multiply_vjp_rows<T>(call, {x.data, x.batch_stride}, {dy.data, dy.batch_stride},
                                  {dx.data, dx.batch_stride}, dweights);
  }
  const int available = call.batch * call.widest >= Index{1} << 13 ? available_threads() : 1;
  const bool in_place = x.batch_stride == 1 && dy.batch_stride == 1;
  const Index tile = tile_size<S>(call.widest, call.batch, available, least_width<S>, in_place);
  const Index tiles = (call.batch + tile - 1) / tile;
  const int threads = tiles >= available ? available : 1;
  const bool far = vectors_are_far(call);
  bool streamed = false;
  if constexpr (Scalar<T>)
    streamed = streams(dx.data, dx.feature_stride, call.in_features * call.batch, tile_columns, streamed_gradient);
  const PartialGradients<T> sums(call.factors, dweights, threads);
  with_sum_weights(call, [&](std::span<const S* const> weights) {
    parallel_parts(threads, threads, [&](Index part) {
      for (Index t = part_begin(tiles, part, threads); t < part_begin(tiles, part + 1, threads); ++t) {
        const Index begin = t * tile;
        multiply_vjp_tile<T, S>(call, weights, x.at(begin), dy.at(begin), dx.at(begin), sums, part,
                                std::min(tile, call.batch - begin), far, streamed);
      }
    });
  });
  sums.finish();
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
