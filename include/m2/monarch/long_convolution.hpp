#pragma once

#include <algorithm>
#include <utility>

#include "m2/backend/concept.hpp"
#include "m2/monarch/dft.hpp"
#include "m2/monarch/generic_long_convolution.hpp"

namespace m2 {

/// How a long convolution is computed: by direct summation, O(length^2), causal to the last bit; or by a zero-padded
/// DFT as a Monarch product, O(length log length), where a future input moves past outputs by about eps max|y|.
enum class ConvolutionEngine { automatic, direct, monarch_dft };

struct LongConvolutionOptions {
  bool bidirectional = false;
  ConvolutionEngine engine = ConvolutionEngine::automatic;
};

namespace detail {

/// A backend's own plan, B::LongConvolutionPlan<T>, where it has one.
template <class T, class B>
struct LongConvolutionPlanOf {
  using type = GenericLongConvolution<T, B>;
};
template <class T, class B>
requires requires { typename B::template LongConvolutionPlan<T>; }
struct LongConvolutionPlanOf<T, B> {
  using type = typename B::template LongConvolutionPlan<T>;
};

}  // namespace detail

/// The causal or bidirectional convolution of activations with one kernel for each channel, made for one shape: it
/// chooses the engine and the transform size, and owns twiddles and workspace. Nothing is kept from one call to the
/// next, so one plan serves all layers of its shape; it is not for two threads at a time. Move-only.
///
/// causal          y[b,t,c] = sum_{s <= t} k[t-s,c] u[b,s,c] + skip[c] u[b,t,c]
/// bidirectional   y[b,t,c] = the same + sum_{s > t} k_reverse[s-t-1,c] u[b,s,c]
///
/// So lag 0 belongs to k[0] alone, and k_reverse[length-1] never matters: its gradient is exactly 0.
///
/// Source   math.md B6, D6; m2-reference.md 2.2; Fu et al. 2023 (arXiv:2310.12109)
template <Scalar T, Backend B>
class LongConvolution {
  using Plan = typename detail::LongConvolutionPlanOf<T, B>::type;

 public:
  LongConvolution() = default;

  /// Plans for activations of these extents, (batch, length, channels).
  ///
  /// Errors   m2::Error if length is not in [1, 2^39], batch or channels are negative, or the activations, or the
  ///          kernels, are more than 2^62 bytes
  LongConvolution(B& be, const Extents<3>& extents, LongConvolutionOptions options = {}) {
    M2_REQUIRE(extents[0] >= 0 && extents[2] >= 0, "long_convolution: (batch, length, channels) is ", extents,
               ", batch and channels must not be negative");
    M2_REQUIRE(extents[1] >= 1 && extents[1] <= Index{1} << 39, "long_convolution: (batch, length, channels) is ",
               extents, ", the length must be at least 1 and at most 2^39");
    const Extents<3> at_least_one{std::max<Index>(extents[0], 1), extents[1], std::max<Index>(extents[2], 1)};
    detail::checked_count("long_convolution", at_least_one);
    detail::checked_bytes("long_convolution", element_count(at_least_one), sizeof(T));
    shape_ = {extents[0], extents[1], extents[2], options.bidirectional, true, 0};
    shape_.direct =
        options.engine == ConvolutionEngine::direct ||
        (options.engine == ConvolutionEngine::automatic && shape_.length <= Plan::direct_length(options.bidirectional));
    DftPlan dft;
    if (!shape_.direct) {
      shape_.transform_size = smooth_size(std::max<Index>(2, 2 * shape_.length - 1));
      dft = dft_plan(shape_.transform_size);
    }
    plan_ = Plan(be, shape_, dft);
  }

  /// y = the convolution of u.
  ///
  /// Shapes   u, y (batch, length, channels) with the plan's length and channels and at most its batch; k, k_reverse
  ///          (length, channels); skip (channels). k_reverse is an empty View, {}, if causal; skip may be one.
  /// Writes   y (overwritten); y must not overlap u
  /// Errors   m2::Error if a shape does not fit
  /// Cost     for each two rows of a channel two DFTs of complex size >= 2 length - 1, and one for each kernel; or
  ///          2 length^2 flops, 4 length^2 if bidirectional, for each two rows by direct summation
  void forward(B& be, Input<T, 3, B> u, Input<T, 2, B> k, Input<T, 2, B> k_reverse, Input<T, 1, B> skip,
               View<T, 3, B> y) {
    check(u.extents(), k.extents(), k_reverse, skip);
    M2_REQUIRE(y.extents() == u.extents(), "long_convolution: u is ", u.extents(), ", y is ", y.extents());
    if (u.size() != 0) plan_.forward(be, u, k, k_reverse, skip, y);
  }

  /// The gradients of forward, from its inputs and dy. It needs no forward call before.
  ///
  /// Shapes   dy, du like u; dk, dk_reverse, dskip like k, k_reverse, skip; dskip may be empty, dk_reverse is if causal
  /// Writes   du (overwritten; must not overlap u or dy), dk, dk_reverse, dskip (accumulated)
  /// Errors   m2::Error if a shape does not fit
  /// Cost     for each two rows of a channel three DFTs, and two for each kernel; or three times forward's direct sums
  void backward(B& be, Input<T, 3, B> u, Input<T, 2, B> k, Input<T, 2, B> k_reverse, Input<T, 1, B> skip,
                Input<T, 3, B> dy, View<T, 3, B> du, View<T, 2, B> dk, View<T, 2, B> dk_reverse, View<T, 1, B> dskip) {
    check(u.extents(), k.extents(), k_reverse, skip);
    M2_REQUIRE(dy.extents() == u.extents() && du.extents() == u.extents(), "long_convolution_vjp: u is ", u.extents(),
               ", dy is ", dy.extents(), ", du is ", du.extents());
    M2_REQUIRE(dk.extents() == k.extents() && dk_reverse.extents() == k_reverse.extents(),
               "long_convolution_vjp: k is ", k.extents(), ", dk is ", dk.extents(), ", k_reverse is ",
               k_reverse.extents(), ", dk_reverse is ", dk_reverse.extents());
    M2_REQUIRE(dskip.data() == nullptr || dskip.extent(0) == u.extent(2), "long_convolution_vjp: u is ", u.extents(),
               ", dskip is ", dskip.extents());
    if (u.size() != 0) plan_.backward(be, u, k, k_reverse, skip, dy, du, dk, dk_reverse, dskip);
  }

  ConvolutionEngine engine() const {
    return shape_.direct ? ConvolutionEngine::direct : ConvolutionEngine::monarch_dft;
  }
  /// The size of the DFT, 0 for the direct engine.
  Index transform_size() const { return shape_.transform_size; }
  Index workspace_elements() const { return plan_.workspace_elements(); }

 private:
  void check(const Extents<3>& u, const Extents<2>& k, Input<T, 2, B> k_reverse, Input<T, 1, B> skip) const {
    M2_REQUIRE(u[0] <= shape_.batch && u[1] == shape_.length && u[2] == shape_.channels, "long_convolution: u is ", u,
               ", the plan is for ", Extents<3>{shape_.batch, shape_.length, shape_.channels});
    const Extents<2> needed{shape_.length, shape_.channels};
    M2_REQUIRE(k == needed, "long_convolution: u is ", u, ", k is ", k, ", (length, channels) is needed");
    M2_REQUIRE(!shape_.bidirectional || k_reverse.extents() == needed, "long_convolution: u is ", u, ", k_reverse is ",
               k_reverse.extents(), ", (length, channels) is needed");
    M2_REQUIRE(shape_.bidirectional || k_reverse.data() == nullptr, "long_convolution: k_reverse is ",
               k_reverse.extents(), ", but the plan is causal");
    M2_REQUIRE(skip.data() == nullptr || skip.extent(0) == u[2], "long_convolution: u is ", u, ", skip is ",
               skip.extents());
  }

  LongConvolutionShape shape_;
  Plan plan_;
};

/// One convolution without a plan of one's own, bidirectional if k_reverse is not empty.
///
/// Shapes, Writes, Errors   as LongConvolution::forward
/// Cost                     plans and allocates on every call: keep a LongConvolution where the call repeats
template <Scalar T, Backend B>
void long_convolution(B& be, Input<T, 3, B> u, Input<T, 2, B> k, Input<T, 2, B> k_reverse, Input<T, 1, B> skip,
                      View<T, 3, B> y) {
  LongConvolution<T, B> plan(be, u.extents(), {.bidirectional = k_reverse.data() != nullptr});
  plan.forward(be, u, k, k_reverse, skip, y);
  be.synchronize();
}

}  // namespace m2
