#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

#include "m2/core/checked_size.hpp"

namespace m2::detail {

/// Owns n zeroed elements on a 64-byte boundary (a cache line, and the widest SIMD register).
///
/// Errors   m2::Error if n < 0 or the elements are more than 2^62 bytes; std::bad_alloc if there is no memory
template <class T>
class CpuBuffer {
  static_assert(std::is_trivially_copyable_v<T>, "Buffers hold plain numbers.");

 public:
  CpuBuffer() = default;
  explicit CpuBuffer(Index n) : data_(allocate(detail::checked_bytes("allocate", n, sizeof(T)))) {
    std::fill_n(data_.get(), n, T{});
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t alignment{64};
  static T* allocate(std::size_t bytes) {
    return bytes > 0 ? static_cast<T*>(::operator new(bytes, alignment)) : nullptr;
  }
  struct Free {
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T[], Free> data_;
};

}  // namespace m2::detail
