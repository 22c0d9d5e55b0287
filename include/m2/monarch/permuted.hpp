#pragma once

#include <algorithm>
#include <utility>

#include "m2/monarch/linear_map.hpp"
#include "m2/monarch/monarch.hpp"
#include "m2/monarch/permutation.hpp"

namespace m2 {

/// A Monarch matrix M with permutations at its ends, A = P_out M P_in: what is left of the DFT and of some conventions
/// of the papers when everything in between is strides.
template <int Order, Element T, Backend B>
class PermutedMonarch : public LinearMap<PermutedMonarch<Order, T, B>> {
 public:
  using value_type = T;
  using backend_type = B;
  static constexpr int order = Order;

  /// Errors   m2::Error if a permutation does not fit M
  PermutedMonarch(B& be, Monarch<Order, T, B> m, const DigitPermutation& output, const DigitPermutation& input)
      : monarch_(std::move(m)),
        output_(output),
        input_(input),
        output_map_(map_of(be, output)),
        input_map_(map_of(be, input)) {
    M2_REQUIRE(output.size() == monarch_.rows() && input.size() == monarch_.cols(), "permuted Monarch: M is ",
               monarch_.shape(), ", the permutations are of ", output.size(), " and ", input.size());
  }

  Index rows() const { return monarch_.rows(); }
  Index cols() const { return monarch_.cols(); }
  Monarch<Order, T, B>& monarch() { return monarch_; }
  const Monarch<Order, T, B>& monarch() const { return monarch_; }
  const DigitPermutation& output_permutation() const { return output_; }
  const DigitPermutation& input_permutation() const { return input_; }

  /// y = P_out M P_in x for every row of x.
  ///
  /// Shapes   x (batch, cols), y (batch, rows), any strides
  /// Writes   y (overwritten); must not overlap x
  /// Errors   m2::Error if a shape does not fit
  /// Cost     the Monarch multiply, and one pass for each permutation that is not the identity, through an array of up
  ///          to 256 vectors for the time of the call
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const {
    this->check("permuted Monarch", x, y);
    const Index step = std::min(x.extent(0), tile);
    Tensor<T, 1, B> in(be, {input_.is_identity() ? 0 : step * cols()});
    Tensor<T, 1, B> out(be, {output_.is_identity() ? 0 : step * rows()});
    for (Index begin = 0; begin < x.extent(0); begin += step) {
      const Index batch = std::min(step, x.extent(0) - begin);
      const View<T, 2, B> to = y.slice(0, begin, batch);
      View<const T, 2, B> from = x.slice(0, begin, batch);
      if (!input_.is_identity()) {
        const View<T, 2, B> permuted = like(from, in.data(), cols());
        detail::move_columns<false, T>(be, input_map_.data(), from, permuted);
        from = permuted;
      }
      const View<T, 2, B> product = output_.is_identity() ? to : like(View<const T, 2, B>(to), out.data(), rows());
      monarch_multiply(be, monarch_.view(), from, product);
      if (!output_.is_identity()) detail::move_columns<false, T>(be, output_map_.data(), product, to);
    }
    be.synchronize();
  }

  /// The VJP of multiply: dx = A^H dy, and dm += the gradient of M.
  ///
  /// Shapes   x, dx (batch, cols), dy (batch, rows); dm has M's shape
  /// Writes   dx (overwritten), dm (accumulated); dx must not overlap x or dy
  /// Errors   m2::Error if a shape does not fit
  /// Cost     monarch_multiply_vjp and two passes for each permutation, through arrays of the size of x and dy
  void multiply_vjp(B& be, Input<T, 2, B> x, Input<T, 2, B> dy, View<T, 2, B> dx,
                    const MonarchView<Order, T, B>& dm) const {
    this->check("permuted Monarch vjp", x, dy);
    M2_REQUIRE(dx.extents() == x.extents(), "permuted Monarch vjp: x is ", x.extents(), ", dx is ", dx.extents());
    const Index batch = x.extent(0);
    Tensor<T, 1, B> in(be, {batch * cols()}), dout(be, {batch * rows()}), din(be, {batch * cols()});
    const View<T, 2, B> permuted = like(x, in.data(), cols()), dpermuted = like(x, din.data(), cols());
    const View<T, 2, B> dproduct = like(dy, dout.data(), rows());
    detail::move_columns<false, T>(be, input_map_.data(), x, permuted);
    detail::move_columns<true, T>(be, output_map_.data(), dy, dproduct);
    monarch_multiply_vjp(be, monarch_.view(), permuted, dproduct, dpermuted, dm);
    detail::move_columns<true, T>(be, input_map_.data(), dpermuted, dx);
    be.synchronize();
  }

 private:
  static constexpr Index tile = 256;

  static Tensor<Index, 1, B> map_of(B& be, const DigitPermutation& p) { return detail::upload_map(be, p.index_map()); }

  /// Memory seen as vectors in the layout of other ones: features or batch contiguous.
  static View<T, 2, B> like(View<const T, 2, B> other, T* data, Index features) {
    const Index batch = other.extent(0);
    if (other.stride(0) < other.stride(1)) return {data, {batch, features}, {1, batch}};
    return {data, {batch, features}, {features, 1}};
  }

  Monarch<Order, T, B> monarch_;
  DigitPermutation output_, input_;
  Tensor<Index, 1, B> output_map_, input_map_;
};

}  // namespace m2
