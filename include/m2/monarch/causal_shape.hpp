#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "m2/monarch/triangular.hpp"

namespace m2 {

namespace detail {

/// Tries all lower digits, from `digit` on to the top digit 0, between half and twice the balanced radix, lowest
/// smallest. The cost is N sum of r_a, each r_a rounded up to a multiple of 4 as in the rows of products of blocks.
template <std::size_t Order>
void search_radices(Index length, std::size_t digit, Index weight, std::array<Index, Order>& radices,
                    std::array<Index, Order>& best, double& best_cost) {
  if (digit == 0) {
    radices[0] = ceil_divide(length, weight);
    double size = 1, sum = 0;
    for (const Index r : radices) size *= static_cast<double>(r), sum += static_cast<double>((r + 3) / 4 * 4);
    if (size * sum < best_cost) best = radices, best_cost = size * sum;
    return;
  }
  const double balanced = std::pow(static_cast<double>(length), 1.0 / static_cast<double>(Order));
  const Index smallest = digit + 1 < Order ? radices[digit + 1] : std::max<Index>(1, static_cast<Index>(balanced / 2));
  for (Index r = smallest; r <= static_cast<Index>(2 * balanced); ++r) {
    radices[digit] = r;
    search_radices(length, digit - 1, weight * r, radices, best, best_cost);
  }
}

}  // namespace detail

/// The radices r_0, .., r_{p-1}, the top digit first, of an order-p triangular product for a length: N = r_0 .. r_{p-1}
/// >= length with the least work, N sum of r_a, where a radix counts as the next multiple of 4.
///
/// Errors   m2::Error if the length is not in [1, 2^40]
template <int Order>
std::array<Index, static_cast<std::size_t>(Order)> causal_radices(Index length) {
  M2_REQUIRE(length >= 1 && length <= Index{1} << 40, "causal_radices: ", length, " is not in [1, 2^40]");
  std::array<Index, static_cast<std::size_t>(Order)> radices{}, best{};
  double best_cost = std::numeric_limits<double>::infinity();
  detail::search_radices(length, radices.size() - 1, 1, radices, best, best_cost);
  return best;
}

/// The coefficients of a CausalMonarch: three products of lower triangular blocks, one after the other in memory,
///
///   Q1, of the kernel    kernel_triangles(), from 0 on
///   Q2, of the input     triangles(), from input_offset() on
///   D0 = Q0^-1, of the output   triangles(), from output_offset() on
///
/// each as TriangularShape lays it out. Polynomials of the input have degree below W_0 r_0, those of the kernel below
/// W_0 h_k, h_k W_0 >= kernel_length: with those budgets their product has fewer than N = W_0 top_points()
/// coefficients.
///
/// Source   math.md D2, D4
template <int Order>
class CausalMonarchShape {
 public:
  using Radices = typename MonarchShape<Order>::Radices;

  CausalMonarchShape() : CausalMonarchShape(ones()) {}

  /// length         the longest sequence; 0 means r_0 .. r_{p-1}, the most there can be
  /// kernel_length  the kernel is zero from there on; 0 means the length
  ///
  /// Errors   m2::Error if a radix is below 1, or the lengths do not fit the radices
  explicit CausalMonarchShape(const Radices& radices, Index length = 0, Index kernel_length = 0)
      : triangles_(radices),
        length_(length == 0 ? triangles_.size() : length),
        kernel_length_(kernel_length == 0 ? length_ : kernel_length),
        kernel_triangles_(with_top(radices, checked_kernel_blocks())),
        count_(detail::checked_sum("causal_monarch", kernel_triangles_.coefficient_count(),
                                   detail::checked_product("causal_monarch", 2, triangles_.coefficient_count()))) {}

  /// With causal_radices(length).
  static CausalMonarchShape of_length(Index length, Index kernel_length = 0) {
    return CausalMonarchShape(causal_radices<Order>(length), length, kernel_length);
  }

  Index length() const { return length_; }
  Index kernel_length() const { return kernel_length_; }
  const TriangularShape<Order>& triangles() const { return triangles_; }
  const TriangularShape<Order>& kernel_triangles() const { return kernel_triangles_; }
  Index input_offset() const { return kernel_triangles_.coefficient_count(); }
  Index output_offset() const { return input_offset() + triangles_.coefficient_count(); }
  Index coefficient_count() const { return count_; }

  /// The least number of values of the top digit that no product of a kernel and an input wraps around, for sequences
  /// of this length: h_u + h_k, one less where the top digit is the only one.
  Index top_points(Index length) const {
    const Index weight = triangles_.weight(0);
    return detail::ceil_divide(length, weight) + detail::ceil_divide(std::min(length, kernel_length_), weight) -
           (weight == 1 ? 1 : 0);
  }

  /// Writes the coefficients of the plain causal convolution, as many heads as there is room for: all blocks the
  /// identity. To train, start here: every coefficient below the diagonals has a gradient.
  ///
  /// Errors   m2::Error if the size is no multiple of coefficient_count()
  template <Scalar T>
  void write_identity(std::span<T> coefficients) const {
    const auto count = static_cast<std::size_t>(count_);
    M2_REQUIRE(coefficients.size() % count == 0, "causal_monarch: ", coefficients.size(),
               " coefficients are no multiple of ", count_);
    std::fill(coefficients.begin(), coefficients.end(), T{0});
    for (std::size_t head = 0; head < coefficients.size(); head += count) {
      write_identity(kernel_triangles_, coefficients.data() + head);
      write_identity(triangles_, coefficients.data() + head + input_offset());
      write_identity(triangles_, coefficients.data() + head + output_offset());
    }
  }

  friend bool operator==(const CausalMonarchShape&, const CausalMonarchShape&) = default;

 private:
  static Radices ones() {
    Radices radices;
    radices.fill(1);
    return radices;
  }
  static Radices with_top(Radices radices, Index top) {
    radices[0] = top;
    return radices;
  }
  Index checked_kernel_blocks() const {
    M2_REQUIRE(length_ >= 1 && length_ <= triangles_.size() && kernel_length_ >= 1 && kernel_length_ <= length_,
               "causal_monarch: length ", length_, " and kernel_length ", kernel_length_, " do not fit radices ",
               triangles_.radices(), " of ", triangles_.size(), " positions");
    return detail::ceil_divide(kernel_length_, triangles_.weight(0));
  }
  template <Scalar T>
  static void write_identity(const TriangularShape<Order>& shape, T* to) {
    for (int a = 0; a < Order; ++a)
      for (Index c = 0; c < shape.weight(a); ++c)
        for (Index d = 0; d < shape.radix(a); ++d) to[shape.at(a, c, d, d)] = T{1};
  }

  TriangularShape<Order> triangles_;
  Index length_, kernel_length_;
  TriangularShape<Order> kernel_triangles_;
  Index count_ = 0;
};

}  // namespace m2
