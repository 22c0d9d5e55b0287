#pragma once

#include <algorithm>
#include <type_traits>

#include "m2/backend/cpu/dft_stages.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Circular convolution of size M of two real signals, each with a kernel of its own, by the DFT as a Monarch product.
/// The signals are the real and the imaginary part of one complex signal z = a + i b, and so are the kernels. Their
/// spectra are taken apart where the product needs them, from frequency e and its mirror -e:
///
///   2 A_e = Z_e + conj Z_{-e},   2 i B_e = Z_e - conj Z_{-e}.
///
/// The stages leave frequencies in digit-reversed order, in which the mirror of a whole block is a block: so blocks are
/// worked on in pairs, one pair after the other (remaining stages, product, inverse stages), in the first-level cache.
/// The last stage, the product and the first inverse stage are one pass.
///
/// A prepared kernel holds A at position e and B at its mirror; where a frequency is its own mirror both are real, and
/// are the two parts of one number. So does a gradient.
template <class T>
class CpuDftConvolution : private CpuDftStages<T> {
  using Stages = CpuDftStages<T>;
  using Stages::lanes, Stages::step, Stages::size_, Stages::stages_;
  using typename Stages::V;
  template <int R>
  using Registers = typename Stages::template Registers<R, false>;

 public:
  static constexpr bool two_kernels = true;  ///< of the two signals of a call

  CpuDftConvolution() = default;
  CpuDftConvolution(const DftPlan& plan, Index length) : Stages(plan), length_(length) {}

  /// Positions of a staged kernel: lag t >= 0 at position t, lag -t at position positions() - t.
  Index positions() const { return size_; }
  Index kernel_elements() const { return size_ * step; }
  Index work_elements() const { return 2 * size_ * step; }

  /// kernel = the spectra of two kernels, ready for the product, from their lags and from what to add at lag 0, one
  /// register for each. Lags at length and beyond are zero and not read if causal. Like all that follow, it meanwhile
  /// asks for the rows of `next`, which come next.
  void prepare(TileRows<const T> lags, const T* at_zero, bool causal, T* kernel, const RowsAhead<T>& next) const {
    causal ? this->template load<true>(lags, length_, kernel) : this->template load<false>(lags, size_, kernel);
    const T scale = T{1} / static_cast<T>(size_);
    Ahead ahead{next, length_};
    each_pair<true, false>(kernel, Separate{scale, V::load(at_zero) * scale, V::load(at_zero + lanes) * scale}, ahead);
  }

  /// out = the signals convolved with the kernels.
  void convolve(const T* kernel, TileRows<const T> in, TileRows<T> out, T* work, const RowsAhead<T>& next) const {
    this->template load<true>(in, length_, work);
    Ahead ahead{next, length_};
    each_pair<true, true>(work, Convolve{kernel}, ahead);
    this->template store<true>(work, out, length_);
  }

  /// dx = dy correlated with the kernels; gradient (kernel_elements) = conj(DFT(x)) DFT(dy) if it is the first, added
  /// to it otherwise.
  void correlate(const T* kernel, TileRows<const T> x, TileRows<const T> dy, TileRows<T> dx, T* gradient, bool first,
                 T* work, const RowsAhead<T>& next) const {
    T* const other = first ? gradient : work + size_ * step;  // a first gradient replaces DFT(x) in place
    this->template load<true>(x, length_, other);
    this->template load<true>(dy, length_, work);
    Ahead ahead{next, length_};
    each_pair<true, true>(work, Correlate{kernel, other, gradient, first}, ahead);
    this->template store<true>(work, dx, length_);
  }

  /// lags = the gradients of the two kernels from the sum of their spectra, which is overwritten. If causal, only lags
  /// >= 0 are written.
  void finish(T* gradient, bool causal, TileRows<T> lags, const RowsAhead<T>& next) const {
    const T scale = T{1} / static_cast<T>(size_);
    Ahead ahead{next, length_};
    each_pair<false, true>(gradient, Combine{scale}, ahead);
    causal ? this->template store<true>(gradient, lags, length_) : this->template store<false>(gradient, lags, size_);
  }

 private:
  /// Products of a pair of mirror frequencies, at elements p and q of the arrays, and of one that is its own mirror.
  struct Pair {
    V &re, &im, &mirror_re, &mirror_im;

    /// (2 A, 2 B), or from them the pair A + i B and conj A + i conj B.
    M2_INLINE void take_apart() const {
      const V ar = re + mirror_re, ai = im - mirror_im, br = im + mirror_im, bi = mirror_re - re;
      re = ar, im = ai, mirror_re = br, mirror_im = bi;
    }
    M2_INLINE void put_together() const {
      const V ar = re, ai = im, br = mirror_re, bi = mirror_im;
      re = ar - bi, im = ai + br, mirror_re = ar + bi, mirror_im = br - ai;
    }
  };

  static M2_INLINE V real_at(const T* data) { return V::load(data); }
  static M2_INLINE V imaginary_at(const T* data) { return V::load(data + lanes); }

  struct Separate {
    T scale;
    V first, second;  // spectra of what is added at lag 0: the same real number at every frequency
    M2_INLINE void pair(Pair z, Index, Index) const {
      z.take_apart();
      const T quarter = scale / 4, half = T{1} / 2;  // 2 A here, and 2 A again in the product
      z.re = add_scaled(first * half, z.re, quarter), z.im = z.im * quarter;
      z.mirror_re = add_scaled(second * half, z.mirror_re, quarter), z.mirror_im = z.mirror_im * quarter;
    }
    M2_INLINE void alone(V& re, V& im, Index) const {
      re = add_scaled(first, re, scale), im = add_scaled(second, im, scale);
    }
  };

  /// Rows that are asked for a few at a time between blocks: a tile's rows lie far apart in memory, which can deliver
  /// only so many lines at once; asked for together, in the stage that reads them, they keep it waiting.
  struct Ahead {
    RowsAhead<T> next;
    Index left;

    M2_INLINE void ask(Index count) {
      const Index now = std::min(left, count);
      left -= now;
      for (int i = 0; i < next.count; ++i) {
        TileRows<const T>& rows = next.rows[i];
        for (Index end = now; end > 0; --end) {
          prefetch_far(rows.data[0]);
          prefetch_far(rows.data[1]);
          rows.data[0] += rows.stride[0], rows.data[1] += rows.stride[1];
        }
      }
    }
  };

  struct Convolve {
    const T* kernel;
    static M2_INLINE void multiply(V& re, V& im, const T* k) {
      const V kr = real_at(k), ki = imaginary_at(k), r = re;
      re = subtract_product(r * kr, im, ki), im = add_product(im * kr, r, ki);
    }
    M2_INLINE void pair(Pair z, Index p, Index q) const {
      z.take_apart();
      multiply(z.re, z.im, kernel + p);
      multiply(z.mirror_re, z.mirror_im, kernel + q);
      z.put_together();
    }
    M2_INLINE void alone(V& re, V& im, Index p) const {
      re = re * real_at(kernel + p), im = im * imaginary_at(kernel + p);
    }
  };

  struct Correlate {
    const T* kernel;
    T *other, *gradient;
    bool first;
    M2_INLINE V before(const T* g) const { return first ? V::zero() : V::load(g); }
    /// gradient += conj(x) dy, or = if it is the first; dy *= conj(kernel)
    M2_INLINE void multiply(V xr, V xi, V& re, V& im, const T* k, T* g) const {
      add_product(add_product(before(g), xr, re), xi, im).store(g);
      subtract_product(add_product(before(g + lanes), xr, im), xi, re).store(g + lanes);
      const V kr = real_at(k), ki = imaginary_at(k), r = re;
      re = add_product(r * kr, im, ki), im = subtract_product(im * kr, r, ki);
    }
    M2_INLINE void pair(Pair z, Index p, Index q) const {
      V xr = real_at(other + p), xi = imaginary_at(other + p), yr = real_at(other + q), yi = imaginary_at(other + q);
      Pair{xr, xi, yr, yi}.take_apart();
      z.take_apart();
      multiply(xr, xi, z.re, z.im, kernel + p, gradient + p);
      multiply(yr, yi, z.mirror_re, z.mirror_im, kernel + q, gradient + q);
      z.put_together();
    }
    M2_INLINE void alone(V& re, V& im, Index p) const {
      add_product(before(gradient + p), real_at(other + p), re).store(gradient + p);
      add_product(before(gradient + p + lanes), imaginary_at(other + p), im).store(gradient + p + lanes);
      re = re * real_at(kernel + p), im = im * imaginary_at(kernel + p);
    }
  };

  struct Combine {
    T scale;
    M2_INLINE void pair(Pair z, Index, Index) const {
      const T quarter = scale / 4;  // conj(2 X) 2 dY
      z.re = z.re * quarter, z.im = z.im * quarter;
      z.mirror_re = z.mirror_re * quarter, z.mirror_im = z.mirror_im * quarter;
      z.put_together();
    }
    M2_INLINE void alone(V& re, V& im, Index) const { re = re * scale, im = im * scale; }
  };

  /// What the blocks of a pair are to one another: the same one with first frequency 0; the same one with a first
  /// frequency of half the number of blocks; two whose first frequencies are mirrors.
  enum class Mirror { zero, half, other };

  /// Calls two(i, j) for the pairs of children, or digits, that are mirrors, one(i) for those that mirror themselves;
  /// with Mirror::other, i belongs to the first block and j to the second.
  template <class Two, class One>
  static M2_INLINE void mirrors(Mirror mirror, int radix, Two&& two, One&& one) {
    if (mirror == Mirror::other) {
      M2_UNROLL for (int e = 0; e < radix; ++e) two(e, radix - 1 - e);
    } else if (mirror == Mirror::zero) {
      one(0, Mirror::zero);
      M2_UNROLL for (int e = 1; e < radix - e; ++e) two(e, radix - e);
      if (radix % 2 == 0) one(radix / 2, Mirror::half);
    } else {
      M2_UNROLL for (int e = 0; e < radix - 1 - e; ++e) two(e, radix - 1 - e);
      if (radix % 2 == 1) one(radix / 2, Mirror::half);
    }
  }

  /// The last stage and the first inverse stage of one block. They are always inlined, as is the product: numbers must
  /// stay in registers.
  template <int R, bool Forward>
  static M2_INLINE void read_block(Registers<R>& x, const T* data, const T* w) {
    x.read(data, step);
    if constexpr (Forward) twiddle<R>(w, x.re, x.im), butterfly<T, R>(x.re, x.im);
  }
  template <int R, bool Inverse>
  static M2_INLINE void write_block(Registers<R>& x, T* data, const T* w) {
    if constexpr (Inverse) butterfly<T, R>(x.im, x.re), twiddle<R>(w, x.im, x.re);
    x.write(data, step);
  }

  template <int R, bool Forward, bool Inverse, class Product>
  static void last_stage_of_two(Index a, const T* wa, Index b, const T* wb, T* data, Product product) {
    Registers<R> x, y;
    read_block<R, Forward>(x, data + a, wa);
    read_block<R, Forward>(y, data + b, wb);
    M2_UNROLL for (int e = 0; e < R; ++e) {
      const int m = R - 1 - e;
      product.pair({x.re[e], x.im[e], y.re[m], y.im[m]}, a + e * step, b + m * step);
    }
    write_block<R, Inverse>(y, data + b, wb);
    write_block<R, Inverse>(x, data + a, wa);
  }
  template <int R, bool Forward, bool Inverse, class Product>
  static void last_stage_of_one(Index at, const T* w, Mirror mirror, T* data, Product product) {
    Registers<R> x;
    read_block<R, Forward>(x, data + at, w);
    mirrors(
        mirror, R,
        [&](int e, int m) {
          product.pair({x.re[e], x.im[e], x.re[m], x.im[m]}, at + e * step, at + m * step);
        },
        [&](int e, Mirror) { product.alone(x.re[e], x.im[e], at + e * step); });
    write_block<R, Inverse>(x, data + at, w);
  }

  template <bool Forward, bool Inverse, class Product>
  void block_pair(std::size_t level, Index a, Index b, Mirror mirror, T* data, const Product& product,
                  Ahead& ahead) const {
    const DftStage& stage = stages_[level];
    const bool two = mirror == Mirror::other;
    if constexpr (std::is_same_v<Product, Correlate>) {  // a second spectrum, wanted where it is still in cache
      this->forward_block(stage, a, product.other);
      if (two) this->forward_block(stage, b, product.other);
    }
    if (this->is_last(level)) {
      ahead.ask(two ? stage.radix : stage.radix / 2);
      return with_radix(stage.radix, [&](auto radix) {
        constexpr Index size = radix() * step;
        const T *const wa = this->block_twiddles(stage, a), *const wb = this->block_twiddles(stage, b);
        mirror == Mirror::other
            ? last_stage_of_two<radix(), Forward, Inverse>(a * size, wa, b * size, wb, data, product)
            : last_stage_of_one<radix(), Forward, Inverse>(a * size, wa, mirror, data, product);
      });
    }
    if (Forward) this->forward_block(stage, a, data);
    if (Forward && two) this->forward_block(stage, b, data);
    children<Forward, Inverse>(level + 1, stage.radix, a, b, mirror, data, product, ahead);
    if (Inverse) this->inverse_block(stage, a, data);
    if (Inverse && two) this->inverse_block(stage, b, data);
  }

  template <bool Forward, bool Inverse, class Product>
  void children(std::size_t level, int radix, Index a, Index b, Mirror mirror, T* data, const Product& product,
                Ahead& ahead) const {
    mirrors(
        mirror, radix,
        [&](int e, int m) {
          block_pair<Forward, Inverse>(level, a * radix + e, b * radix + m, Mirror::other, data, product, ahead);
        },
        [&](int e, Mirror own) {
          block_pair<Forward, Inverse>(level, a * radix + e, a * radix + e, own, data, product, ahead);
        });
  }

  /// The product of every pair of mirror frequencies, after the forward stages and before the inverse ones.
  template <bool Forward, bool Inverse, class Product>
  void each_pair(T* data, const Product& product, Ahead& ahead) const {
    children<Forward, Inverse>(1, stages_[0].radix, 0, 0, Mirror::zero, data, product, ahead);
  }

  Index length_ = 0;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
