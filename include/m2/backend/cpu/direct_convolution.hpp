#pragma once

#include <algorithm>

#include "m2/backend/cpu/dft_stages.hpp"
#include "m2/backend/cpu/lanes.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The same tile operations as CpuDftConvolution by direct summation, with one kernel for both signals: for short
/// sequences, and causal to the last bit. A kernel is its lags, positions() = 2 length - 1 of them in circular order.
template <class T>
class CpuDirectConvolution {
  using V = Lanes<T>;
  static constexpr Index lanes = V::count;
  static constexpr int tile = 6;  // outputs at a time: 2 rows x 6 sums stay in 16 registers

 public:
  static constexpr bool two_kernels = false;

  CpuDirectConvolution() = default;
  CpuDirectConvolution(Index length, bool bidirectional) : length_(length), bidirectional_(bidirectional) {}

  M2_INLINE Index positions() const { return 2 * length_ - 1; }
  Index kernel_elements() const { return (positions() + tile) * lanes; }  // sums beyond the end read, and drop, a tile
  Index work_elements() const { return 0; }

  void prepare(TileRows<const T> lags, const T* at_zero, bool, T* kernel, const RowsAhead<T>&) const {
    std::copy_n(lags.data[0], positions() * lanes, kernel);
    (V::load(kernel) + V::load(at_zero)).store(kernel);
  }

  void convolve(const T* kernel, TileRows<const T> in, TileRows<T> out, T*, const RowsAhead<T>&) const {
    for (Index begin = 0; begin < length_; begin += tile) sum_tile<false>(kernel, in, out, begin);
  }

  void correlate(const T* kernel, TileRows<const T> x, TileRows<const T> dy, TileRows<T> dx, T* gradient, bool first,
                 T*, const RowsAhead<T>&) const {
    if (first) std::fill_n(gradient, kernel_elements(), T{});
    for (Index begin = 0; begin < length_; begin += tile) sum_tile<true>(kernel, dy, dx, begin);
    for (Index lag = 0; lag < length_; lag += tile) gradient_tile(x, dy, lag, gradient + lag * lanes, lanes);
    if (!bidirectional_) return;
    for (Index lag = 1; lag < length_; lag += tile)
      gradient_tile(dy, x, lag, gradient + (positions() - lag) * lanes, -lanes);
  }

  void finish(T* gradient, bool causal, TileRows<T> lags, const RowsAhead<T>&) const {
    std::copy_n(gradient, (causal ? length_ : positions()) * lanes, lags.data[0]);
  }

 private:
  /// The kernel at lag t - s, at s - t if Transposed.
  template <bool Transposed>
  M2_INLINE V lag(const T* kernel, Index t_minus_s) const {
    const Index at = Transposed ? -t_minus_s : t_minus_s;
    return V::load(kernel + (at < 0 ? at + positions() : at) * lanes);
  }

  /// Outputs [begin, begin + tile): the part of the past, the triangle at the diagonal, the part of the future. Lags
  /// that the kernel has not are skipped rather than multiplied by zero.
  template <bool Transposed>
  M2_REGISTER_LOOP void sum_tile(const T* kernel, TileRows<const T> in, TileRows<T> out, Index begin) const {
    const bool past = !Transposed || bidirectional_, future = Transposed || bidirectional_;
    V first[tile], second[tile];
    M2_UNROLL for (int i = 0; i < tile; ++i) first[i] = V::zero(), second[i] = V::zero();
    const Index end = begin + tile < length_ ? begin + tile : length_;
    for (Index s = 0; past && s < begin; ++s) {
      const V a = V::load(in.data[0] + s * in.stride[0]), b = V::load(in.data[1] + s * in.stride[1]);
      const Index offset = Transposed ? s - begin + positions() : begin - s;
      M2_UNROLL for (int i = 0; i < tile; ++i) {
        const V k = V::load(kernel + (Transposed ? offset - i : offset + i) * lanes);
        first[i] = add_product(first[i], a, k), second[i] = add_product(second[i], b, k);
      }
    }
    M2_UNROLL for (int j = 0; j < tile; ++j) {
      if (begin + j >= end) break;
      const V a = V::load(in.data[0] + (begin + j) * in.stride[0]),
              b = V::load(in.data[1] + (begin + j) * in.stride[1]);
      M2_UNROLL for (int i = 0; i < tile; ++i) {
        if (!((past && i >= j) || (future && i <= j)) || begin + i >= end) continue;
        const V k = lag<Transposed>(kernel, i - j);
        first[i] = add_product(first[i], a, k), second[i] = add_product(second[i], b, k);
      }
    }
    for (Index s = end; future && s < length_; ++s) {
      const V a = V::load(in.data[0] + s * in.stride[0]), b = V::load(in.data[1] + s * in.stride[1]);
      const Index offset = Transposed ? s - begin : begin - s + positions();
      M2_UNROLL for (int i = 0; i < tile; ++i) {
        const V k = V::load(kernel + (Transposed ? offset - i : offset + i) * lanes);
        first[i] = add_product(first[i], a, k), second[i] = add_product(second[i], b, k);
      }
    }
    M2_UNROLL for (int i = 0; i < tile; ++i) {
      if (begin + i >= end) break;
      first[i].store(out.data[0] + (begin + i) * out.stride[0]);
      second[i].store(out.data[1] + (begin + i) * out.stride[1]);
    }
  }

  /// gradient[i * gradient_stride] += sum_t late[t] early[t - lag - i], for lags [lag, lag + tile) below length.
  void gradient_tile(TileRows<const T> early, TileRows<const T> late, Index lag, T* gradient,
                     Index gradient_stride) const {
    V total[tile];
    M2_UNROLL for (int i = 0; i < tile; ++i) total[i] = V::zero();
    M2_UNROLL for (int j = 0; j < tile - 1; ++j) {  // the first times, where lags above lag + j reach before the start
      const Index t = lag + j;
      if (t >= length_) break;
      const V a = V::load(late.data[0] + t * late.stride[0]), b = V::load(late.data[1] + t * late.stride[1]);
      M2_UNROLL for (int i = 0; i <= j; ++i) {
        const V x = V::load(early.data[0] + (j - i) * early.stride[0]);
        const V y = V::load(early.data[1] + (j - i) * early.stride[1]);
        total[i] = add_product(add_product(total[i], a, x), b, y);
      }
    }
    for (Index t = lag + tile - 1; t < length_; ++t) {
      const V a = V::load(late.data[0] + t * late.stride[0]), b = V::load(late.data[1] + t * late.stride[1]);
      M2_UNROLL for (int i = 0; i < tile; ++i) {
        const V x = V::load(early.data[0] + (t - lag - i) * early.stride[0]);
        const V y = V::load(early.data[1] + (t - lag - i) * early.stride[1]);
        total[i] = add_product(add_product(total[i], a, x), b, y);
      }
    }
    M2_UNROLL for (int i = 0; i < tile; ++i) {
      if (lag + i >= length_) break;
      T* const to = gradient + i * gradient_stride;
      (V::load(to) + total[i]).store(to);
    }
  }

  Index length_ = 0;
  bool bidirectional_ = false;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
