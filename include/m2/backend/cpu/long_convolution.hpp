#pragma once

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "m2/backend/cpu/convolution_tiles.hpp"
#include "m2/backend/cpu/dft_convolution.hpp"
#include "m2/backend/cpu/direct_convolution.hpp"
#include "m2/backend/cpu/loops.hpp"
#include "m2/core/dft_plan.hpp"
#include "m2/core/view.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The long convolution on the CPU; monarch/long_convolution.hpp checks shapes and calls it.
///
/// Units of work are cut into one run for each thread, so a thread prepares the kernels of a group once and keeps them
/// in cache. Kernel gradients are summed over pairs by the thread that owns the whole group; the groups that a cut
/// divides are summed from their parts in the order of threads. So results depend on the number of threads, never on
/// timing.
template <class T, class B>
class CpuLongConvolution : private ConvolutionTiles<T, B> {
  using Tiles = ConvolutionTiles<T, B>;
  using Tiles::gather, Tiles::accumulate, Tiles::read_rows, Tiles::rows_ahead, Tiles::write_rows, Tiles::put_rows;
  using Tiles::lanes, Tiles::shape_, Tiles::tile_pairs_;
  using Tiles::tiles, Tiles::groups, Tiles::first_unit, Tiles::group_of, Tiles::signal, Tiles::channels_of;
  using typename Tiles::V;

 public:
  /// The longest sequence for which direct summation is the faster engine (measured: AVX-512, float, batch 16).
  static constexpr Index direct_length(bool bidirectional) { return bidirectional ? 24 : 64; }

  CpuLongConvolution() = default;
  CpuLongConvolution(B& be, const LongConvolutionShape& shape, const DftPlan& plan)
      : Tiles(shape), threads_(available_threads()) {
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
    T *kernel, *work, *lags[2], *rows[3], *scratch, *sums[3];
  };

  template <class Engine>
  void layout(const Engine& engine) {
    tile_pairs_ = Engine::two_kernels ? tiles() / 2 : 0;
    kernel_elements_ = engine.kernel_elements();
    work_elements_ = engine.work_elements();
    lag_elements_ = engine.positions() * lanes;
    row_elements_ = 2 * shape_.length * lanes;
    slot_elements_ = 4 * kernel_elements_ + work_elements_ + 2 * lag_elements_ + 3 * row_elements_ + lanes;
  }

  Slot slot(Index thread) {
    T* at = workspace_.data() + thread * slot_elements_;
    const auto take = [&at](Index count) { return std::exchange(at, at + count); };
    Slot s{};
    s.kernel = take(kernel_elements_), s.work = take(work_elements_);
    for (T*& lags : s.lags) lags = take(lag_elements_);
    for (T*& rows : s.rows) rows = take(row_elements_);
    s.scratch = take(lanes);
    for (T*& sum : s.sums) sum = take(kernel_elements_);
    return s;
  }

  int threads_for(Index units) const {
    if (units * shape_.length * lanes < parallel_threshold) return 1;
    return static_cast<int>(std::min<Index>({threads_, available_threads(), units}));
  }

  /// Prepares the engine's kernel of a group from its lags and skip term.
  template <class Engine>
  void prepare(const Engine& engine, const Kernel& k, Index group, const Slot& s, const RowsAhead<T>& next) const {
    const bool two = group < tile_pairs_, causal = !shape_.bidirectional;
    T at_zero[2 * static_cast<std::size_t>(lanes)] = {};
    for (Index i = 0; k.skip.data() != nullptr && i < 2; ++i) {
      const Index tile = two ? 2 * group + i : signal(group, 0, 0).tile;
      for (Index c = 0; c < channels_of(tile); ++c) at_zero[i * lanes + c] = k.skip(tile * lanes + c);
    }
    if (in_place(k.causal, group))
      return engine.prepare(lags_in_place(k.causal, group), at_zero, causal, s.kernel, next);
    for (Index i = 0; i < (two ? 2 : 1); ++i) stage_lags(k, signal(group, 0, i).tile, engine.positions(), s.lags[i]);
    engine.prepare({{s.lags[0], s.lags[two ? 1 : 0]}, {lanes, lanes}}, at_zero, causal, s.kernel, next);
  }

  /// True if the lags of a group are whole registers, all that there are of two kernels, so that nothing need be
  /// staged.
  bool in_place(View<const T, 2, B> k, Index group) const {
    return group < tile_pairs_ && !shape_.bidirectional && k.stride(1) == 1 && channels_of(2 * group + 1) == lanes;
  }
  template <class U>
  TileRows<U> lags_in_place(View<U, 2, B> k, Index group) const {
    const Index c0 = 2 * group * lanes, stride = k.stride(0);
    return {{&k(0, c0), &k(0, c0 + lanes)}, {stride, stride}};
  }

  void stage_lags(const Kernel& k, Index tile, Index positions, T* lags) const {
    const Index count = channels_of(tile), c0 = tile * lanes;
    const bool all = count == lanes && !shape_.bidirectional && !shape_.direct;  // then no other lag is read
    if (!all) std::fill_n(lags, lag_elements_, T{});
    for (Index t = 0; t < shape_.length; ++t) gather(&k.causal(t, c0), k.causal.stride(1), count, lags + t * lanes);
    if (shape_.bidirectional)
      for (Index t = 1; t < shape_.length; ++t)
        gather(&k.reverse(t - 1, c0), k.reverse.stride(1), count, lags + (positions - t) * lanes);
  }

  /// What is read after a unit of work of a group: the signals of the next one, or first the kernels of its group.
  RowsAhead<T> rows_after(std::initializer_list<View<const T, 3, B>> arrays, const Kernel& kernel, Index group,
                          Index unit, Index end, Index batch) const {
    if (unit + 1 == end) return {};
    const Index next = group_of(unit + 1, batch);
    if (next == group) return rows_ahead(arrays, group, unit + 1 - first_unit(group, batch));
    return kernels_ahead(kernel.causal, next);
  }
  RowsAhead<T> kernels_ahead(View<const T, 2, B> k, Index group) const {
    if (group >= tile_pairs_) return {};
    return {{lags_in_place<const T>(k, group)}, 1};
  }

  template <class Engine>
  void run_forward(const Engine& engine, const Kernel& kernel, View<const T, 3, B> u, View<T, 3, B> y) {
    const Index batch = u.extent(0), units = first_unit(groups(), batch);
    const Index parts = threads_for(units);
    parallel_parts(parts, static_cast<int>(parts), [&](Index part) {
      const Slot s = slot(part);
      Index prepared = -1;
      const Index end = part_begin(units, part + 1, parts);
      for (Index unit = part_begin(units, part, parts); unit < end; ++unit) {
        const Index group = group_of(unit, batch), pair = unit - first_unit(group, batch);
        if (group != prepared) prepare(engine, kernel, group, s, rows_ahead({u}, group, pair));
        prepared = group;
        engine.convolve(s.kernel, read_rows(u, group, pair, s.rows[0]),
                        write_rows(y, group, pair, s.rows[1], s.scratch), s.work,
                        rows_after({u}, kernel, group, unit, end, batch));
        put_rows(y, group, pair, s.rows[1]);
      }
      finish_streams();
    });
  }

  template <class Engine>
  void run_backward(const Engine& engine, const Kernel& kernel, View<const T, 3, B> u, View<const T, 3, B> dy,
                    View<T, 3, B> du, const Gradient& gradient) {
    const Index batch = u.extent(0), units = first_unit(groups(), batch);
    const Index parts = threads_for(units);
    const auto begin_of = [=](Index part) { return part_begin(units, part, parts); };
    const auto first = [=, this](Index group) { return first_unit(group, batch); };
    // Which of a thread's sums a group uses: a run of units has at most two divided groups, its first and its last.
    const auto sum_of = [=](Index group, Index part) {
      return first(group) < begin_of(part) ? 0 : begin_of(part + 1) < first(group + 1) ? 1 : 2;
    };
    parallel_parts(parts, static_cast<int>(parts), [&](Index part) {
      const Slot s = slot(part);
      const Index begin = begin_of(part), end = begin_of(part + 1);
      for (Index unit = begin; unit < end;) {
        const Index group = group_of(unit, batch), stop = std::min(end, first(group + 1));
        T* const sum = s.sums[sum_of(group, part)];
        prepare(engine, kernel, group, s, rows_ahead({u, dy}, group, unit - first(group)));
        for (const Index run = unit; unit < stop; ++unit) {
          const Index pair = unit - first(group);
          engine.correlate(s.kernel, read_rows(u, group, pair, s.rows[0]), read_rows(dy, group, pair, s.rows[1]),
                           write_rows(du, group, pair, s.rows[2], s.scratch), sum, unit == run, s.work,
                           rows_after({u, dy}, kernel, group, unit, end, batch));
          put_rows(du, group, pair, s.rows[2]);
        }
        if (begin <= first(group) && first(group + 1) <= end) add_gradient(engine, gradient, group, sum, s);
      }
      finish_streams();
    });
    for (Index part = 1; part < parts; ++part) {  // the group that each cut divides, once
      const Index cut = begin_of(part), group = group_of(cut, batch);
      if (cut == first(group) || begin_of(part - 1) > first(group)) continue;
      T* const total = slot(part - 1).sums[sum_of(group, part - 1)];
      for (Index other = part; other < parts && begin_of(other) < first(group + 1); ++other) {
        const T* const sum = slot(other).sums[sum_of(group, other)];
        for (Index i = 0; i < kernel_elements_; ++i) total[i] += sum[i];
      }
      add_gradient(engine, gradient, group, total, slot(part - 1));
    }
  }

  /// Both signals of a single tile have its kernel: the engine gives one gradient for both, or one for each.
  template <class Engine>
  void add_gradient(const Engine& engine, const Gradient& gradient, Index group, T* sum, const Slot& s) const {
    const RowsAhead<T> ahead = kernels_ahead(gradient.causal, group);
    if (in_place(gradient.causal, group)) {
      TileRows<T> rows = lags_in_place(gradient.causal, group);
      rows.store = RowStore::add;
      V before[2];
      for (std::size_t i = 0; i < 2; ++i) before[i] = V::load(rows.data[i]), V::zero().store(rows.data[i]);
      engine.finish(sum, true, rows, ahead);
      for (std::size_t i = 0; i < 2; ++i) {
        if (gradient.skip.data() != nullptr)
          for (Index c = 0; c < lanes; ++c)
            gradient.skip((2 * group + static_cast<Index>(i)) * lanes + c) += rows.data[i][c];
        (V::load(rows.data[i]) + before[i]).store(rows.data[i]);
      }
      return;
    }
    engine.finish(sum, !shape_.bidirectional, {{s.lags[0], s.lags[1]}, {lanes, lanes}}, ahead);
    for (Index i = 0; i < (Engine::two_kernels ? 2 : 1); ++i)
      add_lags(gradient, signal(group, 0, i).tile, engine.positions(), s.lags[i]);
  }

  void add_lags(const Gradient& gradient, Index tile, Index positions, const T* lags) const {
    const Index count = channels_of(tile), c0 = tile * lanes;
    for (Index t = 0; t < shape_.length; ++t)
      accumulate(lags + t * lanes, count, &gradient.causal(t, c0), gradient.causal.stride(1));
    if (shape_.bidirectional)
      for (Index t = 1; t < shape_.length; ++t)
        accumulate(lags + (positions - t) * lanes, count, &gradient.reverse(t - 1, c0), gradient.reverse.stride(1));
    if (gradient.skip.data() != nullptr)
      for (Index c = 0; c < count; ++c) gradient.skip(c0 + c) += lags[c];
  }

  int threads_ = 1;
  CpuDftConvolution<T> dft_;
  CpuDirectConvolution<T> direct_;
  Index kernel_elements_ = 0, work_elements_ = 0, lag_elements_ = 0, row_elements_ = 0, slot_elements_ = 0;
  typename B::template Buffer<T> workspace_;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
