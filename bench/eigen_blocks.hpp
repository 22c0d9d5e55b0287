#pragma once

#include <span>
#include <utility>
#include <vector>

#include "bench/product.hpp"

namespace m2::bench {

/// The Monarch multiply as it is written without a kernel of its own, which is what the reference code does: a pass
/// over memory that makes the digit contiguous, one Eigen product for each block, a pass back. The first factor needs
/// no passes. Square shapes.
template <class T>
class EigenBlocks {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Rows = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;
  using ConstRows = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;
  using Whole = Eigen::Map<Matrix>;
  using ConstWhole = Eigen::Map<const Matrix>;

 public:
  EigenBlocks(std::span<const FactorShape> factors, const T* weights, Index batch, Layout layout)
      : factors_(factors), weights_(weights), batch_(batch), layout_(layout) {
    std::size_t widest = 0;
    for (const FactorShape& f : factors)
      widest = std::max({widest, static_cast<std::size_t>(f.in_size()), static_cast<std::size_t>(f.out_size())});
    for (auto& buffer : buffers_) buffer.resize(widest * static_cast<std::size_t>(batch));
  }

  void multiply(const T* x, T* y) {
    const T* weights = weights_;
    const T* from = x;
    for (std::size_t f = 0; f < factors_.size(); ++f) {
      T* const to = f + 1 == factors_.size() ? y : buffers_[0].data();
      const FactorShape& s = factors_[f];
      if (s.inner == 1) {
        products(s, weights, from, to);
      } else {
        permute(s.outer, s.in, s.inner, from, buffers_[1].data());
        products(s, weights, buffers_[1].data(), buffers_[2].data());
        permute(s.outer, s.inner, s.out, buffers_[2].data(), to);
      }
      weights += s.weight_count();
      from = to;
    }
  }

 private:
  /// One product for each block; the digit of a block is contiguous among the features.
  void products(const FactorShape& s, const T* weights, const T* from, T* to) const {
    for (Index block = 0; block < s.blocks(); ++block, weights += s.in * s.out) {
      const ConstWhole w(weights, s.out, s.in);
      if (layout_ == Layout::row) {
        const ConstRows x(from + block * s.in, batch_, s.in, Eigen::OuterStride<>(s.in_size()));
        Rows(to + block * s.out, batch_, s.out, Eigen::OuterStride<>(s.out_size())).noalias() = x * w.transpose();
      } else {
        const ConstWhole x(from + block * s.in * batch_, s.in, batch_);
        Whole(to + block * s.out * batch_, s.out, batch_).noalias() = w * x;
      }
    }
  }

  /// Features (outer, a, b) to (outer, b, a).
  void permute(Index outer, Index a, Index b, const T* from, T* to) const {
    if (layout_ == Layout::row) {
      for (Index at = 0; at < batch_ * outer; ++at)
        Whole(to + at * a * b, b, a) = ConstWhole(from + at * a * b, a, b).transpose();
    } else {
      for (Index o = 0; o < outer; ++o)
        for (Index i = 0; i < a; ++i)
          for (Index j = 0; j < b; ++j)
            std::copy_n(from + ((o * a + i) * b + j) * batch_, batch_, to + ((o * b + j) * a + i) * batch_);
    }
  }

  std::span<const FactorShape> factors_;
  const T* weights_;
  Index batch_;
  Layout layout_;
  std::vector<T> buffers_[3];
};

}  // namespace m2::bench
