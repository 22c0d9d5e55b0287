#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "m2/backend/cpu/instruction_set.hpp"
#include "m2/core/checked_size.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

struct FreeAligned {
  std::align_val_t alignment{64};
  void operator()(void* p) const { ::operator delete(p, alignment); }
};

/// Owns memory for n zeroed elements of so many bytes, on a 64-byte boundary (a cache line, and the widest SIMD
/// register). Large arrays ask the system for large pages: kernels walk through them with long strides, and a step to a
/// page that the CPU has no translation for costs more than the cache line that is read there.
///
/// Errors   m2::Error if n < 0 or the elements are more than 2^62 bytes; m2::OutOfMemory if there is not enough
class CpuMemory {
 public:
  CpuMemory() = default;
  M2_COLD CpuMemory(Index n, std::size_t element) {
    const std::size_t bytes = checked_bytes("allocate", n, element);
    if (bytes == 0) return;
    const std::align_val_t alignment{bytes >= 2 * large_page ? large_page : 64};
    data_ = {::operator new(bytes, alignment, std::nothrow), FreeAligned{alignment}};
    if (data_ == nullptr) throw OutOfMemory(bytes);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes >= 2 * large_page) (void)madvise(data_.get(), bytes / large_page * large_page, MADV_HUGEPAGE);  // a wish
#endif
    std::memset(data_.get(), 0, bytes);
  }

  void* data() const { return data_.get(); }

 private:
  static constexpr std::size_t large_page = std::size_t{1} << 21;
  std::unique_ptr<void, FreeAligned> data_;
};

/// Owns n zeroed numbers: CpuMemory with a type.
template <class T>
class CpuBuffer {
  static_assert(std::is_trivially_copyable_v<T>, "Buffers hold plain numbers.");

 public:
  CpuBuffer() = default;
  explicit CpuBuffer(Index n) : memory_(n, sizeof(T)) {}

  T* data() { return static_cast<T*>(memory_.data()); }
  const T* data() const { return static_cast<const T*>(memory_.data()); }

 private:
  CpuMemory memory_;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
