#pragma once

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "m2/backend/concept.hpp"

namespace m2 {

namespace detail {

/// to(r, c) = from(r, map[c]), or to(r, map[c]) = from(r, c) to scatter; c is a column and the row of a team, or the
/// other way round where the first dimension is the contiguous one.
template <bool Scatter, class T, class B>
struct MoveColumns {
  View<const T, 2, B> from;
  View<T, 2, B> to;
  const Index* map;
  bool column_per_team;

  struct Element {
    MoveColumns move;
    Index at;
    M2_HD M2_INLINE void operator()(Index i) const {
      const Index row = move.column_per_team ? i : at, column = move.column_per_team ? at : i;
      const Index other = move.map[column];
      move.to(row, Scatter ? other : column) = move.from(row, Scatter ? column : other);
    }
  };

  template <class Team>
  M2_HD M2_INLINE void operator()(Index at, const Team& team) const {
    team.each(Element{*this, at});
  }
};

template <bool Scatter, class T, Backend B>
void move_columns(B& be, const Index* map, Input<T, 2, B> from, View<T, 2, B> to) {
  const bool column_per_team = to.stride(0) < to.stride(1);
  be.for_rows(to.extent(column_per_team ? 1 : 0), to.extent(column_per_team ? 0 : 1),
              MoveColumns<Scatter, T, B>{from, to, map, column_per_team});
}

/// An index map in memory of the backend.
template <Backend B>
Tensor<Index, 1, B> upload_map(B& be, const std::vector<Index>& map) {
  Tensor<Index, 1, B> result(be, {static_cast<Index>(map.size())});
  be.upload(map.data(), result.data(), result.size());
  be.synchronize();
  return result;
}

}  // namespace detail

/// A permutation of the digits of an index: a vector of size r0 r1 .. is read as an array (r0, r1, ..), the last
/// dimension contiguous, its dimensions are reordered, and the result is read as a vector again. The permutations of
/// the papers on Monarch matrices and of the DFT are of this kind. Monarch products need none of them (a permutation is
/// a stride); this type is for what is left over at the ends, for import, for tests and for formulas.
///
/// Two permutations compare equal exactly if they move every element alike.
class DigitPermutation {
 public:
  static constexpr int max_digits = 62;  ///< digits of at least 2 values in an index of 63 bits

  DigitPermutation() = default;

  /// Dimension k of the result is dimension axes[k] of an array with extents `radices`, as in NumPy's transpose.
  ///
  /// Errors   m2::Error if axes is no permutation of 0, 1, .., a radix is below 1, or the size does not fit an Index
  DigitPermutation(const std::vector<Index>& radices, const std::vector<int>& axes) {
    const std::size_t count = radices.size();
    M2_REQUIRE(axes.size() == count, "digit permutation: ", count, " radices, ", axes.size(), " axes");
    std::vector<Index> strides(count);
    for (std::size_t d = count; d-- > 0;) {
      M2_REQUIRE(radices[d] >= 1, "digit permutation: radix ", d, " is ", radices[d], ", at least 1 is needed");
      strides[d] = size_;
      size_ = detail::checked_product("digit permutation", size_, radices[d]);
    }
    std::vector<bool> seen(count);
    for (const int axis : axes) {
      const auto d = static_cast<std::size_t>(axis);
      M2_REQUIRE(axis >= 0 && d < count && !seen[d], "digit permutation: the axes must be 0 .. ",
                 static_cast<Index>(count) - 1, ", each once; ", axis, " is not or comes twice");
      seen[d] = true;
      push_back(radices[d], strides[d]);
    }
  }

  static DigitPermutation identity(Index size) { return {{size}, {0}}; }

  /// The last digit first: position (j0, j1, .., j_{p-1}) moves to position (j_{p-1}, .., j1, j0).
  template <class Radices>
  static DigitPermutation reversal(const Radices& radices) {
    std::vector<int> axes(radices.size());
    std::iota(axes.rbegin(), axes.rend(), 0);
    return {{radices.begin(), radices.end()}, axes};
  }

  /// P_(b,n) of the Monarch paper: y[i] = x[(i mod b) n/b + i div b], which reads x as a b x n/b matrix, row by row,
  /// and transposes it. Its inverse is P_(n/b,n).
  ///
  /// Errors   m2::Error if b does not divide n
  /// Source   Dao et al. 2022 (arXiv:2204.00595), definition of P_(b,n)
  static DigitPermutation stride(Index b, Index n) {
    M2_REQUIRE(b >= 1 && n >= 1 && n % b == 0, "stride permutation: the block size ", b, " does not divide ", n);
    return {{b, n / b}, {1, 0}};
  }

  Index size() const { return size_; }
  bool is_identity() const { return count_ <= 1; }

  /// Which element of x is element i of y = P x: y[i] = x[from(i)].
  M2_HD constexpr Index from(Index i) const {
    Index at = 0;
    for (int k = count_ - 1; k >= 0; --k) {
      const Digit& digit = digits_[static_cast<std::size_t>(k)];
      at += i % digit.radix * digit.stride;
      i /= digit.radix;
    }
    return at;
  }

  /// from(i) for every i.
  std::vector<Index> index_map() const {
    std::vector<Index> map(static_cast<std::size_t>(size_));
    for (Index i = 0; i < size_; ++i) map[static_cast<std::size_t>(i)] = from(i);
    return map;
  }

  /// P^-1, which is P^T.
  DigitPermutation inverse() const {
    struct Place {
      Digit input;
      Index stride;
    };
    std::vector<Place> places(static_cast<std::size_t>(count_));
    Index stride = 1;
    for (std::size_t k = places.size(); k-- > 0; stride *= digits_[k].radix) places[k] = {digits_[k], stride};
    std::sort(places.begin(), places.end(),
              [](const Place& a, const Place& b) { return a.input.stride > b.input.stride; });
    DigitPermutation result;
    result.size_ = size_;
    for (const Place& place : places) result.push_back(place.input.radix, place.stride);
    return result;
  }

  /// y = P x for every row.
  ///
  /// Shapes   x, y (batch, size), any strides
  /// Writes   y (overwritten); must not overlap x
  /// Errors   m2::Error if a shape does not fit
  /// Cost     one read and one write of each element; an index map of the size is made on every call
  template <class T, Backend B>
  void apply(B& be, Input<T, 2, B> x, View<T, 2, B> y) const {
    M2_REQUIRE(x.extents() == y.extents() && x.extent(1) == size_, "digit permutation: x is ", x.extents(), ", y is ",
               y.extents(), ", the size is ", size_);
    const Tensor<Index, 1, B> map = detail::upload_map(be, index_map());
    detail::move_columns<false, T>(be, map.data(), x, y);
    be.synchronize();
  }

  /// The same permutation as a matrix of zeros and ones.  // (size, size)
  template <class T, Backend B>
  Tensor<T, 2, B> dense_tensor(B& be) const {
    Tensor<T, 2, B> dense(be, {size_, size_});
    const View<T, 2, B> ones = dense.view();
    const DigitPermutation p = *this;
    be.for_each(size_, [=] M2_HD(Index i) { ones(i, p.from(i)) = T(1); });
    be.synchronize();
    return dense;
  }

  friend bool operator==(const DigitPermutation&, const DigitPermutation&) = default;

 private:
  struct Digit {
    Index radix = 1, stride = 0;  ///< of the result, from the first dimension on; its step in x
    friend bool operator==(const Digit&, const Digit&) = default;
  };

  /// Keeps the one shortest form: no digits of one value, and neighbours that stay neighbours are one digit.
  void push_back(Index radix, Index stride) {
    if (radix == 1) return;
    if (count_ > 0 && digits_[static_cast<std::size_t>(count_ - 1)].stride == stride * radix) {
      Digit& last = digits_[static_cast<std::size_t>(count_ - 1)];
      last = {last.radix * radix, stride};
    } else {
      digits_[static_cast<std::size_t>(count_++)] = {radix, stride};
    }
  }

  Index size_ = 1;
  int count_ = 0;
  std::array<Digit, std::size_t{max_digits}> digits_{};
};

}  // namespace m2
