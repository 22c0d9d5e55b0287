#pragma once

#include "tests/monarch/oracle.hpp"

/// Vectors of a batch in every layout that a product may get.
namespace m2::test {

/// The layouts of a (batch, features) array: features contiguous, batch contiguous, neither; features contiguous, and
/// a gap behind every vector.
enum class Layout { features, batch, strided, gaps };
inline constexpr Layout every_layout[] = {Layout::features, Layout::batch, Layout::strided, Layout::gaps};

/// All of a (batch, features) array as so many vectors: features contiguous, or the batch.
inline View<float, 2, Cpu> contiguous_vectors(Tensor<float, 2, Cpu>& memory, bool features) {
  const Index batch = memory.extent(0), n = memory.extent(1);
  return {memory.data(), {batch, n}, features ? Extents<2>{n, 1} : Extents<2>{1, batch}};
}

/// So many whole numbers around 0, over and over: their sums are exact.
template <int Rank>
void fill_whole(Tensor<float, Rank, Cpu>& memory, Index numbers) {
  for (Index i = 0; i < memory.size(); ++i) memory.data()[i] = static_cast<float>(i % numbers - numbers / 2);
}

template <class T, class B>
class Vectors {
 public:
  Vectors(B& be, Index batch, Index features, Layout layout)
      : layout_(layout),
        features_(features),
        data_(be, layout == Layout::batch ? Extents<2>{features, batch} : Extents<2>{batch, features + gap()},
              layout == Layout::strided ? 2 : 1) {}
  View<T, 2, B> view() {
    return layout_ == Layout::batch ? data_.view().transpose(0, 1) : data_.view().slice(1, 0, features_);
  }
  /// Requires that nothing was written behind the vectors.
  void require_gaps() {
    if (gap() > 0) REQUIRE(largest(to_host(data_.view().slice(1, features_, gap()))) == 0);
  }

 private:
  Index gap() const { return layout_ == Layout::gaps ? 3 : 0; }

  Layout layout_;
  Index features_;
  Strided<T, 2, B> data_;
};

/// How many products an element of M x sums: the digits that the factors sum over.
template <int Order>
Index terms_of(const MonarchShape<Order>& shape) {
  Index terms = 1;
  for (const FactorShape& f : shape.factors()) terms *= f.in;
  return terms;
}

/// Requires y(b, :) = M x(b, :) for every vector by the oracle.
template <class T, int Order, class W, class B>
void require_product(const MonarchView<Order, W, B>& m, View<T, 2, B> x, View<T, 2, B> y) {
  for (Index b = 0; b < x.extent(0); ++b) {
    const auto expected = as_doubles(oracle_multiply(m, to_wide(x.select(0, b))));
    require_close(to_host(y.select(0, b)), expected, tolerance<T>(terms_of(m.shape), 1 + largest(expected)));
  }
}

}  // namespace m2::test
