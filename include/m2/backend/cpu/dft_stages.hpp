#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "m2/backend/cpu/lanes.hpp"
#include "m2/core/butterfly.hpp"
#include "m2/core/dft_plan.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// How results get to memory: they replace what is there, past the caches (stream_lanes) if `streamed`; or add to it.
enum class RowStore { plain, streamed, add };

/// Two real signals for one register of channels each: position t of signal r is at data[r] + t * stride[r]. An absent
/// second signal has stride 0 and points at one register of zeros (inputs) or of scratch (outputs).
template <class T>
struct TileRows {
  T* data[2];
  Index stride[2];
  RowStore store = RowStore::plain;
};

/// Rows that a later call will read, of up to two arrays: a hint.
template <class T>
struct RowsAhead {
  TileRows<const T> rows[2];
  int count = 0;
};

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

  /// One column of a stage that reads or writes rows: digit j is at row j * inner + i. Pointers rather than row
  /// numbers, so that a step to the next column is two additions.
  template <class U>
  struct Column {
    U *first, *second;
    Index digit[2];

    Column(TileRows<U> rows, Index inner, Index i)
        : first(rows.data[0] + i * rows.stride[0]),
          second(rows.data[1] + i * rows.stride[1]),
          digit{inner * rows.stride[0], inner * rows.stride[1]} {}

    M2_INLINE U* real(int j) const { return first + j * digit[0]; }
    M2_INLINE U* imaginary(int j) const { return second + j * digit[1]; }
    M2_INLINE void advance(TileRows<U> rows) { first += rows.stride[0], second += rows.stride[1]; }
    /// Rows of a wide array lie in a page each, which no hardware prefetches.
    template <int Digits, bool Write>
    M2_INLINE void prefetch() const {
      M2_UNROLL for (int j = 0; j < Digits; ++j) {
        Write ? prefetch_for_write(real(j)) : prefetch_line(real(j));
        Write ? prefetch_for_write(imaginary(j)) : prefetch_line(imaginary(j));
      }
    }
  };

  /// Calls f(i, std::true_type or false_type) for the columns of such a stage: whether the rows of all digits are below
  /// length. Nearly always they are, and then nothing need be tested.
  template <class F>
  static M2_INLINE void each_column(Index digits, Index length, Index inner, F&& f) {
    const Index whole = std::clamp<Index>(length - (digits - 1) * inner, 0, inner);
    f(Index{0}, whole, std::true_type{});
    f(whole, inner, std::false_type{});
  }

  /// The first stage: reads positions [0, length) of the rows, the rest is zero. With Half, that is at most the first
  /// half of an even transform size.
  template <int R, bool Half>
  static void load_stage(TileRows<const T> in, Index length, Index inner, T* data) {
    constexpr int digits = Half ? R / 2 : R;
    each_column(digits, length, inner, [&](Index begin, Index end, auto whole) {
      Column<const T> from(in, inner, begin), later(in, inner, std::min(begin + prefetch_distance, end));
      T* to = data + begin * step;
      for (Index i = begin; i < end; ++i, to += step, from.advance(in)) {
        if constexpr (whole()) {
          later.template prefetch<digits, false>();
          if (i + prefetch_distance < end - 1) later.advance(in);
        }
        Registers<R, false> x;
        M2_UNROLL for (int j = 0; j < digits; ++j) {
          const bool present = whole() || j * inner + i < length;
          x.re[j] = present ? V::load(from.real(j)) : V::zero();
          x.im[j] = present ? V::load(from.imaginary(j)) : V::zero();
        }
        butterfly<T, R, Half>(x.re, x.im);
        x.write(to, inner * step);
      }
    });
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
    each_column(digits, length, inner, [&](Index begin, Index end, auto whole) {
      Column<T> to(out, inner, begin), later(out, inner, std::min(begin + prefetch_distance, end));
      const T* from = data + begin * step;
      for (Index i = begin; i < end; ++i, from += step, to.advance(out)) {
        if constexpr (whole()) {
          if (out.store != RowStore::streamed) later.template prefetch<digits, true>();
          if (i + prefetch_distance < end - 1) later.advance(out);
        }
        Registers<R, true> x;
        x.read(from, inner * step);
        butterfly<T, R>(x.re, x.im);
        if (whole() && out.store == RowStore::streamed) {
          M2_UNROLL for (int j = 0; j < digits; ++j) {
            stream_lanes(x.im[j], to.real(j));
            stream_lanes(x.re[j], to.imaginary(j));
          }
          continue;
        }
        M2_UNROLL for (int j = 0; j < digits; ++j) {
          if (!whole() && j * inner + i >= length) break;
          if (out.store == RowStore::add)
            x.im[j] = V::load(to.real(j)) + x.im[j], x.re[j] = V::load(to.imaginary(j)) + x.re[j];
          x.im[j].store(to.real(j));
          x.re[j].store(to.imaginary(j));
        }
      }
    });
  }
  template <bool HalfIfEven>
  void store(const T* data, TileRows<T> out, Index length) const {
    with_radix(stages_[0].radix, [&](auto radix) {
      store_stage<radix(), HalfIfEven && radix() % 2 == 0>(data, out, length, stages_[0].inner);
    });
  }

  bool is_last(std::size_t level) const { return level + 1 == stages_.size(); }

  Index size_ = 0;
  std::vector<DftStage> stages_;
  std::vector<T> twiddles_;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
