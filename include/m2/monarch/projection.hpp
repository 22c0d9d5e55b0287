#pragma once

#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "m2/monarch/multiply.hpp"
#include "m2/monarch/projection_plan.hpp"

namespace m2 {

/// The Monarch matrices to project to, by their radices: {.radices = {64, 64}} are the square ones of 4096 x 4096. Any
/// other set is a MonarchShape, which project takes instead.
template <int Order>
struct ProjectionOptions {
  typename MonarchShape<Order>::Radices radices{};      ///< of the input, and of the output if nothing else is said
  typename MonarchShape<Order>::Radices out_radices{};  ///< of the output
  Index rank = 1;                                       ///< of the slices; order 2 only

  /// Errors   m2::Error if a radix is less than 1, if the rank is less than 1 or more than a slice can have, or other
  ///          than 1 where Order is not 2
  MonarchShape<Order> shape() const {
    const auto& out = out_radices == typename MonarchShape<Order>::Radices{} ? radices : out_radices;
    const auto shape = MonarchShape<Order>::rectangular(radices, out);
    M2_REQUIRE(rank >= 1, "project: the rank is ", rank, ", at least 1 is needed");
    if (rank == 1) return shape;
    if constexpr (Order == 2) {
      M2_REQUIRE(rank <= std::min(out[0], radices[1]), "project: slices of a ", shape, " matrix with radices ", radices,
                 " are (", out[0], ", ", radices[1], "), their rank cannot be ", rank);
      return MonarchShape<2>::butterfly(radices[0], detail::checked_product(rank, out[1]), radices[1], out[1], out[0],
                                        detail::checked_product(rank, radices[0]));
    }
    M2_REQUIRE(Order == 2, "project: rank ", rank, " is for two factors, these are ", Order);
    return shape;
  }
};

namespace detail {

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

}  // namespace detail

/// m becomes a Monarch matrix near a dense one, of m's shape; returns the error |dense - m| / |dense| in the Frobenius
/// norm, before the weights are rounded to T (0 for a zero matrix).
///
/// Two factors: the nearest Monarch matrix there is. Outputs of a block of the second factor and inputs of a block of
/// the first one are joined by the positions of the middle vector that both blocks have. These parts, the slices, are
/// disjoint and cover the matrix, and each can be any matrix whose rank is the number of those positions: a truncated
/// SVD of every slice is optimal. That holds for every shape of two factors: mixed radices, rectangular, rank r, and
/// MonarchShape<2>::linear with any number of blocks, where the ranks differ from slice to slice unless the blocks
/// divide the middle size, and are 0 for some slices if there are more blocks than that.
///
/// Three or more factors: one factor after the other is split off by such SVDs of rank 1, first the one that meets the
/// input. A Monarch matrix is found again, and otherwise the error is at most sqrt(Order - 1) times that of the nearest
/// Monarch matrix. (Rows of a factor that was split off have norm 1, so that the lost parts are orthogonal and their
/// squares add up; and what is left of the nearest matrix is no farther from what is left of the dense one, and still
/// Monarch, so that no step loses more than the whole distance.) One factor: the blocks are copied.
///
/// Padded rows and columns of the shape are free, and become zero. The weights on both sides of a middle position get
/// the same norm.
///
/// Shapes   dense (out_features, in_features), any strides; complex only if m is
/// Writes   m (overwritten)
/// Errors   m2::Error if dense does not fit, has an element that is not finite, or a weight overflows T; or if a chain
///          of three or more factors has several paths from an input to an output
/// Cost     order 2, square: N slices of sqrt(N) x sqrt(N), O(N^(5/2)); slices in parallel, results independent of the
///          threads. CPU only, and the caller includes m2/projection.hpp, which has the eigensolver. Computes in
///          double; working memory for the weights, and for the chain that is left, in double: N^(1 + 1/p) or for long
///          chains up to N^2 / 2 elements
/// Source   Dao et al. 2022 (arXiv:2204.00595) Sec. 3.1; m2-reference section 1.5. The bound is that of sequential
///          truncation: Vannieuwenhoven et al. 2012, SIAM J. Sci. Comput. 34(2)
template <int Order, Element T, class U, Backend B>
requires Element<std::remove_const_t<U>>
double project(B& be, View<U, 2, B> dense, const MonarchView<Order, T, B>& m) {
  using From = std::remove_const_t<U>;
  static_assert(ComplexScalar<T> || !ComplexScalar<From>,
                "project: a complex matrix has no projection to real Monarch matrices; take its real part.");
  M2_REQUIRE(dense.extent(0) == m.shape.out_features() && dense.extent(1) == m.shape.in_features(),
             "project: the dense matrix is ", dense.extent(0), " x ", dense.extent(1), ", the Monarch matrix ",
             m.shape);
  const View<const From, 2, B> read = dense;
  const double largest = detail::largest_element(read);
  const double scale = largest > 0 ? largest : 1;
  detail::Projection<Order, WideOf<T>> projection(m.shape);
  const double error = projection.run(be, read, scale);
  projection.store(m);
  return largest > 0 ? error / std::sqrt(detail::scaled_energy(be, read, scale)) : 0;
}

}  // namespace m2
