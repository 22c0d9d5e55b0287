#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "m2/models/gpt.hpp"
#include "m2/train/adamw.hpp"
#include "m2/train/loop.hpp"
#include "m2/train/schedule.hpp"
#include "m2/train/token_windows.hpp"
#include "tests/support.hpp"

// This program's malloc counts. Every allocation comes through here: operator new, Eigen's, OpenMP's. The sanitizers
// need malloc for themselves, and other C libraries have no second name for it: there the test says that it is skipped.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define M2_COUNTS_ALLOCATIONS
namespace {
std::atomic<long> allocations{0};
}
extern "C" {
void* __libc_malloc(std::size_t);                 // NOLINT: glibc's names
void* __libc_calloc(std::size_t, std::size_t);    // NOLINT
void* __libc_realloc(void*, std::size_t);         // NOLINT
void* __libc_memalign(std::size_t, std::size_t);  // NOLINT
void* malloc(std::size_t size) noexcept {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) noexcept {
  ++allocations;
  return __libc_realloc(old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  ++allocations;
  return __libc_memalign(alignment, size);
}
}
#endif

using namespace m2;        // NOLINT
using namespace m2::test;  // NOLINT

namespace {

#ifdef M2_COUNTS_ALLOCATIONS

/// The allocations until each step.
struct Counts {
  std::array<long, 6> at{};
  std::size_t steps = 0;
  void on_step(const StepReport&) { at[steps++] = allocations.load(); }
};

long allocations_of_late_steps(ChannelMixing mixing) {
  Cpu be;
  std::vector<std::uint8_t> text(3000);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::uint8_t>(i * i % 251);
  // 1024 positions: larger than anything that fits the stack buffers of Eigen's products.
  RandomWindows<Cpu> source(be, text, {.batch = 8, .length = 128}, 1);
  Gpt<float, Cpu> model(
      {.length = 128, .channels = 64, .layers = 2, .channel_mixing = mixing, .dropout = 0.1, .filter = {.width = 16}});
  ParameterStore<float, Cpu> store(be, model, 1);
  AdamW<float, Cpu> optimizer(be, store, {.learning_rate = 1e-3});
  TrainState state;
  Counts counts;
  train(be, model, store, optimizer, LinearSchedule({.total = 10}), source, state, {.steps = 6}, counts);
  REQUIRE(counts.steps == counts.at.size());
  REQUIRE(counts.at[0] > 0);  // the counter counts
  return counts.at[5] - counts.at[1];
}

#endif

}  // namespace

TEST_CASE("A training step of Gpt allocates nothing after the first two", "[models]") {
#ifdef M2_COUNTS_ALLOCATIONS
  for (const ChannelMixing mixing : {ChannelMixing::dense, ChannelMixing::block_diagonal, ChannelMixing::monarch}) {
    INFO("channel mixing " << static_cast<int>(mixing));
    CHECK(allocations_of_late_steps(mixing) == 0);
  }
#else
  M2_SKIP("malloc cannot be counted in this build (a sanitizer, or a C library other than glibc)");
#endif
}
