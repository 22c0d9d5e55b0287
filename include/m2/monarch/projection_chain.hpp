#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <utility>
#include <vector>

#include "m2/monarch/multiply.hpp"
#include "m2/monarch/projection_plan.hpp"

namespace m2::detail {

inline double largest_part(double x) { return std::abs(x); }
inline double largest_part(const std::complex<double>& x) { return std::max(std::abs(x.real()), std::abs(x.imag())); }

/// The largest |x| of a matrix, all of whose elements must be finite.
template <Element T, class B>
double largest_element(View<const T, 2, B> dense) {
  const bool by_rows = dense.stride(0) >= dense.stride(1);
  const auto lines = by_rows ? dense : dense.transpose(0, 1);  // in the order of memory
  double largest = 0;
  for (Index i = 0; i < lines.extent(0); ++i)
    for (Index j = 0; j < lines.extent(1); ++j) {
      const double x = largest_part(element_cast<WideOf<T>>(lines(i, j)));
      M2_REQUIRE(x <= std::numeric_limits<double>::max(), "project: element (", by_rows ? i : j, ", ", by_rows ? j : i,
                 ") of the dense matrix is not finite");
      largest = std::max(largest, x);
    }
  return largest;
}

/// The sum of |x / scale|^2.
template <Element T, Backend B>
double scaled_energy(B& be, View<const T, 2, B> dense, double scale) {
  const auto lines = dense.stride(0) >= dense.stride(1) ? dense : dense.transpose(0, 1);
  const Index width = lines.extent(1);
  return be.sum(lines.extent(0), [=](Index i) {
    double energy = 0;
    for (Index j = 0; j < width; ++j) energy += std::norm(element_cast<WideOf<T>>(lines(i, j)) / scale);
    return energy;
  });
}

/// A projection under way: the weights in double, and the part of the matrix that is still to be taken apart.
template <int Order, Element W>
class Projection {
 public:
  explicit Projection(const MonarchShape<Order>& shape) : shape_(shape), levels_(projection_plan(shape)) {
    for (const FactorShape& f : shape.factors()) weights_.emplace_back(static_cast<std::size_t>(f.weight_count()));
  }

  /// Takes the dense matrix apart and returns the Frobenius norm of the error, relative to `scale`.
  template <Element T, Backend B>
  double run(B& be, View<const T, 2, B> dense, double scale) {
    double error = unreachable_energy(dense, scale);
    for (int k = 0; k + 1 < Order; ++k) {
      if (k == 0) {
        error += split(
            be, k,
            [&](const ProjectionLevel& level, Index block, Index row, Index input) {
              return element_cast<W>(
                  dense(level.reach[static_cast<std::size_t>(block)][static_cast<std::size_t>(row)], input));
            },
            scale);
      } else {
        const std::vector<W> columns = std::move(columns_);
        const std::vector<Index> offsets = std::move(offsets_);
        error += split(
            be, k,
            [&](const ProjectionLevel&, Index, Index row, Index input) {
              return columns[static_cast<std::size_t>(offsets[static_cast<std::size_t>(input)] + row)];
            },
            scale);
      }
    }
    finish(dense);
    balance();
    return std::sqrt(error);
  }

  /// The weights in the element type of the matrix.
  template <Element T, class B>
  void store(const MonarchView<Order, T, B>& m) const {
    for (std::size_t k = 0; k < weights_.size(); ++k)
      for (std::size_t i = 0; i < weights_[k].size(); ++i) {
        const T weight = element_cast<T>(weights_[k][i]);
        M2_REQUIRE(largest_part(element_cast<W>(weight)) <= std::numeric_limits<double>::max(), "project: weight ",
                   weights_[k][i], " of factor ", k, " is too large for the element type");
        m.factors[k][i] = weight;
      }
  }

 private:
  const FactorShape& factor(int k) const { return shape_.factor(k); }
  std::vector<W>& weights(int k) { return weights_[static_cast<std::size_t>(k)]; }
  const ProjectionLevel& level(int k) const { return levels_[static_cast<std::size_t>(k)]; }

  /// Elements that no path joins are zero in every matrix of the shape.
  template <class T, class B>
  double unreachable_energy(View<const T, 2, B> dense, double scale) const {
    double energy = 0;
    const FactorShape& f = factor(0);
    std::vector<char> reached(static_cast<std::size_t>(shape_.out_features()));
    for (Index block = 0; block < f.blocks(); ++block) {
      const auto& reach = level(0).reach[static_cast<std::size_t>(block)];
      if (static_cast<Index>(reach.size()) == shape_.out_features()) continue;
      std::fill(reached.begin(), reached.end(), char{0});
      for (const Index row : reach) reached[static_cast<std::size_t>(row)] = 1;
      for (Index d = 0; d < f.in; ++d) {
        const Index input = ProjectionLevel::position(f, block, d, f.in);
        if (input >= shape_.in_features()) break;
        for (Index row = 0; row < shape_.out_features(); ++row)
          if (reached[static_cast<std::size_t>(row)] == 0)
            energy += std::norm(element_cast<W>(dense(row, input)) / scale);
      }
    }
    return energy;
  }

  /// Splits factor k off the matrix C of columns `element`, which leaves the columns of the rest of the chain. Every
  /// slice becomes left right; the rows of `right` are those of the factor. Returns the energy that is lost.
  template <Backend B, class Element>
  double split(B& be, int k, Element&& element, double scale) {
    const FactorShape& f = factor(k);
    const ProjectionLevel& here = level(k);
    offsets_ = level(k + 1).column_offsets(factor(k + 1));
    columns_.assign(static_cast<std::size_t>(offsets_.back()), W(0));
    const Index features = k == 0 ? shape_.in_features() : f.in_size();
    std::vector<double> lost(here.slices.size(), 0.0);
    for_each_low_rank(be, W(0), static_cast<Index>(here.slices.size()), [&](Index i, auto& low_rank) {
      const ProjectionSlice& slice = here.slices[static_cast<std::size_t>(i)];
      Index cols = 0;  // without the padding of the input
      while (cols < f.in && ProjectionLevel::position(f, slice.block, cols, f.in) < features) ++cols;
      if (slice.rows == 0 || cols == 0) return;
      const View<W, 2, B> a = low_rank.template matrix<B>(slice.rows, cols);
      for (Index row = 0; row < slice.rows; ++row)
        for (Index d = 0; d < cols; ++d)
          a(row, d) = element(here, slice.block, slice.begin + row, ProjectionLevel::position(f, slice.block, d, f.in));
      const auto rank = static_cast<Index>(slice.middle.size());
      lost[static_cast<std::size_t>(i)] = low_rank.approximate(rank) / scale;
      for (Index r = 0; r < rank; ++r) {
        const Index middle = slice.middle[static_cast<std::size_t>(r)];
        W* column = columns_.data() + offsets_[static_cast<std::size_t>(middle)];
        for (Index row = 0; row < slice.rows; ++row) column[row] = low_rank.left(row, r);
        W* weights_row = row_of(k, middle);
        for (Index d = 0; d < cols; ++d) weights_row[d] = low_rank.right(r, d);
      }
    });
    double energy = 0;
    for (const double norm : lost) energy += norm * norm;
    return energy;
  }

  /// What is left is the last factor.
  template <class T, class B>
  void finish(View<const T, 2, B> dense) {
    const FactorShape& f = factor(Order - 1);
    const Index features = Order == 1 ? shape_.in_features() : f.in_size();
    for (Index input = 0; input < features; ++input) {
      const Index block = ProjectionLevel::block_of_input(f, input), d = ProjectionLevel::digit_of_input(f, input);
      const auto& reach = level(Order - 1).reach[static_cast<std::size_t>(block)];
      for (std::size_t e = 0; e < reach.size(); ++e) {
        W& weight = weights(Order - 1)[static_cast<std::size_t>((block * f.out + static_cast<Index>(e)) * f.in + d)];
        if constexpr (Order == 1) {
          weight = element_cast<W>(dense(reach[e], input));
        } else {
          weight = columns_[static_cast<std::size_t>(offsets_[static_cast<std::size_t>(input)]) + e];
        }
      }
    }
  }

  /// The weights that make position `middle` behind factor k, `in` of them.
  W* row_of(int k, Index middle) {
    const FactorShape& f = factor(k);
    const Index block = middle / (f.out * f.inner) * f.inner + middle % f.inner, e = middle / f.inner % f.out;
    return weights(k).data() + (block * f.out + e) * f.in;
  }

  static double norm_of(const W* weights, Index count, Index stride) {
    double largest = 0, sum = 0;
    for (Index i = 0; i < count; ++i) largest = std::max(largest, largest_part(weights[i * stride]));
    if (!(largest > 0)) return 0;
    for (Index i = 0; i < count; ++i) sum += std::norm(weights[i * stride] / largest);
    return largest * std::sqrt(sum);
  }

  /// Behind factor k, position by position, a number can move between the row of factor k that writes it and the column
  /// of factor k + 1 that reads it. Both get the same norm, as in the reference code, which gives either the square
  /// root of the singular value.
  void balance() {
    for (int sweep = 0; sweep < (Order == 2 ? 1 : 2 * Order); ++sweep)
      for (int k = Order - 2; k >= 0; --k) {
        const FactorShape &f = factor(k), &next = factor(k + 1);
        for (Index middle = 0; middle < f.out_size(); ++middle) {
          W* row = row_of(k, middle);
          const Index block = ProjectionLevel::block_of_input(next, middle);
          W* column =
              weights(k + 1).data() + block * next.out * next.in + ProjectionLevel::digit_of_input(next, middle);
          const double a = norm_of(row, f.in, 1), b = norm_of(column, next.out, next.in);
          if (!(a > 0) || !(b > 0)) continue;
          const double up = std::sqrt(b / a);
          for (Index d = 0; d < f.in; ++d) row[d] *= up;
          for (Index e = 0; e < next.out; ++e) column[e * next.in] /= up;
        }
      }
  }

  MonarchShape<Order> shape_;
  std::vector<ProjectionLevel> levels_;
  std::vector<std::vector<W>> weights_;  // of each factor
  std::vector<W> columns_;               // of the part that is left, over what each of them reaches
  std::vector<Index> offsets_;           // where the columns start
};

}  // namespace m2::detail
