#pragma once

#include <algorithm>
#include <exception>

#include "m2/core/index.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace m2::detail {

/// The threads that a new parallel region would get: 1 inside a parallel region and without OpenMP.
inline int available_threads() {
#ifdef _OPENMP
  return omp_in_parallel() != 0 ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

/// Runs body(part) for part in [0, parts) on up to `threads` threads, each taking a fixed run of consecutive parts, so
/// that results do not depend on timing. What a part throws is thrown again when all are done.
template <class Body>
void parallel_parts(Index parts, int threads, Body&& body) {
  if (threads <= 1 || parts <= 1) {
    for (Index part = 0; part < parts; ++part) body(part);
    return;
  }
  const int team = static_cast<int>(std::min<Index>(threads, parts));
  (void)team;  // without OpenMP
  std::exception_ptr thrown;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(team)
#endif
  for (Index part = 0; part < parts; ++part) {
    try {
      body(part);
    } catch (...) {
#ifdef _OPENMP
#pragma omp critical(m2_parallel_parts)
#endif
      if (!thrown) thrown = std::current_exception();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

/// Runs body(step, part) for every step, one after the other, and in each of them for part in [0, threads), at the same
/// time. All steps are the work of one team, which waits between them: that is sooner done than to call it anew. Where
/// a step throws, the others run all the same, on whatever it left.
template <class Body>
void parallel_steps(Index steps, int threads, Body&& body) {
#ifdef _OPENMP
  if (threads > 1) {
    std::exception_ptr thrown;
#pragma omp parallel num_threads(threads)
    {
      const int team = omp_get_num_threads();  // may be fewer than asked for
      for (Index step = 0; step < steps; ++step) {
        for (Index part = omp_get_thread_num(); part < threads; part += team) {
          try {
            body(step, part);
          } catch (...) {
#pragma omp critical(m2_parallel_parts)
            if (!thrown) thrown = std::current_exception();
          }
        }
        if (step + 1 < steps) {
#pragma omp barrier
        }
      }
    }
    if (thrown) std::rethrow_exception(thrown);
    return;
  }
#endif
  for (Index step = 0; step < steps; ++step)
    for (Index part = 0; part < threads; ++part) body(step, part);
}

}  // namespace m2::detail
