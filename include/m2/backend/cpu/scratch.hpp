#pragma once

#include "m2/backend/cpu/buffer.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// Memory that grows when more of it is asked for than ever before; its contents are lost then.
class ScratchMemory {
 public:
  void* at_least(Index n, std::size_t element) {
    if (n > capacity_) grow(n, element);
    return memory_.data();
  }

 private:
  M2_COLD void grow(Index n, std::size_t element) {
    capacity_ = 0;          // stays so if there is no memory for n elements
    memory_ = CpuMemory();  // free before allocating: no need to hold both
    memory_ = CpuMemory(n, element);
    capacity_ = n;
  }

  CpuMemory memory_;
  Index capacity_ = 0;
};

/// Working memory of the calling thread for one kernel call: at least n elements on a 64-byte boundary, contents
/// undefined. It only grows, so a training loop allocates nothing after its first step; it is freed with the thread.
/// Kernel   a tag type: kernels that call one another use tags of their own
template <class Kernel, class T>
T* thread_scratch(Index n) {
  thread_local ScratchMemory memory;
  return static_cast<T*>(memory.at_least(n, sizeof(T)));
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
