#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <utility>
#include <vector>

#include "m2/core/root_of_unity.hpp"
#include "m2/monarch/permuted.hpp"
#include "m2/monarch/radices.hpp"

/// The DFT as a Monarch matrix times a permutation. With radices r0 .. r_{p-1}, N = r0 r1 .. r_{p-1}, blocks b_f = r0
/// .. r_{f-1}, and w_n = exp(-2 pi i / n), decimation in frequency applies the factors f = 0, 1, .., p-1,
///
///   W_f[o, i, e, j] = w_{b_f r_f}^{j (E(o) + b_f e)},   FactorShape{outer b_f, r_f, r_f, inner N / (b_f r_f)},
///
/// where E(o) is o with its digits (radices r0 .. r_{f-1}) reversed: a DFT of size r_f times twiddles, the same for all
/// inner indices. It leaves frequencies in digit-reversed order: F = P M. F is symmetric, so its transpose F = M^T P^T,
/// decimation in time, is a DFT as well: its input is permuted, and M^T has the shape MonarchShape{r0, .., r_{p-1}}.
/// monarch/dft.hpp is the same product in place, for the engines of long convolutions.
///
/// Source   math.md B5, D1; Dao et al. 2022 (arXiv:2204.00595) Prop. 2; Cooley and Tukey 1965; Gentleman and Sande 1966
namespace m2 {

/// Which end of a DFT is in digit-reversed order: that of time (input) or of frequency (output).
enum class Decimation { time, frequency };

/// none: X[e] = sum_j w_N^{e j} x[j], and the inverse divides by N. ortho: both divide by sqrt(N) and are unitary.
enum class Normalization { none, ortho };

struct DftOptions {
  Decimation decimation = Decimation::time;
  Normalization normalization = Normalization::none;
};

namespace detail {

/// N^power F, with w_N or, if conjugated, 1 / w_N in place of it.
struct DftKind {
  bool conjugated = false;
  double power = 0;
};

inline DftKind dft_kind(bool inverse, Normalization normalization) {
  return {inverse, normalization == Normalization::ortho ? -0.5 : inverse ? -1.0 : 0.0};
}

template <std::size_t Order>
MonarchShape<static_cast<int>(Order)> dft_shape(const std::array<Index, Order>& radices, Decimation decimation) {
  constexpr int order = static_cast<int>(Order);
  if (decimation == Decimation::time) return MonarchShape<order>::square(radices);
  std::array<FactorShape, Order> factors{};
  const Index size = MonarchShape<order>::square(radices).in_features();
  Index blocks = 1;
  for (std::size_t f = 0; f < Order; blocks *= radices[f++])
    factors[f] = {blocks, radices[f], radices[f], size / (blocks * radices[f])};
  return MonarchShape<order>(factors);
}

/// The Monarch matrix of a DFT; decimation says on which side its order is reversed.
template <ComplexScalar T, std::size_t Order, Backend B>
Monarch<static_cast<int>(Order), T, B> dft_factors(B& be, const std::array<Index, Order>& radices,
                                                   Decimation decimation, DftKind kind) {
  const auto shape = dft_shape(radices, decimation);
  const Index size = shape.in_features();
  std::vector<std::complex<double>> roots(static_cast<std::size_t>(size));
  for (Index k = 0; k < size; ++k)
    roots[static_cast<std::size_t>(k)] = root_of_unity(size, kind.conjugated ? size - k : k);

  Monarch<static_cast<int>(Order), T, B> m(shape, be);
  Index blocks = 1;
  std::vector<Index> reversed{0};  // E(o)
  for (std::size_t f = 0; f < Order; ++f) {
    const Index radix = radices[f], step = size / (blocks * radix);  // w_{blocks radix} = w_size^step
    const bool transposed = decimation == Decimation::time;
    const double scale = std::pow(static_cast<double>(radix), kind.power);
    const auto factor = m.factor(static_cast<int>(transposed ? Order - 1 - f : f));
    std::vector<T> weights;
    weights.reserve(static_cast<std::size_t>(factor.size()));
    for (const Index low : reversed)
      for (Index inner = 0; inner < step; ++inner)
        for (Index row = 0; row < radix; ++row)
          for (Index column = 0; column < radix; ++column) {
            const Index e = transposed ? column : row, j = transposed ? row : column;
            const Index turn = j * (low + blocks * e) % (blocks * radix);
            weights.push_back(element_cast<T>(scale * roots[static_cast<std::size_t>(turn * step)]));
          }
    be.upload(weights.data(), factor.data(), factor.size());
    be.synchronize();
    std::vector<Index> next;
    for (const Index low : reversed)
      for (Index e = 0; e < radix; ++e) next.push_back(low + blocks * e);
    reversed = std::move(next);
    blocks *= radix;
  }
  return m;
}

template <std::size_t Order>
std::array<Index, Order> backwards(std::array<Index, Order> radices) {
  std::reverse(radices.begin(), radices.end());
  return radices;
}

}  // namespace detail

/// The DFT without its permutation, a pure Monarch matrix: M x has the frequencies of x in digit-reversed order
/// (decimation in frequency), or M takes x in that order (decimation in time); dft_permutation is the order. A
/// pointwise product of two spectra needs no other order, and the inverse with decimation in time starts from it.
///
/// Errors   m2::Error if the size does not fit
/// Cost     N sum(radices) weights; N sines and cosines, each correct to about one unit in the last place of T
template <int Order, ComplexScalar T, Backend B>
Monarch<Order, T, B> dft_monarch(B& be, const TransformSize<Order>& size, DftOptions options = {}) {
  return detail::dft_factors<T>(be, size.radices, options.decimation, detail::dft_kind(false, options.normalization));
}

/// The same for the inverse DFT.
template <int Order, ComplexScalar T, Backend B>
Monarch<Order, T, B> idft_monarch(B& be, const TransformSize<Order>& size, DftOptions options = {}) {
  return detail::dft_factors<T>(be, size.radices, options.decimation, detail::dft_kind(true, options.normalization));
}

/// The permutation P that completes the Monarch matrix M of a DFT: F = M P (decimation in time), F = P M (in
/// frequency).
template <std::size_t Order>
DigitPermutation dft_permutation(const std::array<Index, Order>& radices, Decimation decimation) {
  return DigitPermutation::reversal(decimation == Decimation::time ? detail::backwards(radices) : radices);
}

/// The DFT or its inverse, in natural order on both sides: a Monarch matrix and a permutation. Its transpose is itself.
///
/// Order  number of factors; 1 is the dense matrix
/// Cost   of a product: 8 N sum(radices) real flops for each vector, and one pass for the permutation
template <int Order, ComplexScalar T, Backend B>
class DftMatrix : public LinearMap<DftMatrix<Order, T, B>> {
 public:
  using value_type = T;
  using backend_type = B;
  using Radices = typename MonarchShape<Order>::Radices;
  static constexpr int order = Order;

  DftMatrix(B& be, const Radices& radices, bool inverse, DftOptions options = {})
      : DftMatrix(be, radices, detail::dft_kind(inverse, options.normalization), options.decimation) {}

  Index size() const { return permuted_.rows(); }
  Index rows() const { return size(); }
  Index cols() const { return size(); }
  Index parameter_count() const { return monarch().parameter_count(); }
  const Radices& radices() const { return radices_; }
  Decimation decimation() const { return decimation_; }
  const Monarch<Order, T, B>& monarch() const { return permuted_.monarch(); }
  /// dft_permutation(radices(), decimation()): on the input with decimation in time, else on the output.
  DigitPermutation permutation() const { return dft_permutation(radices_, decimation_); }
  /// The product of the two: its weights may be trained, from the DFT on.
  const PermutedMonarch<Order, T, B>& permuted() const { return permuted_; }

  /// y = F x for every row of x; the VJP is adjoint().multiply.
  ///
  /// Shapes, Writes, Errors   as PermutedMonarch::multiply
  void multiply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const { permuted_.multiply(be, x, y); }

  /// F^-1, of the same radices.
  DftMatrix inverse(B& be) const {
    return DftMatrix(be, radices_, {!kind_.conjugated, -1.0 - kind_.power}, decimation_);
  }
  DftMatrix inverse() const { return with_backend(&DftMatrix::inverse); }

  /// F^H = conj(F), as F is symmetric.
  DftMatrix adjoint(B& be) const { return DftMatrix(be, radices_, {!kind_.conjugated, kind_.power}, decimation_); }
  DftMatrix adjoint() const { return with_backend(&DftMatrix::adjoint); }

  /// The same matrix, written as the transpose of this product: with the other decimation.
  DftMatrix transpose(B& be) const {
    return DftMatrix(be, radices_, kind_, decimation_ == Decimation::time ? Decimation::frequency : Decimation::time);
  }
  DftMatrix transpose() const { return with_backend(&DftMatrix::transpose); }

 private:
  DftMatrix(B& be, const Radices& radices, detail::DftKind kind, Decimation decimation)
      : radices_(checked(radices)),
        kind_(kind),
        decimation_(decimation),
        permuted_(be, detail::dft_factors<T>(be, radices, decimation, kind),
                  decimation == Decimation::time ? DigitPermutation::identity(size_of(radices))
                                                 : dft_permutation(radices, decimation),
                  decimation == Decimation::time ? dft_permutation(radices, decimation)
                                                 : DigitPermutation::identity(size_of(radices))) {}

  static const Radices& checked(const Radices& radices) {
    size_of(radices);
    return radices;
  }
  static Index size_of(const Radices& radices) { return detail::dft_shape(radices, Decimation::time).in_features(); }

  DftMatrix with_backend(DftMatrix (DftMatrix::*make)(B&) const) const {
    B be;
    return (this->*make)(be);
  }

  Radices radices_;
  detail::DftKind kind_;
  Decimation decimation_;
  PermutedMonarch<Order, T, B> permuted_;
};

/// The DFT of size N = r0 r1 .. r_{p-1}, X[e] = sum_j exp(-2 pi i e j / N) x[j].
///
/// Errors   m2::Error if a radix is below 1 or the size does not fit
template <int Order, ComplexScalar T, Backend B>
DftMatrix<Order, T, B> dft(B& be, const TransformSize<Order>& size, DftOptions options = {}) {
  return {be, size.radices, false, options};
}

/// The inverse DFT.
template <int Order, ComplexScalar T, Backend B>
DftMatrix<Order, T, B> idft(B& be, const TransformSize<Order>& size, DftOptions options = {}) {
  return {be, size.radices, true, options};
}

}  // namespace m2
