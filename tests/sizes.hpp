#pragma once

#include <limits>
#include <vector>

#include "m2/core/index.hpp"
#include "tests/rapidcheck.hpp"

/// Sizes as a caller may give them, and arithmetic on them that cannot overflow.
namespace m2::test {

/// A number of up to 2^63, where all that is larger counts as 2^63: products of sizes without overflow, exact as long
/// as they fit an Index.
class ExactSize {
  __extension__ using Wide = __int128;

 public:
  ExactSize(Index value) : value_(value) {}  // NOLINT: sizes mix with numbers
  bool fits() const { return value_ <= std::numeric_limits<Index>::max(); }
  bool is(Index value) const { return value_ == value; }

  friend ExactSize operator*(ExactSize a, ExactSize b) { return capped(a.value_ * b.value_); }
  friend ExactSize operator+(ExactSize a, ExactSize b) { return capped(a.value_ + b.value_); }
  friend bool operator<=(ExactSize a, ExactSize b) { return a.value_ <= b.value_; }

 private:
  static ExactSize capped(Wide value) {
    constexpr Wide cap = Wide{1} << 63;
    ExactSize result(0);
    result.value_ = value < cap ? value : cap;
    return result;
  }
  Wide value_;
};

#ifdef M2_HAS_RAPIDCHECK
/// Any size: small ones, primes, zero, negative ones, and those near the places where arithmetic breaks.
inline Index any_size() {
  static const std::vector<Index> places{0,
                                         Index{1} << 15,
                                         Index{1} << 16,
                                         Index{1} << 21,
                                         Index{1} << 31,
                                         Index{1} << 32,
                                         Index{3037000500},  // the first whose square does not fit 63 bits
                                         Index{1} << 40,
                                         Index{1} << 61,
                                         Index{1} << 62,
                                         2147483647,  // primes
                                         4294967291,
                                         2305843009213693951,
                                         std::numeric_limits<Index>::max() - 2,
                                         std::numeric_limits<Index>::min() + 4};
  if (*rc::gen::inRange(0, 3) != 0) return *rc::gen::inRange<Index>(1, 12);
  return *rc::gen::elementOf(places) + *rc::gen::inRange<Index>(-2, 3);
}
#endif

}  // namespace m2::test
