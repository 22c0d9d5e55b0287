#pragma once

#include <algorithm>
#include <vector>

#include "m2/backend/cpu/lanes.hpp"
#include "m2/core/butterfly.hpp"
#include "m2/core/dft_plan.hpp"

namespace m2::detail {

/// Two real signals for one register of channels each: position t of signal r is at data[r] + t * stride[r]. An absent
/// second signal has stride 0 and points at one register of zeros (inputs) or of scratch (outputs).
template <class T>
struct TileRows {
  T* data[2];
  Index stride[2];
};

template <bool Write>
M2_INLINE void prefetch_line(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address, Write ? 1 : 0);
#else
  (void)address;
#endif
}

/// What an absent input points at.
template <class T>
const T* zero_register() {
  alignas(64) static constexpr T values[static_cast<std::size_t>(Lanes<T>::count)] = {};
  return values;
}

/// The stages of a DFT of size M of a tile: M positions of two registers, real and imaginary parts, so that lanes are
/// channels and no value ever changes its lane.
///
/// Stages act in place on ever smaller blocks, so that after a stage its blocks are independent. The first stage reads
/// real signals and the last inverse stage writes them; zero padding is neither stored nor read.
template <class T>
class CpuDftStages {
 protected:
  using V = Lanes<T>;
  static constexpr Index lanes = V::count, step = 2 * lanes;
  static constexpr Index prefetch_distance = 4;  // butterflies; measured

  CpuDftStages() = default;
  explicit CpuDftStages(const DftPlan& plan)
      : size_(plan.size), stages_(plan.stages), twiddles_(plan.twiddles.begin(), plan.twiddles.end()) {
    if (stages_.size() == 1) stages_.push_back({1, 1, size_, 0});  // the fused last stage needs a stage of its own
  }

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

  /// Rows of a wide array lie in a page each, which no hardware prefetches: ask for those of a later butterfly.
  template <int Digits, bool Write, class U>
  static M2_INLINE void prefetch(TileRows<U> rows, Index length, Index inner, Index i) {
    M2_UNROLL for (int j = 0; j < Digits; ++j) {
      const Index t = std::min(j * inner + i + prefetch_distance, length - 1);
      prefetch_line<Write>(rows.data[0] + t * rows.stride[0]);
      prefetch_line<Write>(rows.data[1] + t * rows.stride[1]);
    }
  }

  /// The first stage: reads positions [0, length) of the rows, the rest is zero. With Half, that is at most the first
  /// half of an even transform size.
  template <int R, bool Half>
  static void load_stage(TileRows<const T> in, Index length, Index inner, T* data) {
    constexpr int digits = Half ? R / 2 : R;
    for (Index i = 0; i < inner; ++i, data += step) {
      prefetch<digits, false>(in, length, inner, i);
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

  /// The last inverse stage: writes positions [0, length) to the rows; with Half, that is at most the first half of
  /// them, and the compiler drops what computes the others.
  template <int R, bool Half>
  static void store_stage(const T* data, TileRows<T> out, Index length, Index inner) {
    constexpr int digits = Half ? R / 2 : R;
    for (Index i = 0; i < inner; ++i, data += step) {
      prefetch<digits, true>(out, length, inner, i);
      Registers<R, true> x;
      x.read(data, inner * step);
      butterfly<T, R>(x.re, x.im);
      M2_UNROLL for (int j = 0; j < digits; ++j) {
        const Index t = j * inner + i;
        if (t >= length) break;
        x.im[j].store(out.data[0] + t * out.stride[0]);
        x.re[j].store(out.data[1] + t * out.stride[1]);
      }
    }
  }
  template <bool HalfIfEven>
  void store(const T* data, TileRows<T> out, Index length) const {
    with_radix(stages_[0].radix, [&](auto radix) {
      store_stage<radix(), HalfIfEven && radix() % 2 == 0>(data, out, length, stages_[0].inner);
    });
  }

  void transform(std::size_t level, Index first, Index count, T* data) const {
    const DftStage& stage = stages_[level];
    for (Index block = first; block < first + count; ++block) {
      forward_block(stage, block, data);
      if (!is_last(level)) transform(level + 1, block * stage.radix, stage.radix, data);
    }
  }

  bool is_last(std::size_t level) const { return level + 1 == stages_.size(); }

  Index size_ = 0;
  std::vector<DftStage> stages_;
  std::vector<T> twiddles_;
};

}  // namespace m2::detail
