#pragma once

#include <complex>
#include <vector>

#include "m2/monarch/causal_shape.hpp"
#include "m2/monarch/polynomial.hpp"
#include "m2/ops/elementwise.hpp"

/// What a CausalMonarch is: its three polynomial bases, the complex Monarch matrices of the papers, and the dense
/// matrix. For tests, documentation and small sizes.
namespace m2 {

namespace detail {

template <Scalar T, Backend B>
std::vector<T> download_strided(B& be, View<const T, 1, B> from) {
  Tensor<T, 1, B> contiguous(be, from.extents());
  m2::copy(be, from, contiguous.view());
  std::vector<T> host(static_cast<std::size_t>(from.size()));
  be.download(contiguous.data(), host.data(), from.size());
  return host;
}

/// The basis polynomials with the triangles at `coefficients` as blocks; top blocks cut to `top` rows and columns.
template <int Order, Scalar T>
PolynomialBasis<Order, T> triangular_basis(const TriangularShape<Order>& shape, Index top, const T* coefficients) {
  auto radices = shape.radices();
  radices[0] = top;
  PolynomialBasis<Order, T> basis(radices);
  for (int a = 0; a < Order; ++a)
    for (Index c = 0; c < shape.weight(a); ++c)
      for (Index row = 0; row < basis.radix(a); ++row)
        for (Index column = 0; column <= row; ++column)
          basis.coefficient(a, c, row, column) = coefficients[shape.at(a, c, row, column)];
  return basis;
}

/// The bases of one head, cut to a length.
template <int Order, Scalar T>
struct CausalBases {
  CausalBases(const CausalMonarchShape<Order>& shape, Index length, const T* coefficients)
      : kernel(triangular_basis(shape.kernel_triangles(),
                                ceil_divide(std::min(length, shape.kernel_length()), shape.triangles().weight(0)),
                                coefficients)),
        input(triangular_basis(shape.triangles(), ceil_divide(length, shape.triangles().weight(0)),
                               coefficients + shape.input_offset())),
        output_inverse(triangular_basis(shape.triangles(), input.radix(0), coefficients + shape.output_offset())) {}

  PolynomialBasis<Order, T> kernel, input;
  PolynomialBasis<Order, T> output_inverse;  ///< its blocks are those of D0
};

/// D0[row, column]: like coefficient(degree, j) of a basis, but the lowest digit is applied first, so that the contexts
/// are the digits of the row.
template <int Order, Scalar T>
double inverse_coefficient(const PolynomialBasis<Order, T>& d, Index row, Index column) {
  double product = 1;
  for (int a = 0; a < Order; ++a)
    product *= static_cast<double>(d.coefficient(a, row % d.weight(a), d.digit(row, a), d.digit(column, a)));
  return product;
}

/// T[i, j] = sum_{s <= i} D0[i, s] sum_{r = j .. s} b[s - r] Q2[r, j], b = Q1 k + skip, of every channel.
template <int Order, Scalar T, Backend B>
Tensor<T, 3, B> causal_dense(B& be, const CausalMonarchShape<Order>& shape, Index length, View<const T, 2, B> k,
                             View<const T, 1, B> skip, View<const T, 2, B> coefficients) {
  const auto n = static_cast<std::size_t>(length);
  const Index channels = k.extent(1), heads = coefficients.extent(0);
  std::vector<T> host;
  const std::vector<T> skips =
      skip.data() == nullptr ? std::vector<T>(static_cast<std::size_t>(channels)) : download_strided<T, B>(be, skip);
  for (Index channel = 0; channel < channels; ++channel) {
    const std::vector<T> blocks = download_strided<T, B>(be, coefficients.select(0, channel / (channels / heads)));
    const std::vector<T> kernel = download_strided<T, B>(be, k.select(1, channel));
    const CausalBases<Order, T> q(shape, length, blocks.data());
    std::vector<double> b(n), convolved(n * n);
    b[0] = static_cast<double>(skips[static_cast<std::size_t>(channel)]);
    for (Index degree = 0; degree < std::min(length, q.kernel.size()); ++degree)
      for (Index j = 0; j < k.extent(0); ++j)
        b[static_cast<std::size_t>(degree)] +=
            q.kernel.coefficient(degree, j) * static_cast<double>(kernel[static_cast<std::size_t>(j)]);
    for (Index r = 0; r < length; ++r)
      for (Index j = 0; j <= r; ++j) {
        const double value = q.input.coefficient(r, j);
        for (Index s = r; s < length; ++s)
          convolved[static_cast<std::size_t>(s * length + j)] += b[static_cast<std::size_t>(s - r)] * value;
      }
    for (Index i = 0; i < length; ++i) {
      std::vector<double> row(n);
      for (Index s = 0; s <= i; ++s) {
        const double value = inverse_coefficient(q.output_inverse, i, s);
        for (Index j = 0; j <= s; ++j)
          row[static_cast<std::size_t>(j)] += value * convolved[static_cast<std::size_t>(s * length + j)];
      }
      for (const double element : row) host.push_back(static_cast<T>(element));
    }
  }
  Tensor<T, 3, B> dense(be, {channels, length, length});
  be.upload(host.data(), dense.data(), dense.size());
  be.synchronize();
  return dense;
}

}  // namespace detail

/// The causal mixer of one head as its papers write it: y = M0^-1 ((M1 k) . (M2 u)) with three complex Monarch
/// matrices.
///
/// Source   Fu et al. 2023 (arXiv:2310.12109) Sec. 4, Thm. 3; math.md D3, D4
template <int Order, Scalar T, Backend B>
struct CausalMonarchForm {
  using Matrix = Monarch<Order, std::complex<T>, B>;

  CausalMonarchForm(B& be, const CausalMonarchShape<Order>& shape, Index length, View<const T, 1, B> coefficients,
                    Index top_points = 0)
      : CausalMonarchForm(be, shape, length, checked_points(shape, length, top_points),
                          detail::download_strided<T, B>(be, coefficients)) {}

  Matrix kernel;          ///< M1: (points, kernel_length)
  Matrix input;           ///< M2: (points, length)
  Matrix output_inverse;  ///< M0^-1: (length, points)

  /// y of one sample.
  ///
  /// Shapes   u, y (length, channels), k (kernel_length, channels), skip (channels) or empty
  /// Writes   y (overwritten): the real part, the imaginary part is rounding error
  /// Cost     three complex Monarch products: 24 channels N sum of radices flops
  void forward(B& be, Input<T, 2, B> u, Input<T, 2, B> k, Input<T, 1, B> skip, View<T, 2, B> y) const {
    using Complex = std::complex<T>;
    M2_REQUIRE(u.extent(0) == input.cols() && y.extents() == u.extents() && k.extent(0) == kernel.cols() &&
                   k.extent(1) == u.extent(1) && (skip.data() == nullptr || skip.extent(0) == u.extent(1)),
               "causal_monarch_form: u is ", u.extents(), ", k is ", k.extents(), ", skip is ", skip.extents(),
               ", y is ", y.extents(), "; M1 is ", kernel.shape(), ", M2 is ", input.shape());
    const Index channels = u.extent(1), points = input.rows(), length = y.extent(0);
    const auto as_complex = [&](View<const T, 2, B> x) {
      Tensor<Complex, 2, B> z(be, x.extents());
      detail::copy_cast<Complex, T, B>(be, x, z.view());
      return z;
    };
    const Tensor<Complex, 2, B> uz = as_complex(u), kz = as_complex(k);
    Tensor<Complex, 2, B> product(be, {points, channels}), spectrum(be, {points, channels}), yz(be, y.extents());
    monarch_multiply(be, kernel.view(), kz.view().transpose(0, 1), spectrum.view().transpose(0, 1));
    monarch_multiply(be, input.view(), uz.view().transpose(0, 1), product.view().transpose(0, 1));
    if (skip.data() != nullptr) {  // a constant polynomial
      Complex* const values = spectrum.data();
      be.for_each(spectrum.size(), [=] M2_HD(Index i) { values[i] += Complex(skip(i % channels)); });
    }
    detail::multiply_complex(be, product.size(), spectrum.data(), product.data());
    monarch_multiply(be, output_inverse.view(), product.cview().transpose(0, 1), yz.view().transpose(0, 1));
    const Complex* const from = yz.data();
    be.for_each(length * channels, [=] M2_HD(Index i) { y(i / channels, i % channels) = from[i].real(); });
  }

 private:
  CausalMonarchForm(B& be, const CausalMonarchShape<Order>& shape, Index length, Index points,
                    const std::vector<T>& coefficients)
      : CausalMonarchForm(be, shape, length, points,
                          detail::CausalBases<Order, T>(shape, length, coefficients.data())) {}
  CausalMonarchForm(B& be, const CausalMonarchShape<Order>& shape, Index length, Index points,
                    const detail::CausalBases<Order, T>& q)
      : kernel(evaluation(be, q.kernel, points, std::min(length, shape.kernel_length()))),
        input(evaluation(be, q.input, points, length)),
        output_inverse(interpolation(be, q.output_inverse, points, length)) {}

  static Index checked_points(const CausalMonarchShape<Order>& shape, Index length, Index top_points) {
    const Index least = shape.top_points(length);
    M2_REQUIRE(top_points == 0 || top_points >= least, "causal_monarch_form: the top digit has ", top_points,
               " points, at least ", least, " are needed so that products do not wrap around");
    return top_points == 0 ? least : top_points;
  }
};

}  // namespace m2
