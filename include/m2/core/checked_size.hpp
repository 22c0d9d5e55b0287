#pragma once

#include <array>
#include <cstddef>

#include "m2/core/error.hpp"
#include "m2/core/index.hpp"

/// Arithmetic on sizes that a caller gives: a result that does not fit is an error, never a wrong number. `op` begins
/// the message. The messages are made in functions of their own, so that a check costs its caller a jump.
namespace m2::detail {

[[noreturn]] inline void throw_overflow(const char* op, Index a, const char* sign, Index b) {
  throw_error({op, ": ", a, sign, b, " does not fit 64 bits"});
}

constexpr Index checked_product(const char* op, Index a, Index b) {
  Index product = 0;
  if (__builtin_mul_overflow(a, b, &product)) throw_overflow(op, a, " x ", b);
  return product;
}

constexpr Index checked_sum(const char* op, Index a, Index b) {
  Index sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) throw_overflow(op, a, " + ", b);
  return sum;
}

template <std::size_t N>
[[noreturn]] void throw_uncountable(const char* op, const std::array<Index, N>& extents) {
  for (const Index extent : extents) M2_REQUIRE(extent >= 0, op, ": extents ", extents, " are negative");
  throw_error({op, ": extents ", extents, " are too large, their product does not fit 64 bits"});
}

/// The number of elements of an array with these extents. An extent of 0 does not excuse the others: strides are
/// products of them.
template <std::size_t N>
constexpr Index checked_count(const char* op, const std::array<Index, N>& extents) {
  Index count = 1;
  bool empty = false;
  for (const Index extent : extents) {
    if (extent < 0 || (extent > 0 && __builtin_mul_overflow(count, extent, &count))) throw_uncountable(op, extents);
    empty = empty || extent == 0;
  }
  return empty ? 0 : count;
}

/// The size in bytes of n elements: at most 2^62, so that sums of a few such sizes fit, too.
constexpr std::size_t checked_bytes(const char* op, Index n, std::size_t element) {
  constexpr Index most = Index{1} << 62;
  if (n < 0 || n > most / static_cast<Index>(element))
    throw_error({op, ": ", n, " elements of ", element, " bytes are no size of memory"});
  return static_cast<std::size_t>(n) * element;
}

}  // namespace m2::detail
