#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "m2/core/checked_size.hpp"
#include "m2/core/error.hpp"
#include "m2/core/index.hpp"

namespace m2 {

namespace detail {

/// contiguous_strides of extents that were checked before.
template <std::size_t N>
constexpr std::array<Index, N> strides_of(const std::array<Index, N>& extents) {
  constexpr int Rank = static_cast<int>(N);
  std::array<Index, N> strides{};
  Index step = 1;
  for (int d = Rank - 1; d >= 0; --d) {
    strides[static_cast<std::size_t>(d)] = step;
    step *= extents[static_cast<std::size_t>(d)];
  }
  return strides;
}

}  // namespace detail

/// Strides, in elements, of a dense array with the last dimension contiguous.
///
/// Errors   m2::Error if an extent is negative or the product of the extents does not fit an Index
template <int Rank>
constexpr Extents<Rank> contiguous_strides(const Extents<Rank>& extents) {
  detail::checked_count("view", extents);
  return detail::strides_of(extents);
}

/// The number of elements of an array with these extents.
///
/// Errors   m2::Error if an extent is negative or the product of the extents does not fit an Index
template <std::size_t N>
constexpr Index element_count(const std::array<Index, N>& extents) {
  return detail::checked_count("element_count", extents);
}

/// A strided window onto memory of one backend: a pointer, extents and strides in elements. It owns nothing, is
/// trivially copyable, and every permutation, slice or reshape that strides can express costs nothing.
///
/// T        element type, const for read-only views
/// Backend  where the memory lives; views of different backends do not mix
template <class T, int Rank, class Backend>
class View {
  static_assert(Rank >= 1, "A View has at least one dimension.");

 public:
  using value_type = std::remove_const_t<T>;
  using backend_type = Backend;
  static constexpr int rank = Rank;

  View() = default;
  M2_HD constexpr View(T* data, const Extents<Rank>& extents, const Extents<Rank>& strides)
      : data_(data), extents_(extents), strides_(strides) {}
  constexpr View(T* data, const Extents<Rank>& extents)
      : data_(data), extents_(extents), strides_(contiguous_strides<Rank>(extents)) {}

  /// Views of mutable elements read as views of const elements.
  template <class U>
  requires(std::same_as<const U, T> && !std::same_as<U, T>) M2_HD
      constexpr View(const View<U, Rank, Backend>& other)  // NOLINT: implicit on purpose
      : data_(other.data()), extents_(other.extents()), strides_(other.strides()) {}

  /// Never compiles: says so in a sentence where memory of two backends would mix.
  template <class U, class Other>
  requires(!std::same_as<Other, Backend>) View(const View<U, Rank, Other>&) {  // NOLINT: implicit on purpose
    static_assert(std::same_as<Other, Backend>, "A view of another backend's memory: upload or download it first.");
  }

  M2_HD constexpr T* data() const { return data_; }
  M2_HD constexpr const Extents<Rank>& extents() const { return extents_; }
  M2_HD constexpr const Extents<Rank>& strides() const { return strides_; }
  M2_HD constexpr Index extent(int d) const { return extents_[static_cast<std::size_t>(d)]; }
  M2_HD constexpr Index stride(int d) const { return strides_[static_cast<std::size_t>(d)]; }

  /// The number of elements.
  ///
  /// Errors   on the host, m2::Error if it does not fit an Index, as a view that repeats elements by strides of 0 can
  /// have
  M2_HD constexpr Index size() const {
#ifdef __CUDA_ARCH__
    Index count = 1;
    for (int d = 0; d < Rank; ++d) count *= extent(d);
    return count;
#else
    return detail::checked_count("view", extents_);
#endif
  }

  /// True when the elements lie without gaps, the last dimension fastest.
  constexpr bool is_contiguous() const {
    Index step = 1;
    for (int d = Rank - 1; d >= 0; --d) {
      if (extent(d) != 1 && stride(d) != step) return false;
      step = detail::checked_product("view", step, extent(d));
    }
    return true;
  }

  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) == Rank) M2_HD constexpr T& operator()(I... indices) const {
    const Index at[] = {static_cast<Index>(indices)...};
    Index offset = 0;
    for (int d = 0; d < Rank; ++d) offset += at[d] * stride(d);
    return data_[offset];
  }

  /// The same elements with dimensions a and b exchanged.
  constexpr View transpose(int a, int b) const {
    View result = *this;
    std::swap(result.extents_[static_cast<std::size_t>(a)], result.extents_[static_cast<std::size_t>(b)]);
    std::swap(result.strides_[static_cast<std::size_t>(a)], result.strides_[static_cast<std::size_t>(b)]);
    return result;
  }

  /// `count` indices of dimension d, from `begin` on.
  constexpr View slice(int d, Index begin, Index count) const {
    M2_REQUIRE(begin >= 0 && count >= 0 && begin <= extent(d) && count <= extent(d) - begin, "slice: ", count,
               " indices from ", begin, " on are outside dimension ", d, " of ", extents_);
    View result = *this;
    result.data_ += begin * stride(d);
    result.extents_[static_cast<std::size_t>(d)] = count;
    return result;
  }

  /// Index i of dimension d, which disappears.
  constexpr View<T, (Rank > 1 ? Rank - 1 : 1), Backend> select(int d, Index i) const requires(Rank > 1) {
    M2_REQUIRE(i >= 0 && i < extent(d), "select: ", i, " is outside dimension ", d, " of ", extents_);
    Extents<Rank - 1> extents{}, strides{};
    for (int from = 0, to = 0; from < Rank; ++from) {
      if (from == d) continue;
      extents[static_cast<std::size_t>(to)] = extent(from);
      strides[static_cast<std::size_t>(to++)] = stride(from);
    }
    return {data_ + i * stride(d), extents, strides};
  }

  /// Dimension d seen as two, (extent(d) / inner, inner).
  constexpr View<T, Rank + 1, Backend> split(int d, Index inner) const {
    M2_REQUIRE(inner > 0 && extent(d) % inner == 0, "split: dimension ", d, " of ", extents_, " is no multiple of ",
               inner);
    Extents<Rank + 1> extents{}, strides{};
    for (int from = 0, to = 0; from < Rank; ++from, ++to) {
      extents[static_cast<std::size_t>(to)] = extent(from);
      strides[static_cast<std::size_t>(to)] = stride(from);
      if (from != d) continue;
      extents[static_cast<std::size_t>(to)] = extent(d) / inner;
      strides[static_cast<std::size_t>(to)] = detail::checked_product("split", stride(d), inner);
      extents[static_cast<std::size_t>(++to)] = inner;
      strides[static_cast<std::size_t>(to)] = stride(d);
    }
    return {data_, extents, strides};
  }

  /// Dimensions d and d + 1 seen as one. Their strides must allow it: stride(d) == stride(d + 1) * extent(d + 1).
  constexpr View<T, (Rank > 1 ? Rank - 1 : 1), Backend> merge(int d) const requires(Rank > 1) {
    const bool inner_single = extent(d + 1) == 1;
    const bool outer_single = extent(d) == 1;
    M2_REQUIRE(inner_single || outer_single || size() == 0 ||
                   stride(d) == detail::checked_product("merge", stride(d + 1), extent(d + 1)),
               "merge: dimensions ", d, " and ", d + 1, " of ", extents_, " with strides ", strides_,
               " are not one run of memory");
    Extents<Rank - 1> extents{}, strides{};
    for (int from = 0, to = 0; from < Rank; ++from, ++to) {
      if (from == d) {
        extents[static_cast<std::size_t>(to)] = detail::checked_product("merge", extent(d), extent(d + 1));
        strides[static_cast<std::size_t>(to)] = inner_single ? stride(d) : stride(d + 1);
        ++from;
      } else {
        extents[static_cast<std::size_t>(to)] = extent(from);
        strides[static_cast<std::size_t>(to)] = stride(from);
      }
    }
    return {data_, extents, strides};
  }

 private:
  T* data_ = nullptr;
  Extents<Rank> extents_{};
  Extents<Rank> strides_{};
};

/// The type of a read-only argument of an op: element type and backend are deduced from the views the op writes, so
/// that views of mutable elements convert. A view of another backend does not compile.
template <class T, int Rank, class Backend>
using Input = std::type_identity_t<View<const T, Rank, Backend>>;

}  // namespace m2
