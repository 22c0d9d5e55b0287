#pragma once

#include "m2/backend/cpu/register_tile.hpp"
#include "m2/backend/cpu/transpose.hpp"
#include "m2/backend/cpu/two_operand_loop.hpp"
#include "m2/core/factor_shape.hpp"

/// Packed weights where a number has to be spread over a register before it multiplies one (SSE2): registers of weights
/// meet registers of the vector, and nothing is spread nor transposed.
///
/// Blocks lie along the lanes, or, where inner = 1, diagonals of one block: lane i of the register of outputs e, e + 1,
/// .. and of term k is W(e + i, (k + i) mod in). It meets the inputs k, k + 1, .., a register that begins at any
/// number. Registers lie in the order in which tiles read them: (block or group of blocks, tile of outputs, term,
/// output, lane).
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// True if packed weights have this order.
inline constexpr bool tiled_weights = !numbers_are_operands;

/// Registers of outputs of a block, or of a group of blocks.
template <class R>
Index output_registers(const FactorShape& f) {
  return f.inner == 1 ? f.out / Lanes<R>::count : f.out;
}

/// Numbers from one block, or group of blocks, to the next.
template <class R>
Index tiled_group(const FactorShape& f) {
  return output_registers<R>(f) * Lanes<R>::count * f.in;
}

/// The last terms of a diagonal, which begin so near the end of the inputs that they go on at their beginning: a
/// register of terms, all if they are less.
template <class R>
Index wrapped_terms(Index inputs) {
  return std::min(inputs, Lanes<R>::count);
}

/// What these terms meet: the last inputs and the first ones behind them, two registers.
template <class R>
M2_INLINE void wrap(const R* from, Index inputs, R* to) {
  constexpr Index lanes = Lanes<R>::count;
  if (inputs < lanes) {
    for (Index k = 0; k < 2 * lanes; ++k) to[k] = k < inputs ? from[k] : to[k - inputs];
  } else {
    Lanes<R>::load(from + inputs - lanes).store(to);
    Lanes<R>::load(from).store(to + lanes);
  }
}

/// Packs the weights (inner, out, in) of one block, or of one group of blocks along the lanes.
template <class R>
void pack_tiles(const FactorShape& f, const R* weights, R* packed) {
  constexpr Index lanes = Lanes<R>::count, wrapped = 2 * lanes;
  for_row_tiles(output_registers<R>(f), two_operand_rows, [&](Index registers, Index) {
    const Index term = registers * lanes;
    for (Index j = 0; j < registers; ++j) {
      R* const to = packed + j * lanes;
      if (f.inner > 1) {
        transpose(weights, f.out * f.in, lanes, f.in, to, term);
        weights += f.in;
        continue;
      }
      // Diagonals are the columns of rows that begin one number later each.
      R ends[std::size_t{lanes * wrapped}];
      for (Index i = 0; i < lanes; ++i) wrap(weights + i * f.in, f.in, ends + i * wrapped);
      const Index last = wrapped_terms<R>(f.in), direct = f.in - last;
      transpose(weights, f.in + 1, lanes, direct, to, term);
      transpose(ends, wrapped + 1, lanes, last, to + direct * term, term);
      weights += lanes * f.in;
    }
    packed += term * f.in;
  });
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
