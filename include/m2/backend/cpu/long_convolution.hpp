#pragma once

#include <algorithm>
#include <utility>

#include "m2/backend/cpu/dft_convolution.hpp"
#include "m2/backend/cpu/direct_convolution.hpp"
#include "m2/backend/cpu/loops.hpp"
#include "m2/core/dft_plan.hpp"
#include "m2/core/view.hpp"

namespace m2::detail {

/// The long convolution on the CPU; monarch/long_convolution.hpp checks shapes and calls it.
///
/// The unit of work is a tile of channels, one SIMD register wide, of a pair of batch rows. Units are numbered pair
/// fastest and cut into one run for each thread, so a thread prepares the kernel of a tile once and keeps it in cache.
/// Kernel gradients are summed over pairs by the thread that owns the whole tile; the tiles that a cut divides are
/// summed from their parts in the order of threads. So results depend on the number of threads, never on timing.
template <class T, class B>
class CpuLongConvolution {
  using V = Lanes<T>;
  static constexpr Index lanes = V::count;

 public:
  /// The longest sequence for which direct summation is the faster engine (measured: AVX-512, float, batch 16).
  static constexpr Index direct_length(bool bidirectional) { return bidirectional ? 24 : 64; }

  CpuLongConvolution() = default;
  CpuLongConvolution(B& be, const LongConvolutionShape& shape, const DftPlan& plan)
      : shape_(shape), threads_(available_threads()) {
    if (shape.direct) {
      direct_ = CpuDirectConvolution<T>(shape.length, shape.bidirectional);
      layout(direct_);
    } else {
      dft_ = CpuDftConvolution<T>(plan, shape.length);
      layout(dft_);
    }
    workspace_ = be.template allocate<T>(workspace_elements());
  }

  Index workspace_elements() const { return slot_elements_ * threads_; }

  void forward(B&, View<const T, 3, B> u, View<const T, 2, B> k, View<const T, 2, B> k_reverse,
               View<const T, 1, B> skip, View<T, 3, B> y) {
    const Kernel kernel{k, k_reverse, skip};
    shape_.direct ? run_forward(direct_, kernel, u, y) : run_forward(dft_, kernel, u, y);
  }

  void backward(B&, View<const T, 3, B> u, View<const T, 2, B> k, View<const T, 2, B> k_reverse,
                View<const T, 1, B> skip, View<const T, 3, B> dy, View<T, 3, B> du, View<T, 2, B> dk,
                View<T, 2, B> dk_reverse, View<T, 1, B> dskip) {
    const Kernel kernel{k, k_reverse, skip};
    const Gradient gradient{dk, dk_reverse, dskip};
    shape_.direct ? run_backward(direct_, kernel, u, dy, du, gradient)
                  : run_backward(dft_, kernel, u, dy, du, gradient);
  }

 private:
  struct Kernel {
    View<const T, 2, B> causal, reverse;
    View<const T, 1, B> skip;
  };
  struct Gradient {
    View<T, 2, B> causal, reverse;
    View<T, 1, B> skip;
  };

  /// The memory of one thread.
  struct Slot {
    T *kernel, *work, *lags, *rows[3], *scratch, *sums[3];
  };

  template <class Engine>
  void layout(const Engine& engine) {
    kernel_elements_ = engine.kernel_elements();
    work_elements_ = engine.work_elements();
    lag_elements_ = engine.positions() * lanes;
    row_elements_ = 2 * shape_.length * lanes;
    slot_elements_ = 4 * kernel_elements_ + work_elements_ + lag_elements_ + 3 * row_elements_ + lanes;
  }

  Slot slot(Index thread) {
    T* at = workspace_.data() + thread * slot_elements_;
    const auto take = [&at](Index count) { return std::exchange(at, at + count); };
    Slot s{};
    s.kernel = take(kernel_elements_), s.work = take(work_elements_), s.lags = take(lag_elements_);
    for (T*& rows : s.rows) rows = take(row_elements_);
    s.scratch = take(lanes);
    for (T*& sum : s.sums) sum = take(kernel_elements_);
    return s;
  }

  Index channels_of(Index tile) const { return std::min(lanes, shape_.channels - tile * lanes); }

  int threads_for(Index units) const {
    if (units * shape_.length * lanes < parallel_threshold) return 1;
    return static_cast<int>(std::min<Index>({threads_, available_threads(), units}));
  }

  /// One position of a tile from or to memory; whole contiguous registers, the usual case, in one move.
  static void gather(const T* from, Index stride, Index count, T* to) {
    if (stride == 1 && count == lanes) return V::load(from).store(to);
    for (Index c = 0; c < count; ++c) to[c] = from[c * stride];
  }
  static void accumulate(const T* from, Index count, T* to, Index stride) {
    if (stride == 1 && count == lanes) return (V::load(to) + V::load(from)).store(to);
    for (Index c = 0; c < count; ++c) to[c * stride] += from[c];
  }

  /// Stages lags of one tile, the skip term added at lag 0, and prepares the engine's kernel from them.
  template <class Engine>
  void prepare(const Engine& engine, const Kernel& k, Index tile, const Slot& s) const {
    const Index count = channels_of(tile), c0 = tile * lanes, positions = engine.positions();
    std::fill_n(s.lags, lag_elements_, T{});
    for (Index t = 0; t < shape_.length; ++t) gather(&k.causal(t, c0), k.causal.stride(1), count, s.lags + t * lanes);
    if (shape_.bidirectional)
      for (Index t = 1; t < shape_.length; ++t)
        gather(&k.reverse(t - 1, c0), k.reverse.stride(1), count, s.lags + (positions - t) * lanes);
    if (k.skip.data() != nullptr)
      for (Index c = 0; c < count; ++c) s.lags[c] += k.skip(c0 + c);
    engine.prepare(s.lags, !shape_.bidirectional, s.kernel, s.work);
  }

  /// Rows 2 pair and 2 pair + 1 of a tile where they lie, or a copy of them when a register cannot be read from there.
  TileRows<const T> read_rows(View<const T, 3, B> x, Index pair, Index tile, T* copy) const {
    const Index count = channels_of(tile), c0 = tile * lanes;
    TileRows<const T> rows{};
    for (Index r = 0; r < 2; ++r) {
      const Index b = 2 * pair + r;
      rows.data[r] = CpuDftConvolution<T>::zeros();
      if (b >= x.extent(0)) continue;
      rows.data[r] = &x(b, 0, c0);
      rows.stride[r] = x.stride(1);
      if (x.stride(2) == 1 && count == lanes) continue;
      T* const to = copy + r * shape_.length * lanes;
      for (Index t = 0; t < shape_.length; ++t) {
        std::fill_n(to + t * lanes, lanes, T{});
        gather(&x(b, t, c0), x.stride(2), count, to + t * lanes);
      }
      rows.data[r] = to;
      rows.stride[r] = lanes;
    }
    return rows;
  }

  /// Where to write the rows: in place, or to a copy that put_rows distributes.
  TileRows<T> write_rows(View<T, 3, B> y, Index pair, Index tile, T* copy, T* scratch) const {
    const bool in_place = y.stride(2) == 1 && channels_of(tile) == lanes;
    TileRows<T> rows{};
    for (Index r = 0; r < 2; ++r) {
      const Index b = 2 * pair + r;
      if (b >= y.extent(0)) {
        rows.data[r] = scratch;
      } else {
        rows.data[r] = in_place ? &y(b, 0, tile * lanes) : copy + r * shape_.length * lanes;
        rows.stride[r] = in_place ? y.stride(1) : lanes;
      }
    }
    return rows;
  }
  void put_rows(View<T, 3, B> y, Index pair, Index tile, const T* copy) const {
    const Index count = channels_of(tile), c0 = tile * lanes;
    if (y.stride(2) == 1 && count == lanes) return;
    for (Index r = 0; r < 2 && 2 * pair + r < y.extent(0); ++r)
      for (Index t = 0; t < shape_.length; ++t)
        for (Index c = 0; c < count; ++c) y(2 * pair + r, t, c0 + c) = copy[(r * shape_.length + t) * lanes + c];
  }

  template <class Engine>
  void run_forward(const Engine& engine, const Kernel& kernel, View<const T, 3, B> u, View<T, 3, B> y) {
    const Index pairs = (u.extent(0) + 1) / 2, units = pairs * ((shape_.channels + lanes - 1) / lanes);
    const Index parts = threads_for(units);
    parallel_parts(parts, static_cast<int>(parts), [&](Index part) {
      const Slot s = slot(part);
      Index prepared = -1;
      for (Index unit = units * part / parts; unit < units * (part + 1) / parts; ++unit) {
        const Index tile = unit / pairs, pair = unit % pairs;
        if (tile != prepared) prepare(engine, kernel, tile, s);
        prepared = tile;
        engine.convolve(s.kernel, read_rows(u, pair, tile, s.rows[0]), write_rows(y, pair, tile, s.rows[1], s.scratch),
                        s.work);
        put_rows(y, pair, tile, s.rows[1]);
      }
    });
  }

  template <class Engine>
  void run_backward(const Engine& engine, const Kernel& kernel, View<const T, 3, B> u, View<const T, 3, B> dy,
                    View<T, 3, B> du, const Gradient& gradient) {
    const Index pairs = (u.extent(0) + 1) / 2, tiles = (shape_.channels + lanes - 1) / lanes, units = pairs * tiles;
    const Index parts = threads_for(units);
    const auto begin_of = [=](Index part) { return units * part / parts; };
    parallel_parts(parts, static_cast<int>(parts), [&](Index part) {
      const Slot s = slot(part);
      const Index begin = begin_of(part), end = begin_of(part + 1);
      for (Index unit = begin; unit < end;) {
        const Index tile = unit / pairs, stop = std::min(end, (tile + 1) * pairs);
        T* const sum = s.sums[sum_of(tile, begin, end, pairs)];
        std::fill_n(sum, kernel_elements_, T{});
        prepare(engine, kernel, tile, s);
        for (; unit < stop; ++unit) {
          const Index pair = unit % pairs;
          engine.correlate(s.kernel, read_rows(u, pair, tile, s.rows[0]), read_rows(dy, pair, tile, s.rows[1]),
                           write_rows(du, pair, tile, s.rows[2], s.scratch), sum, s.work);
          put_rows(du, pair, tile, s.rows[2]);
        }
        if (begin <= tile * pairs && (tile + 1) * pairs <= end) add_gradient(engine, gradient, tile, sum, s);
      }
    });
    for (Index part = 1; part < parts; ++part) {  // the tile that each cut divides, once
      const Index cut = begin_of(part), tile = cut / pairs;
      if (cut % pairs == 0 || begin_of(part - 1) > tile * pairs) continue;
      T* const total = slot(part - 1).sums[sum_of(tile, begin_of(part - 1), cut, pairs)];
      for (Index other = part; other < parts && begin_of(other) < (tile + 1) * pairs; ++other) {
        const T* const sum = slot(other).sums[sum_of(tile, begin_of(other), begin_of(other + 1), pairs)];
        for (Index i = 0; i < kernel_elements_; ++i) total[i] += sum[i];
      }
      add_gradient(engine, gradient, tile, total, slot(part - 1));
    }
  }

  /// Which of a thread's sums a tile uses: a run of units has at most two divided tiles, its first and its last.
  static Index sum_of(Index tile, Index begin, Index end, Index pairs) {
    if (tile * pairs < begin) return 0;
    return end < (tile + 1) * pairs ? 1 : 2;
  }

  template <class Engine>
  void add_gradient(const Engine& engine, const Gradient& gradient, Index tile, T* sum, const Slot& s) const {
    const Index count = channels_of(tile), c0 = tile * lanes, positions = engine.positions();
    engine.finish(sum, !shape_.bidirectional, s.lags);
    for (Index t = 0; t < shape_.length; ++t)
      accumulate(s.lags + t * lanes, count, &gradient.causal(t, c0), gradient.causal.stride(1));
    if (shape_.bidirectional)
      for (Index t = 1; t < shape_.length; ++t)
        accumulate(s.lags + (positions - t) * lanes, count, &gradient.reverse(t - 1, c0), gradient.reverse.stride(1));
    if (gradient.skip.data() != nullptr)
      for (Index c = 0; c < count; ++c) gradient.skip(c0 + c) += s.lags[c];
  }

  LongConvolutionShape shape_;
  int threads_ = 1;
  CpuDftConvolution<T> dft_;
  CpuDirectConvolution<T> direct_;
  Index kernel_elements_ = 0, work_elements_ = 0, lag_elements_ = 0, row_elements_ = 0, slot_elements_ = 0;
  typename B::template Buffer<T> workspace_;
};

}  // namespace m2::detail
