#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "m2/backend/concept.hpp"

/// How ops walk over memory, written once: element by element over arrays of equal extents, and down the columns of
/// matrices. Ops pass function objects rather than lambdas, which keeps them free of nvcc's rules for lambdas.
namespace m2::detail {

/// Elements a fixed stride apart. With Unit the stride is known to be 1, which is what compilers need for SIMD code.
template <class T, bool Unit>
struct Run {
  T* data;
  Index stride;

  M2_HD T& operator[](Index j) const { return data[Unit ? j : j * stride]; }
};

/// Calls f with std::true_type or std::false_type.
template <class F>
void with_constant(bool value, F&& f) {
  if (value)
    f(std::true_type{});
  else
    f(std::false_type{});
}

/// Whether the last dimension of every view is contiguous.
template <class... Views>
bool unit_strides(const Views&... views) {
  return ((views.stride(Views::rank - 1) == 1) && ...);
}

/// A view of a vector over the last dimension, repeated along the leading ones.
template <int R, class T, class B>
View<T, R, B> repeat_rows(View<T, 1, B> vector, const Extents<R>& extents) {
  Extents<R> strides{};
  strides[R - 1] = vector.stride(0);
  return {vector.data(), extents, strides};
}

/// N arrays of the same extents, read and written at the same index. Walking order does not matter to an element-wise
/// op, so dimensions are sorted by the stride of the last array (the one written) and merged wherever all arrays allow:
/// most calls end as one dimension of stride 1.
template <class T, int R, std::size_t N>
struct Walk {
  std::array<T*, N> data{};
  Extents<R> extents{};
  std::array<Extents<R>, N> strides{};  // of each array
  int rank = 0;                         // dimensions in use; the innermost is rank - 1

  void append(Index extent, const std::array<Index, N>& steps) {
    std::size_t to = static_cast<std::size_t>(rank);
    if (to > 0) {
      const std::size_t last = to - 1;
      bool merges = true;
      for (std::size_t k = 0; k < N; ++k) merges = merges && strides[k][last] == steps[k] * extent;
      if (merges) to = last, extent *= extents[last];
    }
    extents[to] = extent;
    for (std::size_t k = 0; k < N; ++k) strides[k][to] = steps[k];
    rank = static_cast<int>(to) + 1;
  }
  Index stride(std::size_t array) const { return strides[array][static_cast<std::size_t>(rank - 1)]; }
  Index width() const { return extents[static_cast<std::size_t>(rank - 1)]; }
};

template <class T, int R, std::size_t N>
Walk<T, R, N> make_walk(const Extents<R>& extents, const std::array<T*, N>& data,
                        const std::array<Extents<R>, N>& strides) {
  std::array<std::size_t, static_cast<std::size_t>(R)> order{};
  for (std::size_t d = 0; d < R; ++d) {
    std::size_t at = d;
    for (; at > 0 && strides[N - 1][order[at - 1]] < strides[N - 1][d]; --at) order[at] = order[at - 1];
    order[at] = d;
  }
  Walk<T, R, N> walk;
  walk.data = data;
  for (const std::size_t d : order) {
    if (extents[d] == 1) continue;
    std::array<Index, N> steps{};
    for (std::size_t k = 0; k < N; ++k) steps[k] = strides[k][d];
    walk.append(extents[d], steps);
  }
  if (walk.rank == 0) {
    std::array<Index, N> ones{};
    ones.fill(1);
    walk.append(1, ones);
  }
  return walk;
}

/// f on arrays in one dimension.
template <class T, std::size_t N, bool Unit, class F>
struct FlatElements {
  F f;
  std::array<Run<T, Unit>, N> runs;

  M2_HD M2_INLINE void operator()(Index i) const { call(i, std::make_index_sequence<N>{}); }
  template <std::size_t... K>
  M2_HD M2_INLINE void call(Index i, std::index_sequence<K...>) const {
    f(runs[K][i]...);
  }
};

/// f on one row, a run of the innermost dimension, of arrays in several dimensions.
template <class T, int R, std::size_t N, bool Unit, class F>
struct RowElements {
  F f;
  Walk<T, R, N> walk;

  template <class Team>
  M2_HD M2_INLINE void operator()(Index row, const Team& team) const {
    call(row, team, std::make_index_sequence<N>{});
  }
  template <class Team, std::size_t... K>
  M2_HD M2_INLINE void call(Index row, const Team& team, std::index_sequence<K...>) const {
    Run<T, Unit> runs[N] = {{walk.data[K], walk.strides[K][static_cast<std::size_t>(walk.rank - 1)]}...};
    for (int d = walk.rank - 2; d >= 0; --d) {
      const auto at = static_cast<std::size_t>(d);
      const Index next = row / walk.extents[at], index = row - next * walk.extents[at];
      ((runs[K].data += index * walk.strides[K][at]), ...);
      row = next;
    }
    const F& function = f;
    team.each([&](Index j) { function(runs[K][j]...); });
  }
};

template <Backend B, class F, class T, int R, std::size_t N>
void walk_elements(B& be, F f, const Extents<R>& extents, const std::array<T*, N>& data,
                   const std::array<Extents<R>, N>& strides) {
  if (element_count(extents) == 0) return;
  const Walk<T, R, N> walk = make_walk<T, R, N>(extents, data, strides);
  bool unit = true;
  for (std::size_t k = 0; k < N; ++k) unit = unit && walk.stride(k) == 1;
  with_constant(unit, [&](auto is_unit) {
    constexpr bool Unit = decltype(is_unit)::value;
    if (walk.rank == 1) {
      FlatElements<T, N, Unit, F> flat{f, {}};
      for (std::size_t k = 0; k < N; ++k) flat.runs[k] = {walk.data[k], walk.stride(k)};
      be.for_each(walk.width(), flat);
    } else {
      be.for_rows(element_count(extents) / walk.width(), walk.width(), RowElements<T, R, N, Unit, F>{f, walk});
    }
  });
}

/// Calls f(a, b, ...) with references to the elements of all views at every index. The views have equal extents
/// (checked by the caller) and may be const; f takes what it only reads as `const T&`. Views may be the same array (in
/// place), as long as f reads before it writes.
template <Backend B, class F, class First, class... Rest>
void for_elements(B& be, F f, First first, Rest... rest) {
  using T = typename First::value_type;
  constexpr int R = First::rank;
  constexpr std::size_t N = 1 + sizeof...(Rest);
  static_assert((std::is_same_v<T, typename Rest::value_type> && ...) && ((R == Rest::rank) && ...));
  walk_elements<B, F, T, R, N>(be, f, first.extents(), {const_cast<T*>(first.data()), const_cast<T*>(rest.data())...},
                               {first.strides(), rest.strides()...});
}

/// How many columns one team takes: a divisor of the number of columns (so that every team has the same width), near 64
/// where there is one: wide enough for whole cache lines, small enough to give every thread work.
inline Index column_block(Index columns) {
  constexpr Index preferred = 64, narrowest = 16, widest = 1024;
  for (Index width = preferred; width >= narrowest; --width)
    if (columns % width == 0) return width;
  for (Index width = preferred + 1; width <= widest; ++width)
    if (columns % width == 0) return width;
  return columns;
}

/// for_rows whose body loops `depth` times over each row. Backends that take the depth use it to decide on threads.
template <Backend B, class F>
void for_deep_rows(B& be, Index rows, Index width, Index depth, F f) {
  if constexpr (requires { be.for_rows(rows, width, f, depth); })
    be.for_rows(rows, width, f, depth);
  else
    be.for_rows(rows, width, f);
}

/// One block of columns of N (outer, rows, columns) arrays, summed down the first two dimensions:
/// outputs[m][column] += sum over rows of what term(row, elements..., sums) adds to sums[m].
///
/// Rows are taken `rows_at_once` at a time and each group is summed on its own before it joins the total in memory: its
/// additions stay in registers, whole cache lines of neighbouring rows stream in, and rounding errors grow with the
/// number of groups only.
template <class T, std::size_t N, std::size_t M, bool Unit, class Term>
struct ColumnSums {
  Term term;
  std::array<T*, N> data;
  std::array<Extents<3>, N> strides;
  std::array<Run<T, Unit>, M> outputs;
  Index outer, rows;

  static constexpr Index rows_at_once = 8;
  using GroupRows = std::make_integer_sequence<Index, rows_at_once>;
  using Arrays = std::make_index_sequence<N>;

  template <class Team>
  M2_HD M2_INLINE void operator()(Index block, const Team& team) const {
    const Index column = block * team.width;
    for (Index o = 0; o < outer; ++o) {
      Index r = 0;
      for (; r + rows_at_once <= rows; r += rows_at_once) group(column, o, r, team, GroupRows{}, Arrays{});
      for (; r < rows; ++r) group(column, o, r, team, std::integer_sequence<Index, 0>{}, Arrays{});
    }
  }
  /// The rows of a group are a pack, so that the loop over columns has no loop inside and becomes SIMD code.
  template <class Team, Index... I, std::size_t... K>
  M2_HD void group(Index column, Index o, Index r, const Team& team, std::integer_sequence<Index, I...>,
                   std::index_sequence<K...>) const {
    const Run<T, Unit> runs[N] = {
        {data[K] + o * strides[K][0] + r * strides[K][1] + column * strides[K][2], strides[K][2]}...};
    const Index steps[N] = {strides[K][1]...};
    const Index row = o * rows + r;
    const Term& add = term;
    const std::array<Run<T, Unit>, M>& totals = outputs;
    team.each([&](Index j) {
      T sums[M] = {};
      const auto one = [&](Index i) { add(row + i, (&runs[K][j])[i * steps[K]]..., sums); };
      (one(I), ...);
      for (std::size_t m = 0; m < M; ++m) totals[m][column + j] += sums[m];
    });
  }
};

/// outputs[m](c) += sum of terms over all dimensions but the last of views with equal extents; term(row, elements...,
/// sums) adds to sums[m], its row counting the leading dimensions of arrays of rank up to 3. Deterministic: a column's
/// rows are added in a fixed order, whatever the number of threads.
template <Backend B, class Term, class T, std::size_t M, class First, class... Rest>
void sum_columns(B& be, const Term& term, const std::array<View<T, 1, B>, M>& outputs, First first, Rest... rest) {
  constexpr int R = First::rank;
  constexpr std::size_t N = 1 + sizeof...(Rest);
  if constexpr (R > 3) {
    for (Index i = 0; i < first.extent(0); ++i)
      sum_columns(be, term, outputs, first.select(0, i), rest.select(0, i)...);
  } else {
    if (first.size() == 0) return;
    const std::array<Extents<R>, N> given{first.strides(), rest.strides()...};
    const Index columns = first.extent(R - 1), middle = R > 1 ? first.extent(R > 1 ? R - 2 : 0) : 1;
    const Index outer = R > 2 ? first.extent(0) : 1;
    std::array<Extents<3>, N> strides{};
    bool unit = true, merges = true;
    for (std::size_t k = 0; k < N; ++k) {
      for (std::size_t d = 0; d < R; ++d) strides[k][3 - R + d] = given[k][d];
      unit = unit && strides[k][2] == 1;
      merges = merges && strides[k][0] == strides[k][1] * middle;
    }
    for (const auto& output : outputs) unit = unit && output.stride(0) == 1;
    if (outer == 1) merges = true;
    const Index width = column_block(columns);
    with_constant(unit, [&](auto is_unit) {
      constexpr bool Unit = decltype(is_unit)::value;
      ColumnSums<T, N, M, Unit, Term> sums{term,
                                           {const_cast<T*>(first.data()), const_cast<T*>(rest.data())...},
                                           strides,
                                           {},
                                           merges ? 1 : outer,
                                           merges ? outer * middle : middle};
      for (std::size_t m = 0; m < M; ++m) sums.outputs[m] = {outputs[m].data(), outputs[m].stride(0)};
      for_deep_rows(be, columns / width, width, outer * middle, sums);
    });
  }
}

}  // namespace m2::detail
