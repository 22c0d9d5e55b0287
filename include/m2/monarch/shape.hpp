#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <ostream>

#include "m2/core/checked_size.hpp"
#include "m2/core/error.hpp"
#include "m2/core/factor_shape.hpp"

namespace m2 {

namespace detail {

/// a * b for extents of a Monarch shape: both must be positive.
inline Index checked_product(Index a, Index b) {
  M2_REQUIRE(a >= 1 && b >= 1, "monarch shape: an extent is ", std::min(a, b), ", at least 1 is needed");
  return checked_product("monarch shape", a, b);
}

inline Index ceil_divide(Index a, Index b) {
  M2_REQUIRE(a >= 1 && b >= 1, "monarch shape: cannot cut ", a, " features into ", b, " blocks");
  return (a - 1) / b + 1;
}

}  // namespace detail

inline std::ostream& operator<<(std::ostream& out, const FactorShape& f) {
  return out << f.outer << " x " << f.inner << " blocks of " << f.out << " x " << f.in;
}

/// The shape of an order-p Monarch matrix: its factors in the order in which they meet the input.
///
/// A vector of size N = r0 r1 .. r_{p-1} is read as digits (j0, j1, .., j_{p-1}), the last one contiguous. The first
/// factor mixes the last digit, the next one the digit before it, and so on; a factor has one matrix for every value of
/// all other digits. Radices may differ, input and output radices may differ (rectangular), and the two-factor shapes
/// of the reference code re-read the middle vector with another number of blocks. Where in_features or out_features is
/// less than the product of the radices, the input is padded with zeros and the output cut, as the reference's linear
/// layers do.
///
/// Source   Dao et al. 2022 (arXiv:2204.00595) Def. 1; Fu et al. 2023 (arXiv:2310.12109) Sec. 3
template <int Order>
class MonarchShape {
  static_assert(Order >= 1, "A Monarch matrix has at least one factor: Order >= 1.");

 public:
  using Radices = std::array<Index, static_cast<std::size_t>(Order)>;

  /// Square, with these radices: N = r0 r1 .. r_{p-1}. MonarchShape<2>{64, 64} is 4096 x 4096.
  template <std::convertible_to<Index>... R>
  requires(sizeof...(R) == Order) MonarchShape(R... radices)  // NOLINT: implicit, so that {64, 64} is a shape
      : MonarchShape(square(Radices{static_cast<Index>(radices)...})) {}

  static MonarchShape square(const Radices& radices) { return rectangular(radices, radices); }

  /// Factor a maps digit a from in_radices[a] to out_radices[a] values: (out_0 .. out_{p-1}) x (in_0 .. in_{p-1}).
  static MonarchShape rectangular(const Radices& in_radices, const Radices& out_radices) {
    std::array<FactorShape, static_cast<std::size_t>(Order)> factors{};
    Index inner = 1;
    for (int f = 0; f < Order; ++f) {
      const auto digit = static_cast<std::size_t>(Order - 1 - f);
      Index outer = 1;
      for (std::size_t d = 0; d < digit; ++d) outer = detail::checked_product(outer, in_radices[d]);
      factors[static_cast<std::size_t>(f)] = {outer, in_radices[digit], out_radices[digit], inner};
      inner = detail::checked_product(inner, out_radices[digit]);
    }
    return MonarchShape(factors);
  }

  /// One block-diagonal matrix of `blocks` blocks, out_features x in_features; sizes round up to multiples of the
  /// blocks.
  static MonarchShape block_diagonal(Index in_features, Index out_features, Index blocks) requires(Order == 1) {
    return MonarchShape(
        {FactorShape{blocks, detail::ceil_divide(in_features, blocks), detail::ceil_divide(out_features, blocks), 1}},
        in_features, out_features);
  }

  /// The reference's two-factor multiply: first weights (k, q, p), second weights (l, s, r), l r = k q; the matrix is
  /// s l x k p. Block i of the second factor gathers the middle vector with stride l.
  static MonarchShape butterfly(Index k, Index q, Index p, Index l, Index s, Index r) requires(Order == 2) {
    return MonarchShape({FactorShape{k, p, q, 1}, FactorShape{1, r, s, l}});
  }

  /// The reference's MonarchLinear: `blocks` blocks in both factors, middle blocks as small as the smaller side.
  static MonarchShape linear(Index in_features, Index out_features, Index blocks) requires(Order == 2) {
    const Index in = detail::ceil_divide(in_features, blocks), out = detail::ceil_divide(out_features, blocks);
    const Index middle = std::min(in, out);
    return MonarchShape({FactorShape{blocks, in, middle, 1}, FactorShape{1, middle, out, blocks}}, in_features,
                        out_features);
  }

  /// Any chain of factors whose sizes fit; 0 features mean the padded size.
  ///
  /// Errors   m2::Error if an extent is less than 1, a factor does not take what the one before gives, features are not
  ///          in [1, padded size], or a size or the number of weights does not fit an Index
  explicit MonarchShape(const std::array<FactorShape, static_cast<std::size_t>(Order)>& factors, Index in_features = 0,
                        Index out_features = 0)
      : factors_(factors) {
    for (const FactorShape& f : factors_) {  // every size and weight count must fit an Index, and so must their sum
      const Index blocks = detail::checked_product(f.outer, f.inner);
      const Index weights = detail::checked_product(detail::checked_product(blocks, f.in), f.out);
      parameter_count_ = detail::checked_sum("monarch shape", parameter_count_, weights);
    }
    for (std::size_t f = 0; f + 1 < factors_.size(); ++f) {
      M2_REQUIRE(factors_[f].out_size() == factors_[f + 1].in_size(), "monarch shape: factor ", f, " gives ",
                 factors_[f].out_size(), " values, factor ", f + 1, " takes ", factors_[f + 1].in_size());
    }
    widest_ = padded_in();
    for (const FactorShape& f : factors_) widest_ = std::max(widest_, f.out_size());
    in_features_ = in_features == 0 ? padded_in() : in_features;
    out_features_ = out_features == 0 ? padded_out() : out_features;
    M2_REQUIRE(in_features_ >= 1 && in_features_ <= padded_in() && out_features_ >= 1 && out_features_ <= padded_out(),
               "monarch shape: ", out_features_, " x ", in_features_, " does not fit factors of ", padded_out(), " x ",
               padded_in());
  }

  Index in_features() const { return in_features_; }
  Index out_features() const { return out_features_; }
  Index padded_in() const { return factors_.front().in_size(); }
  Index padded_out() const { return factors_.back().out_size(); }
  /// Factor f, in the order of application. Errors: m2::Error if there is none.
  const FactorShape& factor(int f) const {
    M2_REQUIRE(f >= 0 && f < Order, "monarch shape: there is no factor ", f, ", the order is ", Order);
    return factors_[static_cast<std::size_t>(f)];
  }
  const std::array<FactorShape, static_cast<std::size_t>(Order)>& factors() const { return factors_; }

  /// The longest vector between, before and after the factors.
  Index widest() const { return widest_; }

  Index parameter_count() const { return parameter_count_; }

  /// Floating-point operations of one multiply by `batch` vectors, an addition and a multiplication counting 2.
  double multiply_flops(Index batch) const {
    return 2.0 * static_cast<double>(parameter_count()) * static_cast<double>(batch);
  }

  friend bool operator==(const MonarchShape&, const MonarchShape&) = default;

  friend std::ostream& operator<<(std::ostream& out, const MonarchShape& shape) {
    return out << shape.out_features_ << " x " << shape.in_features_;
  }

 private:
  std::array<FactorShape, static_cast<std::size_t>(Order)> factors_;
  Index in_features_ = 0, out_features_ = 0, widest_ = 0, parameter_count_ = 0;
};

namespace detail {

/// Throws m2::Error unless two shapes are the same. Matrices of one size can have many factors: then it names the first
/// that differs. `a` and `b` say whose they are.
template <int Order>
void require_same_shape(const char* op, const char* a, const MonarchShape<Order>& first, const char* b,
                        const MonarchShape<Order>& second) {
  if (first == second) return;
  M2_REQUIRE(first.in_features() == second.in_features() && first.out_features() == second.out_features(), op, ": ", a,
             " is ", first, ", ", b, " is ", second);
  int f = 0;
  while (first.factor(f) == second.factor(f)) ++f;
  throw_error({op, ": ", a, " and ", b, " are ", first, ", but factor ", f, " has ", first.factor(f), " in the one, ",
               second.factor(f), " in the other"});
}

}  // namespace detail
}  // namespace m2
