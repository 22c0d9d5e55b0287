#include "bench/ceilings.hpp"
#include "bench/product.hpp"

namespace m2::bench {

namespace {

/// A contestant on so many threads.
Contestant on_threads(int threads, Contestant contestant) {
  return [=](long calls) {
    (void)threads;  // without OpenMP
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    const double seconds = contestant(calls);
    omp_set_num_threads(before);
    return seconds;
#else
    return contestant(calls);
#endif
  };
}

/// The prediction is what two threads do on registers alone: a busy neighbour halves that, too. Of one vector, threads
/// exchange results every few microseconds: whatever touches one of the two cores stops both, between two looks at them
/// as well. So there are many short turns, and the fastest one of each contestant counts.
void threads_case(Findings& found, Effort effort, Index n, Index batch, Layout layout) {
  const bool one_vector = batch == 1;
  if (one_vector) effort = {9 * effort.rounds, effort.seconds / 3};
  Product<2, float> p(balanced_shape<2>(n), batch, layout);
  const Rounds rounds(effort,
                      {on_threads(1, p.contestant()), on_threads(2, p.contestant()),
                       on_threads(1, fma_peak_of_threads<float>()), on_threads(2, fma_peak_of_threads<float>())},
                      2);
  found.note("us", rounds.seconds(1) * 1e6);
  found.add(one_vector ? "two_threads_one_vector" : "two_threads",
            one_vector ? rounds.fastest(0) / rounds.fastest(1) : rounds.times_faster(1, 0),
            2 / rounds.times_faster(2, 3));
}

}  // namespace

void register_thread_cases(const Effort& effort) {
#ifdef _OPENMP
  WholeCore::get().allow_all_cores();  // a measurement before this one may have kept to one
  if (omp_get_num_procs() < 2) return;
  struct Size {
    Index n, batch;
  };
  for (const auto& [n, batch] : {Size{1024, 256}, {1024, 1024}, {4096, 256}, {65536, 16}})
    for (const Layout layout : layouts)
      register_case("threads/N:" + std::to_string(n) + "/B:" + std::to_string(batch) + "/" + name_of(layout),
                    [=, n = n, batch = batch](Findings& found) { threads_case(found, effort, n, batch, layout); });
  for (const Index n : {4096, 16384})
    register_case("threads/N:" + std::to_string(n) + "/B:1",
                  [=](Findings& found) { threads_case(found, effort, n, 1, Layout::row); });
#else
  (void)effort;
  add_remark("Two threads: this compiler has no OpenMP.");
#endif
}

}  // namespace m2::bench
