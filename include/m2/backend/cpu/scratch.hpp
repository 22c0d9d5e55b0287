#pragma once

#include "m2/backend/cpu/buffer.hpp"

namespace m2::detail {

/// Working memory of the calling thread for one kernel call: at least n elements on a 64-byte boundary, contents
/// undefined. It only grows, so a training loop allocates nothing after its first step; it is freed with the thread.
/// Kernel   a tag type: kernels that call one another use tags of their own
template <class Kernel, class T>
T* thread_scratch(Index n) {
  thread_local CpuBuffer<T> buffer;
  thread_local Index capacity = 0;
  if (n > capacity) {
    capacity = 0;             // stays so if there is no memory for n elements
    buffer = CpuBuffer<T>();  // free before allocating: no need to hold both
    buffer = CpuBuffer<T>(n);
    capacity = n;
  }
  return buffer.data();
}

}  // namespace m2::detail
