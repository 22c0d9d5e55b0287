#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "m2/backend/cpu/monarch.hpp"
#include "m2/backend/cpu/row_vjp.hpp"

/// The VJP of the Monarch multiply on the CPU, on the tiles of the multiply.
namespace m2::detail {

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
          for (Index row = rows * thread / threads; row < rows * (thread + 1) / threads; ++row)
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

struct TurnedScratch;

/// One factor, all its blocks: dx = W^T g, and dW += g x^T. The vectors of g are brought together first: both products
/// read them several times, and in the tile they may lie a power of two apart. x is turned, so that its digits are
/// contiguous.
template <class T, class R = RealOf<T>>
void factor_vjp(const FactorShape& f, const T* weights, VectorTile<const R> x, VectorTile<const R> g, VectorTile<R> dx,
                GradientSums<R> sums, Index width) {
  constexpr Index lanes = Lanes<T>::count, planes = planes_of<T>;
  const int threads = width * f.weight_count() > parallel_products ? available_threads() : 1;
  const Index plane = width + lanes, turned_row = planes * sums.pitch;
  parallel_parts(threads, threads, [&](Index part) {
    R* turned = thread_scratch<TurnedScratch, R>(width * turned_row + f.out * planes * plane);
    R* gathered = turned + width * turned_row;
    for (Index block = f.blocks() * part / threads; block < f.blocks() * (part + 1) / threads; ++block) {
      const Index o = block / f.inner, i = block % f.inner;
      const auto from = block_of(x, o, i, f.in, f.inner), gradient = block_of(g, o, i, f.out, f.inner);
      for (Index p = 0; p < planes; ++p) {
        transpose(from.data + p * from.plane, from.stride, f.in, width, turned + p * sums.pitch, turned_row);
        for (Index b = 0; b < width; ++b)
          std::fill(turned + b * turned_row + p * sums.pitch + f.in, turned + b * turned_row + (p + 1) * sums.pitch,
                    R{0});
        for (Index e = 0; e < f.out; ++e)
          std::copy_n(gradient.data + e * gradient.stride + p * gradient.plane, width,
                      gathered + (e * planes + p) * plane);
      }
      const BlockVectors<const R> both{gathered, planes * plane, plane};
      accumulate_products<T>(f.out, sums.pitch, width, {both.data, 1, both.stride, plane},
                             {turned, turned_row, 0, sums.pitch},
                             {sums.data + block * f.out * turned_row, turned_row, 0, sums.pitch});
      const BlockWeights<T> transposed{weights + block * f.out * f.in, f.in, f.out, 1, f.in};
      block_product(transposed, both, block_of(dx, o, i, f.in, f.inner), width, {0, 0});
    }
  });
}

/// One tile of the VJP: the inputs of all factors are computed again, which costs less than keeping them in memory.
template <class T, class S, class R = RealOf<T>>
void multiply_vjp_tile(const MonarchCall<T>& call, std::span<const S* const> weights, Vectors<const T> x,
                       Vectors<const T> dy, Vectors<T> dx, const PartialGradients<T>& sums, Index part, Index batch) {
  const auto count = call.factors.size();
  const Index width = padded_batch<S>(batch), size = tile_buffer_size<S>(call, width);
  R* buffer = thread_scratch<MonarchScratch, R>((static_cast<Index>(count) + 2) * size);
  const auto input = [&](std::size_t f) {
    const VectorTile<R> tile = tile_in<S>(buffer + static_cast<Index>(f) * size, width);
    return f > 0 && f < count ? with_gaps<S>(tile, call.factors[f - 1], call.factors[f]) : tile;
  };
  load_vectors<T, R>(x, input(0), call.in_features, call.padded_in(), batch, width);
  for (std::size_t f = 0; f + 1 < count; ++f)
    apply_factor<S, R>(call.factors[f], weights[f], input(f), input(f + 1), width);
  VectorTile<R> gradient = input(count), other = input(count + 1);
  load_vectors<T, R>(dy, gradient, call.out_features, call.padded_out(), batch, width);
  // Complex: conjugated gradients need no conjugated weights. conj(dx) = W^T conj(dy), conj(dW) = conj(dy) x^T.
  const auto conjugate_tile = [&](VectorTile<R> tile, Index features) {
    if constexpr (planes_of<T> == 2) {
      for (Index f = 0; f < features; ++f)
        for (Index b = 0; b < width; ++b) tile.feature(f)[tile.plane + b] = -tile.feature(f)[tile.plane + b];
    }
  };
  conjugate_tile(gradient, call.padded_out());
  for (std::size_t f = count; f-- > 0;) {
    factor_vjp<S, R>(call.factors[f], weights[f], input(f), gradient, other, sums.of(part, f), width);
    std::swap(gradient, other);
  }
  conjugate_tile(gradient, call.in_features);
  store_vectors<T, R>(gradient, dx, call.in_features, batch);
}

/// dx overwritten, dweights accumulated.
template <class T>
void cpu_monarch_multiply_vjp(const MonarchCall<T>& call, Vectors<const T> x, Vectors<const T> dy, Vectors<T> dx,
                              std::span<T* const> dweights) {
  using S = SumOf<T>;
  if (call.batch == 0) return;
  if constexpr (Scalar<T>) {
    const bool rows = x.feature_stride == 1 && dy.feature_stride == 1 && dx.feature_stride == 1;
    if (rows && transposes_packable<T>(call.factors) && row_vjp_pays(call))
      return multiply_vjp_rows<T>(call, {x.data, x.batch_stride}, {dy.data, dy.batch_stride},
                                  {dx.data, dx.batch_stride}, dweights);
  }
  const int available = call.batch * call.widest >= Index{1} << 13 ? available_threads() : 1;
  const Index tile = tile_size<S>(call.widest, call.batch, available), tiles = (call.batch + tile - 1) / tile;
  const int threads = tiles >= available ? available : 1;
  const PartialGradients<T> sums(call.factors, dweights, threads);
  with_sum_weights(call, [&](std::span<const S* const> weights) {
    parallel_parts(threads, threads, [&](Index part) {
      for (Index t = tiles * part / threads; t < tiles * (part + 1) / threads; ++t) {
        const Index begin = t * tile;
        multiply_vjp_tile<T, S>(call, weights, x.at(begin), dy.at(begin), dx.at(begin), sums, part,
                                std::min(tile, call.batch - begin));
      }
    });
  });
  sums.finish();
}

}  // namespace m2::detail
