#pragma once

#include <algorithm>
#include <exception>

#include "m2/backend/cpu/instruction_set.hpp"
#include "m2/core/index.hpp"
#include "m2/core/qualifiers.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The threads that a new parallel region would get: 1 inside a parallel region and without OpenMP.
inline int available_threads() {
#ifdef _OPENMP
  return omp_in_parallel() != 0 ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

/// Where part `part` of `parts` of `count` things begins. A single part, the usual one of small work, needs no
/// division.
M2_INLINE Index part_begin(Index count, Index part, Index parts) {
  return parts == 1 ? count * part : count * part / parts;
}

#ifdef _OPENMP
/// run_team for more than one thread.
template <class Body>
void run_threads(Index steps, Index parts, int threads, Body& body) {
  std::exception_ptr thrown;
#pragma omp parallel num_threads(static_cast <int>(std::min <Index>(threads, parts)))
  {
    const Index thread = omp_get_thread_num(), team = omp_get_num_threads();  // may be fewer than asked for
    for (Index step = 0; step < steps; ++step) {
      for (Index part = part_begin(parts, thread, team); part < part_begin(parts, thread + 1, team); ++part) {
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
}
#endif

/// Runs body(step, part) for every step, one after the other, and in each of them for part in [0, parts) on up to
/// `threads` threads, each taking a fixed run of consecutive parts, so that results do not depend on timing. All steps
/// are the work of one team, which waits between them: that is sooner done than to call it anew. Where a part throws,
/// the others run all the same, on whatever it left, and what it threw is thrown again when all are done.
template <class Body>
M2_INLINE void run_team(Index steps, Index parts, [[maybe_unused]] int threads, Body&& body) {
#ifdef _OPENMP
  if (threads > 1 && parts > 1) return run_threads(steps, parts, threads, body);
#endif
  for (Index step = 0; step < steps; ++step)
    for (Index part = 0; part < parts; ++part) body(step, part);
}

/// Runs body(part) for part in [0, parts) on up to `threads` threads: a team with one step.
template <class Body>
M2_INLINE void parallel_parts(Index parts, int threads, Body&& body) {
  run_team(1, parts, threads, [&](Index, Index part) { body(part); });
}

/// Runs body(step, part) for every step and one part for each thread.
template <class Body>
M2_INLINE void parallel_steps(Index steps, int threads, Body&& body) {
  run_team(steps, threads, threads, body);
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
