#pragma once

#include "m2/core/view.hpp"

namespace m2 {

/// An array that owns its memory on a backend: contiguous, the last dimension fastest, move-only. Elements start at
/// zero.
///
/// Errors   m2::Error if an extent is negative, or the elements are more than 2^62 bytes
template <class T, int Rank, class Backend>
class Tensor {
 public:
  using value_type = T;

  Tensor() = default;
  Tensor(Backend& be, const Extents<Rank>& extents)
      : extents_(extents), buffer_(be.template allocate<T>(checked_count(extents))) {}

  View<T, Rank, Backend> view() { return {buffer_.data(), extents_, detail::strides_of(extents_)}; }
  View<const T, Rank, Backend> view() const { return {buffer_.data(), extents_, detail::strides_of(extents_)}; }
  View<const T, Rank, Backend> cview() const { return view(); }

  T* data() { return buffer_.data(); }
  const T* data() const { return buffer_.data(); }
  const Extents<Rank>& extents() const { return extents_; }
  Index extent(int d) const { return extents_[static_cast<std::size_t>(d)]; }
  Index size() const { return element_count(extents_); }

 private:
  static Index checked_count(const Extents<Rank>& extents) {
    const Index count = detail::checked_count("tensor", extents);
    M2_REQUIRE(count <= (Index{1} << 62) / static_cast<Index>(sizeof(T)), "tensor: extents ", extents,
               " are too large, 2^62 bytes are possible");
    return count;
  }

  Extents<Rank> extents_{};
  typename Backend::template Buffer<T> buffer_;
};

}  // namespace m2
