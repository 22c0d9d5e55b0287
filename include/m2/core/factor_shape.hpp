#pragma once

#include <span>

#include "m2/core/index.hpp"

namespace m2 {

/// The shape of one Monarch factor. It reads a vector as x[o, d, i] with o < outer, d < in, i < inner, and mixes the
/// middle digit, by a matrix of its own for every (o, i):
///
///   y[o, e, i] = sum_d W[o, i, e, d] x[o, d, i],  e < out
///
/// So a factor is block-diagonal up to the permutations that these strides stand for; no data is ever permuted. The
/// weights lie contiguously as (outer, inner, out, in).
///
/// MonarchShape checks that extents are positive and that every size below fits an Index.
struct FactorShape {
  Index outer = 1, in = 1, out = 1, inner = 1;

  constexpr Index blocks() const { return outer * inner; }
  constexpr Index in_size() const { return outer * in * inner; }
  constexpr Index out_size() const { return outer * out * inner; }
  constexpr Index weight_count() const { return blocks() * out * in; }

  friend constexpr bool operator==(const FactorShape&, const FactorShape&) = default;
};

namespace detail {

/// What a backend's own kernel is told of a Monarch multiply; the caller has checked that everything fits.
template <class T>
struct MonarchCall {
  std::span<const FactorShape> factors;  ///< in the order of application
  std::span<const T* const> weights;     ///< of each factor
  Index in_features, out_features;       ///< the rest of the padded sizes is zero, or cut
  Index widest;                          ///< the longest vector between, before and after the factors
  Index batch;
  Index weight_count;  ///< of all factors
  const T* packed =
      nullptr;  ///< the weights of all factors in the order of the backend's kernels, if it was given them

  Index padded_in() const { return factors.front().in_size(); }
  Index padded_out() const { return factors.back().out_size(); }
};

}  // namespace detail
}  // namespace m2
