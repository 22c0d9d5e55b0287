#pragma once

#include <algorithm>
#include <vector>

#include "m2/backend/cpu/lanes.hpp"
#include "m2/core/butterfly.hpp"
#include "m2/core/dft_plan.hpp"

namespace m2::detail {

/// Two rows of a sequence for one register of channels: position t of row r is at data[r] + t * stride[r]. An absent
/// second row has stride 0 and points at one register of zeros (inputs) or of scratch (outputs).
template <class T>
struct TileRows {
  T* data[2];
  Index stride[2];
};

/// Circular convolution of size M of a tile (two rows of one register of channels, packed as one complex signal) by the
/// DFT as a Monarch product. A signal is M positions of two registers, real and imaginary parts.
///
/// Stages act in place on ever smaller blocks, so that after a stage its blocks are independent: the whole chain
/// (remaining stages, product of spectra, inverse stages) runs on one block after the other, each in the first-level
/// cache. The first stage reads the rows and the last inverse stage writes them; zero padding is neither stored nor
/// read. The last stage, the product and the first inverse stage are one pass.
template <class T>
class CpuDftConvolution {
  using V = Lanes<T>;
  static constexpr Index lanes = V::count, step = 2 * lanes;

 public:
  CpuDftConvolution() = default;
  CpuDftConvolution(const DftPlan& plan, Index length)
      : size_(plan.size), length_(length), stages_(plan.stages), twiddles_(plan.twiddles.begin(), plan.twiddles.end()) {
    if (stages_.size() == 1) stages_.push_back({1, 1, size_, 0});  // the fused last stage needs a stage of its own
  }

  /// Positions of a staged kernel: lag t >= 0 at position t, lag -t at position positions() - t.
  Index positions() const { return size_; }
  Index kernel_elements() const { return size_ * step; }
  Index work_elements() const { return 2 * size_ * step; }

  /// kernel = DFT(lags) / M, lags (positions, lanes). Lags at length and beyond are zero and not read if causal.
  void prepare(const T* lags, bool causal, T* kernel, T*) const {
    const TileRows<const T> rows{{lags, zeros()}, {lanes, 0}};
    if (causal) {
      load<true>(rows, length_, kernel);
    } else {
      load<false>(rows, size_, kernel);
    }
    transform(1, 0, stages_[0].radix, kernel);
    const T scale = T{1} / static_cast<T>(size_);
    for (Index at = 0; at < size_ * step; at += lanes) (V::load(kernel + at) * scale).store(kernel + at);
  }

  /// out = rows convolved with the kernel.
  void convolve(const T* kernel, TileRows<const T> in, TileRows<T> out, T* work) const {
    load<true>(in, length_, work);
    convolve_blocks(1, 0, stages_[0].radix, kernel, work);
    store(work, out, length_);
  }

  /// dx = dy correlated with the kernel; gradient (kernel_elements) += conj(DFT(x)) DFT(dy).
  void correlate(const T* kernel, TileRows<const T> x, TileRows<const T> dy, TileRows<T> dx, T* gradient,
                 T* work) const {
    T* const other = work + size_ * step;
    load<true>(x, length_, other);
    load<true>(dy, length_, work);
    correlate_blocks(1, 0, stages_[0].radix, kernel, gradient, other, work);
    store(work, dx, length_);
  }

  /// lags (positions, lanes) = the kernel gradient whose sum of spectra is `gradient`, which is overwritten. If causal,
  /// only lags >= 0 are written.
  void finish(T* gradient, bool causal, T* lags) const {
    inverse_transform(1, 0, stages_[0].radix, gradient);
    T scratch[static_cast<std::size_t>(lanes)];
    const Index count = causal ? length_ : size_;
    store(gradient, TileRows<T>{{lags, scratch}, {lanes, 0}}, count);
    const T scale = T{1} / static_cast<T>(size_);
    for (Index at = 0; at < count * lanes; at += lanes) (V::load(lags + at) * scale).store(lags + at);
  }

  static const T* zeros() {
    alignas(64) static constexpr T values[static_cast<std::size_t>(lanes)] = {};
    return values;
  }

 private:
  /// The addresses of one butterfly: digit j at data + j * stride. The inverse reads the real part as imaginary.
  template <int R, bool Inverse>
  struct Registers {
    V re[std::size_t{R}], im[std::size_t{R}];
    static constexpr Index re_at = Inverse ? lanes : 0, im_at = Inverse ? 0 : lanes;

    M2_INLINE void read(const T* data, Index stride) {
      M2_UNROLL for (int j = 0; j < R; ++j) {
        re[j] = V::load(data + j * stride + re_at);
        im[j] = V::load(data + j * stride + im_at);
      }
    }
    M2_INLINE void write(T* data, Index stride) const {
      M2_UNROLL for (int j = 0; j < R; ++j) {
        re[j].store(data + j * stride + re_at);
        im[j].store(data + j * stride + im_at);
      }
    }
  };

  const T* block_twiddles(const DftStage& stage, Index block) const {
    return twiddles_.data() + 2 * (stage.twiddles + block * (stage.radix - 1));
  }

  template <int R>
  static void forward_block(const T* w, Index inner, T* data) {
    for (Index i = 0; i < inner; ++i, data += step) {
      Registers<R, false> x;
      x.read(data, inner * step);
      twiddle<R>(w, x.re, x.im);
      butterfly<T, R>(x.re, x.im);
      x.write(data, inner * step);
    }
  }

  template <int R>
  static void inverse_block(const T* w, Index inner, T* data) {
    for (Index i = 0; i < inner; ++i, data += step) {
      Registers<R, true> x;
      x.read(data, inner * step);
      butterfly<T, R>(x.re, x.im);
      twiddle<R>(w, x.re, x.im);
      x.write(data, inner * step);
    }
  }

  void forward_block(const DftStage& stage, Index block, T* data) const {
    const T* const w = block_twiddles(stage, block);
    with_radix(stage.radix, [&](auto radix) {
      forward_block<radix()>(w, stage.inner, data + block * stage.inner * radix() * step);
    });
  }
  void inverse_block(const DftStage& stage, Index block, T* data) const {
    const T* const w = block_twiddles(stage, block);
    with_radix(stage.radix, [&](auto radix) {
      inverse_block<radix()>(w, stage.inner, data + block * stage.inner * radix() * step);
    });
  }

  /// The first stage: reads positions [0, length) of the rows, the rest is zero. With Half, that is at most the first
  /// half of an even transform size.
  template <int R, bool Half>
  static void load_stage(TileRows<const T> in, Index length, Index inner, T* data) {
    constexpr int digits = Half ? R / 2 : R;
    for (Index i = 0; i < inner; ++i, data += step) {
      Registers<R, false> x;
      M2_UNROLL for (int j = 0; j < digits; ++j) {
        const Index t = j * inner + i;
        x.re[j] = t < length ? V::load(in.data[0] + t * in.stride[0]) : V::zero();
        x.im[j] = t < length ? V::load(in.data[1] + t * in.stride[1]) : V::zero();
      }
      butterfly<T, R, Half>(x.re, x.im);
      x.write(data, inner * step);
    }
  }
  template <bool HalfIfEven>
  void load(TileRows<const T> in, Index length, T* data) const {
    with_radix(stages_[0].radix, [&](auto radix) {
      load_stage<radix(), HalfIfEven && radix() % 2 == 0>(in, length, stages_[0].inner, data);
    });
  }

  /// The last inverse stage: writes positions [0, length) to the rows.
  template <int R>
  static void store_stage(const T* data, TileRows<T> out, Index length, Index inner) {
    for (Index i = 0; i < inner; ++i, data += step) {
      Registers<R, true> x;
      x.read(data, inner * step);
      butterfly<T, R>(x.re, x.im);
      M2_UNROLL for (int j = 0; j < R; ++j) {
        const Index t = j * inner + i;
        if (t >= length) break;
        x.im[j].store(out.data[0] + t * out.stride[0]);
        x.re[j].store(out.data[1] + t * out.stride[1]);
      }
    }
  }
  void store(const T* data, TileRows<T> out, Index length) const {
    with_radix(stages_[0].radix, [&](auto radix) { store_stage<radix()>(data, out, length, stages_[0].inner); });
  }

  /// The last stage, the product with the kernel's spectrum and the first inverse stage of blocks [first, first +
  /// count).
  template <int R>
  static void convolve_last(const T* w, Index count, const T* kernel, T* data) {
    for (; count > 0; --count, w += 2 * (R - 1), kernel += R * step, data += R * step) {
      Registers<R, false> x;
      Registers<R, true> z;
      x.read(data, step);
      twiddle<R>(w, x.re, x.im);
      butterfly<T, R>(x.re, x.im);
      M2_UNROLL for (int e = 0; e < R; ++e) {
        const V kr = V::load(kernel + e * step), ki = V::load(kernel + e * step + lanes);
        z.im[e] = subtract_product(x.re[e] * kr, x.im[e], ki);
        z.re[e] = add_product(x.im[e] * kr, x.re[e], ki);
      }
      butterfly<T, R>(z.re, z.im);
      twiddle<R>(w, z.re, z.im);
      z.write(data, step);
    }
  }

  template <int R>
  static void correlate_last(const T* w, Index count, const T* kernel, T* gradient, const T* other, T* data) {
    for (; count > 0; --count, w += 2 * (R - 1)) {
      Registers<R, false> u, x;
      Registers<R, true> z;
      u.read(other, step);
      twiddle<R>(w, u.re, u.im);
      butterfly<T, R>(u.re, u.im);
      x.read(data, step);
      twiddle<R>(w, x.re, x.im);
      butterfly<T, R>(x.re, x.im);
      M2_UNROLL for (int e = 0; e < R; ++e) {
        const V kr = V::load(kernel + e * step), ki = V::load(kernel + e * step + lanes);
        z.im[e] = add_product(x.re[e] * kr, x.im[e], ki);
        z.re[e] = subtract_product(x.im[e] * kr, x.re[e], ki);
        const V gr = V::load(gradient + e * step), gi = V::load(gradient + e * step + lanes);
        add_product(add_product(gr, u.re[e], x.re[e]), u.im[e], x.im[e]).store(gradient + e * step);
        subtract_product(add_product(gi, u.re[e], x.im[e]), u.im[e], x.re[e]).store(gradient + e * step + lanes);
      }
      butterfly<T, R>(z.re, z.im);
      twiddle<R>(w, z.re, z.im);
      z.write(data, step);
      kernel += R * step, gradient += R * step, other += R * step, data += R * step;
    }
  }

  bool is_last(std::size_t level) const { return level + 1 == stages_.size(); }

  void convolve_blocks(std::size_t level, Index first, Index count, const T* kernel, T* data) const {
    const DftStage& stage = stages_[level];
    if (is_last(level)) {
      const Index at = first * stage.radix * step;
      return with_radix(stage.radix, [&](auto radix) {
        convolve_last<radix()>(block_twiddles(stage, first), count, kernel + at, data + at);
      });
    }
    for (Index block = first; block < first + count; ++block) {
      forward_block(stage, block, data);
      convolve_blocks(level + 1, block * stage.radix, stage.radix, kernel, data);
      inverse_block(stage, block, data);
    }
  }

  void correlate_blocks(std::size_t level, Index first, Index count, const T* kernel, T* gradient, T* other,
                        T* data) const {
    const DftStage& stage = stages_[level];
    if (is_last(level)) {
      const Index at = first * stage.radix * step;
      return with_radix(stage.radix, [&](auto radix) {
        correlate_last<radix()>(block_twiddles(stage, first), count, kernel + at, gradient + at, other + at, data + at);
      });
    }
    for (Index block = first; block < first + count; ++block) {
      forward_block(stage, block, other);
      forward_block(stage, block, data);
      correlate_blocks(level + 1, block * stage.radix, stage.radix, kernel, gradient, other, data);
      inverse_block(stage, block, data);
    }
  }

  void transform(std::size_t level, Index first, Index count, T* data) const {
    const DftStage& stage = stages_[level];
    for (Index block = first; block < first + count; ++block) {
      forward_block(stage, block, data);
      if (!is_last(level)) transform(level + 1, block * stage.radix, stage.radix, data);
    }
  }

  void inverse_transform(std::size_t level, Index first, Index count, T* data) const {
    const DftStage& stage = stages_[level];
    for (Index block = first; block < first + count; ++block) {
      if (!is_last(level)) inverse_transform(level + 1, block * stage.radix, stage.radix, data);
      inverse_block(stage, block, data);
    }
  }

  Index size_ = 0;
  Index length_ = 0;
  std::vector<DftStage> stages_;
  std::vector<T> twiddles_;
};

}  // namespace m2::detail
