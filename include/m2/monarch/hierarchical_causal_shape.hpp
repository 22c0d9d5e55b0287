#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "m2/monarch/causal_shape.hpp"
#include "m2/ops/random.hpp"

namespace m2 {

/// The weights of a HierarchicalCausal matrix of p levels. Positions have the digits (j_0, .., j_{p-1}), the last one
/// contiguous, and W is the number of positions that one value of a digit stands for.
///
/// Level l connects positions whose most significant differing digit is a = p - 1 - l. It has l dense factors, those of
/// a Monarch matrix on the digits below a, and a triangle for digit a, strictly lower but at level 0, which has the
/// diagonal. Weights lie level by level, level 0 first; in a level its factors in the order of application, then the
/// triangles. With groups = the number of values of the digits above a,
///
///   factor f    (groups, outer, inner, out, in), in = r_{p-1-f}, of the r_a - 1 values of digit a that a later
///               one reads
///   triangles   (groups, W, triangle), each row by row
///
/// so that no entry above a diagonal exists, and every weight changes the matrix.
///
/// Source   math.md D7
template <int Order>
class HierarchicalCausalShape {
 public:
  using Radices = typename MonarchShape<Order>::Radices;

  /// What one level needs to know; offsets count from the first weight.
  struct Level {
    Index radix = 1, weight = 1, groups = 1;  ///< of its digit: r_a, W, the values of the digits above
    Index triangle = 0;                       ///< numbers in one triangle
    Index triangles = 0;                      ///< offset of (groups, weight, triangle)
    Radices factors{};                        ///< offset of dense factor f, f < l
  };

  /// length   the longest sequence; 0 means r_0 .. r_{p-1}. r_0 becomes what the length needs.
  ///
  /// Errors   m2::Error if a radix is below 1, the length is not in [0, r_0 .. r_{p-1}], or the weights do not fit an
  ///          Index
  explicit HierarchicalCausalShape(const Radices& radices, Index length = 0) : radices_(radices) {
    Index size = 1, weight = 1;
    for (const Index r : radices) size = detail::checked_product(size, r);
    length_ = length == 0 ? size : length;
    M2_REQUIRE(length_ >= 1 && length_ <= size, "hierarchical_causal: the length is ", length_, ", radices ", radices,
               " have ", size, " positions");
    radices_[0] = detail::ceil_divide(length_, size / radices[0]);
    for (std::size_t l = 0; l < levels_.size(); ++l) {
      Level& level = levels_[l];
      level.radix = radices_[digit(l)];
      level.weight = weight;
      for (std::size_t d = 0; d < digit(l); ++d) level.groups *= radices_[d];
      for (std::size_t f = 0; f < l; ++f) {
        level.factors[f] = count_;
        add(level.groups * weight, level.radix - 1, radices_[digit(f)]);
      }
      level.triangle =
          checked(level.radix, detail::checked_sum("hierarchical_causal", level.radix, l == 0 ? 1 : -1)) / 2;
      level.triangles = count_;
      add(level.groups, weight, level.triangle);
      weight *= level.radix;
    }
  }

  /// With causal_radices(length).
  static HierarchicalCausalShape of_length(Index length) {
    return HierarchicalCausalShape(causal_radices<Order>(length), length);
  }

  Index length() const { return length_; }
  const Radices& radices() const { return radices_; }
  /// r_0 .. r_{p-1}, the length rounded up to whole values of digit 0.
  Index size() const { return levels_.back().weight * radices_[0]; }
  const Level& level(int l) const { return levels_[static_cast<std::size_t>(l)]; }
  Index parameter_count() const { return count_; }

  /// Floating-point operations of one multiply by `batch` vectors of size(), an addition and a multiplication
  /// counting 2.
  double multiply_flops(Index batch) const { return 2.0 * static_cast<double>(count_) * static_cast<double>(batch); }

  /// The dense factors of level L as a Monarch matrix, for the first `values` values of its digit in one group.
  template <int L>
  MonarchShape<L> dense(Index values) const {
    std::array<FactorShape, static_cast<std::size_t>(L)> factors;
    Index outer = values;
    for (std::size_t f = static_cast<std::size_t>(L); f-- > 0;) {
      const Index r = radices_[digit(f)];
      factors[f] = {outer, r, r, level(static_cast<int>(f)).weight};
      outer *= r;
    }
    return MonarchShape<L>(factors);
  }

  /// Writes weights whose matrix is the identity: triangles of level 0 the identity, the others zero, dense factors
  /// uniform in +-sqrt(3 / in). To train, start here: the dense factors keep the variance, so every triangle entry has
  /// a gradient of its size at once.
  ///
  /// Errors   m2::Error if there is another number of weights than parameter_count()
  template <Scalar T>
  void write_identity(std::span<T> weights, Rng& rng) const {
    M2_REQUIRE(std::ssize(weights) == count_, "hierarchical_causal: ", weights.size(), " weights, ", count_,
               " are needed");
    std::fill(weights.begin(), weights.end(), T{0});
    const Level& bottom = levels_[0];
    for (Index block = 0; block < bottom.groups; ++block)
      for (Index i = 0; i < bottom.radix; ++i)
        weights[static_cast<std::size_t>(block * bottom.triangle + i * (i + 3) / 2)] = T{1};
    for (std::size_t l = 1; l < levels_.size(); ++l)
      for (std::size_t f = 0; f < l; ++f) {
        const Index end = f + 1 < l ? levels_[l].factors[f + 1] : levels_[l].triangles;
        const auto bound = static_cast<T>(std::sqrt(3.0 / static_cast<double>(radices_[digit(f)])));
        for (Index i = levels_[l].factors[f]; i < end; ++i)
          weights[static_cast<std::size_t>(i)] = rng.uniform<T>(-bound, bound);
      }
  }

  friend bool operator==(const HierarchicalCausalShape& a, const HierarchicalCausalShape& b) {
    return a.radices_ == b.radices_ && a.length_ == b.length_;
  }

 private:
  /// The digit that level l mixes by its triangle, and factor l of the levels above it.
  static constexpr std::size_t digit(std::size_t l) { return static_cast<std::size_t>(Order) - 1 - l; }
  static Index checked(Index a, Index b) { return detail::checked_product("hierarchical_causal", a, b); }
  void add(Index a, Index b, Index c) {
    count_ = detail::checked_sum("hierarchical_causal", count_, checked(checked(a, b), c));
  }

  Radices radices_;
  Index length_ = 0, count_ = 0;
  std::array<Level, static_cast<std::size_t>(Order)> levels_{};
};

}  // namespace m2
