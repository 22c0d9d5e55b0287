#pragma once

#include <cstdint>

#include "m2/ops/elements.hpp"

namespace m2 {

namespace detail {

template <class T, bool Unit>
struct Embedding {
  Run<const T, Unit> table;
  Index table_row;
  Run<const std::int32_t, false> ids;
  Run<T, Unit> y;
  Index y_row;

  template <class Team>
  M2_HD void operator()(Index row, const Team& team) const {
    const Run<const T, Unit> from{table.data + ids[row] * table_row, table.stride};
    const Run<T, Unit> to{y.data + row * y_row, y.stride};
    team.each([&](Index j) { to[j] = from[j]; });
  }
};

}  // namespace detail

/// y(r, :) = table(ids(r), :).
///
/// Shapes   table (vocabulary, width), ids (rows), y (rows, width)
/// Writes   y (overwritten)
/// Errors   m2::Error if the shapes do not fit; the ids themselves are not checked: 0 <= ids(r) < vocabulary
template <Scalar T, Backend B>
void embedding(B& be, Input<T, 2, B> table, Input<std::int32_t, 1, B> ids, View<T, 2, B> y) {
  M2_REQUIRE(ids.extent(0) == y.extent(0) && table.extent(1) == y.extent(1), "embedding: table is ", table.extents(),
             ", ids is ", ids.extents(), ", y is ", y.extents());
  detail::with_constant(detail::unit_strides(table, y), [&](auto unit) {
    be.for_rows(y.extent(0), y.extent(1),
                detail::Embedding<T, decltype(unit)::value>{{table.data(), table.stride(1)},
                                                            table.stride(0),
                                                            {ids.data(), ids.stride(0)},
                                                            {y.data(), y.stride(1)},
                                                            y.stride(0)});
  });
}

/// VJP of embedding: dtable(ids(r), :) += dy(r, :).
///
/// Shapes   ids (rows), dy (rows, width), dtable (vocabulary, width)
/// Writes   dtable (accumulated, rows in order)
/// Errors   m2::Error if the shapes do not fit; the ids themselves are not checked
template <Scalar T, Backend B>
void embedding_vjp(B& be, Input<std::int32_t, 1, B> ids, Input<T, 2, B> dy, View<T, 2, B> dtable) {
  M2_REQUIRE(ids.extent(0) == dy.extent(0) && dtable.extent(1) == dy.extent(1), "embedding_vjp: ids is ", ids.extents(),
             ", dy is ", dy.extents(), ", dtable is ", dtable.extents());
  be.scatter_add_rows(ids, dy, dtable);
}

}  // namespace m2
