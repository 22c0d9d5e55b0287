#pragma once

#include "m2/core/view.hpp"

namespace m2::detail {

/// True when the first two dimensions are one run of rows with one stride.
template <class T, class B>
constexpr bool has_merged_rows(View<T, 3, B> view) {
  return view.extent(0) == 1 || view.extent(1) == 1 || view.size() == 0 ||
         view.stride(0) == view.stride(1) * view.extent(1);
}

/// Calls f(first_row, matrices...) with every (batch, length, channels) view seen as (rows, channels): once with all
/// rows, so that a product over them is one GEMM, or sample by sample where strides forbid that.
template <class F, class... V>
void for_row_blocks(F&& f, const V&... views) {
  if ((has_merged_rows(views) && ...)) {
    f(Index{0}, views.merge(0)...);
    return;
  }
  const Extents<3> extents[] = {views.extents()...};
  for (Index sample = 0; sample < extents[0][0]; ++sample) f(sample * extents[0][1], views.select(0, sample)...);
}

/// Throws unless an array has the extents a module needs; `what` names both, e.g. "linear: y".
template <std::size_t N>
void require_extents(const char* what, const std::array<Index, N>& actual, const std::array<Index, N>& needed) {
  M2_REQUIRE(actual == needed, what, " is ", actual, ", ", needed, " is needed");
}

}  // namespace m2::detail
