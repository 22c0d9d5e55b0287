#pragma once

#include <vector>

#include "m2/monarch/monarch.hpp"
#include "tests/support.hpp"

namespace m2::test {

/// M x in double precision by the definition of a factor, one vector, nothing but loops.
template <int Order, class T, class B, class Wide = WideOf<std::remove_const_t<T>>>
std::vector<Wide> oracle_multiply(const MonarchView<Order, T, B>& m, std::vector<Wide> x) {
  x.resize(static_cast<std::size_t>(m.shape.padded_in()), 0.0);
  for (int f = 0; f < Order; ++f) {
    const FactorShape& s = m.shape.factor(f);
    std::vector<Wide> y(static_cast<std::size_t>(s.out_size()), 0.0);
    for (Index o = 0; o < s.outer; ++o)
      for (Index i = 0; i < s.inner; ++i)
        for (Index e = 0; e < s.out; ++e)
          for (Index d = 0; d < s.in; ++d)
            y[static_cast<std::size_t>((o * s.out + e) * s.inner + i)] +=
                element_cast<Wide>(m.factor(f)(o, i, e, d)) * x[static_cast<std::size_t>((o * s.in + d) * s.inner + i)];
    x = y;
  }
  x.resize(static_cast<std::size_t>(m.shape.out_features()));
  return x;
}

/// The dense matrix, row-major, by the oracle on the columns of the identity.
template <int Order, class T, class B, class Wide = WideOf<std::remove_const_t<T>>>
std::vector<Wide> oracle_dense(const MonarchView<Order, T, B>& m) {
  const auto rows = static_cast<std::size_t>(m.shape.out_features());
  const auto cols = static_cast<std::size_t>(m.shape.in_features());
  std::vector<Wide> dense(rows * cols);
  for (std::size_t j = 0; j < cols; ++j) {
    std::vector<Wide> unit(cols, 0.0);
    unit[j] = 1.0;
    const std::vector<Wide> column = oracle_multiply(m, unit);
    for (std::size_t i = 0; i < rows; ++i) dense[i * cols + j] = column[i];
  }
  return dense;
}

/// A Monarch matrix of standard normal weights.
template <class B, class T, int Order>
Monarch<Order, T, B> normal_monarch(const MonarchShape<Order>& shape, Rng& rng) {
  Monarch<Order, T, B> m(shape);
  fill_normal(m.weights(), rng);
  return m;
}
template <class B, class T, int Order>
Monarch<Order, T, B> normal_monarch(const MonarchShape<Order>& shape, std::uint64_t seed) {
  Rng rng(seed);
  return normal_monarch<B, T>(shape, rng);
}

/// A row-major product (rows x inner) (inner x cols), nothing but loops.
template <class Wide>
std::vector<Wide> dense_product(const std::vector<Wide>& a, const std::vector<Wide>& b, std::size_t inner) {
  const std::size_t rows = a.size() / inner, cols = b.size() / inner;
  std::vector<Wide> c(rows * cols, 0.0);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t k = 0; k < inner; ++k)
      for (std::size_t j = 0; j < cols; ++j) c[i * cols + j] += a[i * inner + k] * b[k * cols + j];
  return c;
}

/// The transpose of a row-major matrix of `cols` columns, conjugated if asked for.
template <class Wide>
std::vector<Wide> dense_transpose(const std::vector<Wide>& a, std::size_t cols, bool conjugated = false) {
  std::vector<Wide> result;
  for (std::size_t j = 0; j < cols; ++j)
    for (std::size_t at = j; at < a.size(); at += cols) result.push_back(conjugated ? conjugate(a[at]) : a[at]);
  return result;
}

/// A dense matrix in double precision, row-major.
template <class Wide>
struct DenseMatrix {
  Index rows, cols;
  std::vector<Wide> values;

  DenseMatrix(Index r, Index c) : DenseMatrix(r, c, std::vector<Wide>(static_cast<std::size_t>(r * c))) {}
  DenseMatrix(Index r, Index c, std::vector<Wide> v) : rows(r), cols(c), values(std::move(v)) {}
  static DenseMatrix identity(Index n) {
    DenseMatrix result(n, n);
    for (Index i = 0; i < n; ++i) result(i, i) = 1;
    return result;
  }

  Wide& operator()(Index i, Index j) { return values[static_cast<std::size_t>(i * cols + j)]; }
  Wide operator()(Index i, Index j) const { return values[static_cast<std::size_t>(i * cols + j)]; }
  friend DenseMatrix operator*(const DenseMatrix& a, const DenseMatrix& b) {
    return {a.rows, b.cols, dense_product(a.values, b.values, static_cast<std::size_t>(a.cols))};
  }
  DenseMatrix transpose(bool conjugated = false) const {
    return {cols, rows, dense_transpose(values, static_cast<std::size_t>(cols), conjugated)};
  }
};

template <class T, class B>
DenseMatrix<WideOf<std::remove_const_t<T>>> dense_matrix(View<T, 2, B> view) {
  return {view.extent(0), view.extent(1), to_wide(view)};
}

/// Requires that a matrix which is known by its products is the dense one.
template <class B, class A, class Wide>
void require_dense(B& be, const A& a, const DenseMatrix<Wide>& expected, double allowed) {
  REQUIRE(a.rows() == expected.rows);
  REQUIRE(a.cols() == expected.cols);
  require_close(to_host(a.dense_tensor(be).view()), as_doubles(expected.values), allowed);
}

/// The square root of the sum of squares: the Frobenius norm of a matrix.
template <class Wide>
double norm_of(const std::vector<Wide>& values) {
  double square = 0;
  for (const Wide& value : values) square += std::norm(value);
  return std::sqrt(square);
}

/// Every kind of shape there is, for tests that are written over all of them: f(shape).
template <class F>
void for_every_shape(F&& f) {
  f(MonarchShape<1>(6));
  f(MonarchShape<1>::block_diagonal(12, 8, 4));
  f(MonarchShape<1>::block_diagonal(10, 7, 3));
  f(MonarchShape<2>(4, 4));
  f(MonarchShape<2>(4, 9));
  f(MonarchShape<2>(1, 5));
  f(MonarchShape<2>::rectangular({3, 4}, {5, 2}));
  f(MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 6));
  f(MonarchShape<2>::linear(10, 14, 4));
  f(MonarchShape<2>::linear(14, 10, 4));
  f(MonarchShape<3>(3, 5, 7));
  f(MonarchShape<3>::rectangular({2, 3, 4}, {3, 2, 5}));
  f(MonarchShape<4>(2, 3, 2, 3));
}

}  // namespace m2::test
