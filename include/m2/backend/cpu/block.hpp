#pragma once

#include "m2/backend/cpu/instruction_set.hpp"
#include "m2/core/index.hpp"

/// One block of a Monarch factor and the vectors that it meets, as the products of blocks take them.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The weights of one block, element (row, column) at data[row * row_stride + column * column_stride].
template <class T>
struct BlockWeights {
  const T* data;
  Index rows, columns, row_stride, column_stride;
};

/// The vectors of one block: digit d at data + d * stride, the batch contiguous; complex numbers in planes. `far` and
/// `streamed` as in VectorTile.
template <class R>
struct BlockVectors {
  R* data;
  Index stride, plane;
  bool far = false, streamed = false;

  BlockVectors at(Index offset) const { return {data + offset, stride, plane, far, streamed}; }
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
