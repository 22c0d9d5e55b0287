#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "bench/report.hpp"
#include "m2/monarch.hpp"

namespace m2::bench {

/// Uniform in (-1, 1), quickly: the values do not matter, that they are not denormal does.
template <class T>
void fill_random(T* data, Index n) {
  std::uint64_t state = 0x9E3779B97F4A7C15u;
  for (Index i = 0; i < n; ++i) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    data[i] = static_cast<T>(static_cast<RealOf<T>>(static_cast<double>(state >> 11) * 0x1p-52 - 1.0));
  }
}

/// A power of two as `Order` radices as equal as possible.
template <int Order>
MonarchShape<Order> balanced_shape(Index n) {
  const int bits = static_cast<int>(std::lround(std::log2(static_cast<double>(n))));
  typename MonarchShape<Order>::Radices radices{};
  for (int d = 0; d < Order; ++d) radices[static_cast<std::size_t>(d)] = Index{1} << ((bits + d) / Order);
  return MonarchShape<Order>::square(radices);
}

/// Vectors in one of the two layouts, as (batch, features).
template <class T>
class Vectors {
 public:
  Vectors(Cpu& be, Index batch, Index features, Layout layout)
      : layout_(layout),
        memory_(be, layout == Layout::row ? Extents<2>{batch, features} : Extents<2>{features, batch}) {
    fill_random(memory_.data(), memory_.size());
  }

  T* data() { return memory_.data(); }
  const T* data() const { return memory_.data(); }
  Index size() const { return memory_.size(); }
  View<T, 2, Cpu> view() { return layout_ == Layout::row ? memory_.view() : memory_.view().transpose(0, 1); }
  View<const T, 2, Cpu> view() const {
    return layout_ == Layout::row ? memory_.view() : memory_.view().transpose(0, 1);
  }

 private:
  Layout layout_;
  Tensor<T, 2, Cpu> memory_;
};

/// The largest difference of two arrays over the largest element of the second.
template <class T>
double relative_difference(const T* a, const T* b, Index n) {
  double difference = 0, largest = 0;
  for (Index i = 0; i < n; ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return difference / largest;
}

/// A Monarch matrix, vectors to multiply, and the multiply of the library: by a PackedMonarch, since the weights stay.
template <int Order, class T>
struct Product {
  Product(const MonarchShape<Order>& shape, Index vectors, Layout in_layout)
      : m(shape),
        packed(m.packed(be)),
        batch(vectors),
        layout(in_layout),
        x(be, vectors, shape.in_features(), in_layout),
        y(be, vectors, shape.out_features(), in_layout) {
    fill_random(m.weights().data(), m.parameter_count());
    packed.assign(be, m.view());
  }

  void multiply() { monarch_multiply(be, packed, x.view(), y.view()); }
  Contestant contestant() {
    return bench::contestant([this] { multiply(); });
  }
  /// The same where weights change with every product, as in training.
  Contestant not_packed() {
    return bench::contestant([this] { monarch_multiply(be, m.view(), x.view(), y.view()); });
  }

  /// A complex multiply-add is four real ones.
  double flops() const { return m.shape().multiply_flops(batch) * (ComplexScalar<T> ? 4 : 1); }
  double weight_bytes() const { return static_cast<double>(m.parameter_count()) * sizeof(T); }
  double vector_bytes() const { return static_cast<double>(x.size() + y.size()) * sizeof(T); }

  std::string name() const {
    return "N:" + std::to_string(m.cols()) + "/B:" + std::to_string(batch) + "/" + name_of(layout);
  }

  Cpu be;
  Monarch<Order, T> m;
  PackedMonarch<Order, T> packed;
  Index batch;
  Layout layout;
  Vectors<T> x, y;
};

}  // namespace m2::bench
