#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

#include "m2/core/index.hpp"

namespace m2::detail {

/// Owns n zeroed elements on a 64-byte boundary (a cache line, and the widest SIMD register).
template <class T>
class CpuBuffer {
  static_assert(std::is_trivially_copyable_v<T>, "Buffers hold plain numbers.");

 public:
  CpuBuffer() = default;
  explicit CpuBuffer(Index n)
      : data_(n > 0 ? static_cast<T*>(::operator new(static_cast<std::size_t>(n) * sizeof(T), alignment)) : nullptr) {
    std::fill_n(data_.get(), n, T{});
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t alignment{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T[], Free> data_;
};

}  // namespace m2::detail
