#pragma once

#include "m2/core/view.hpp"

namespace m2 {

/// An array that owns its memory on a backend: contiguous, the last dimension fastest, move-only. Elements start at
/// zero.
template <class T, int Rank, class Backend>
class Tensor {
 public:
  using value_type = T;

  Tensor() = default;
  Tensor(Backend& be, const Extents<Rank>& extents)
      : extents_(extents), buffer_(be.template allocate<T>(checked_count(extents))) {}

  View<T, Rank, Backend> view() { return {buffer_.data(), extents_}; }
  View<const T, Rank, Backend> view() const { return {buffer_.data(), extents_}; }
  View<const T, Rank, Backend> cview() const { return view(); }

  T* data() { return buffer_.data(); }
  const T* data() const { return buffer_.data(); }
  const Extents<Rank>& extents() const { return extents_; }
  Index extent(int d) const { return extents_[static_cast<std::size_t>(d)]; }
  Index size() const { return element_count(extents_); }

 private:
  static Index checked_count(const Extents<Rank>& extents) {
    Index count = 1;
    for (const Index extent : extents) {
      M2_REQUIRE(extent >= 0, "tensor: extents ", extents, " are negative");
      M2_REQUIRE(extent == 0 || count <= max_elements / extent, "tensor: extents ", extents, " are too large");
      count *= extent;
    }
    return count;
  }
  static constexpr Index max_elements = (Index{1} << 62) / static_cast<Index>(sizeof(T));

  Extents<Rank> extents_{};
  typename Backend::template Buffer<T> buffer_;
};

}  // namespace m2
