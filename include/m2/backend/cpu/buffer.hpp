#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "m2/core/checked_size.hpp"

namespace m2::detail {

/// Owns n zeroed elements on a 64-byte boundary (a cache line, and the widest SIMD register). Large arrays ask the
/// system for large pages: kernels walk through them with long strides, and a step to a page that the CPU has no
/// translation for costs more than the cache line that is read there.
///
/// Errors   m2::Error if n < 0 or the elements are more than 2^62 bytes; std::bad_alloc if there is no memory
template <class T>
class CpuBuffer {
  static_assert(std::is_trivially_copyable_v<T>, "Buffers hold plain numbers.");

 public:
  CpuBuffer() = default;
  explicit CpuBuffer(Index n) {
    const std::size_t bytes = detail::checked_bytes("allocate", n, sizeof(T));
    if (bytes == 0) return;
    const std::align_val_t alignment{bytes >= 2 * large_page ? large_page : 64};
    data_ = {static_cast<T*>(::operator new(bytes, alignment)), Free{alignment}};
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes >= 2 * large_page) (void)madvise(data_.get(), bytes / large_page * large_page, MADV_HUGEPAGE);  // a wish
#endif
    std::fill_n(data_.get(), n, T{});
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  static constexpr std::size_t large_page = std::size_t{1} << 21;
  struct Free {
    std::align_val_t alignment{64};
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T[], Free> data_;
};

}  // namespace m2::detail
