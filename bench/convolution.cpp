#include <cmath>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "bench/product.hpp"
#include "m2/conv.hpp"

#ifdef M2_BENCH_FFTW
#include "bench/fftw_convolution.hpp"
#endif

/// The causal long convolution on one thread, beside FFTW's. Every call transforms the kernels, too: in training they
/// are new in every step.
namespace m2::bench {

namespace {

/// Times faster than FFTW that a throw-away prototype of radix-8 stages was (performance.md; Zen 5).
double prototype(Index length, Index channels) {
  static const std::map<std::tuple<Index, Index>, double> measured{
      {{1024, 64}, 2.1}, {{1024, 768}, 1.8}, {{4096, 64}, 1.8}, {{4096, 768}, 1.6}};
  const auto found = measured.find({length, channels});
  return found == measured.end() ? not_a_number : found->second;
}

void convolution_case(Findings& found, const Effort& effort, Index batch, Index length, Index channels) {
  Cpu be;
  const Extents<3> extents{batch, length, channels};
  Tensor<float, 3, Cpu> u(be, extents), y(be, extents), dy(be, extents), du(be, extents);
  Tensor<float, 2, Cpu> k(be, {length, channels}), dk(be, {length, channels});
  fill_random(u.data(), u.size());
  fill_random(dy.data(), dy.size());
  fill_random(k.data(), k.size());
  LongConvolution<float, Cpu> plan(be, extents);
  std::vector<Contestant> who{
      contestant([&] { plan.forward(be, u.view(), k.view(), {}, {}, y.view()); }),
      contestant([&] { plan.backward(be, u.view(), k.view(), {}, {}, dy.view(), du.view(), dk.view(), {}, {}); })};
#ifdef M2_BENCH_FFTW
  // FFTW's layout: every sequence contiguous.
  std::vector<float> sequences(static_cast<std::size_t>(u.size())), kernels(static_cast<std::size_t>(k.size())),
      result(sequences.size());
  for (Index b = 0; b < batch; ++b)
    for (Index t = 0; t < length; ++t)
      for (Index c = 0; c < channels; ++c)
        sequences[static_cast<std::size_t>((b * channels + c) * length + t)] = u.view()(b, t, c);
  for (Index t = 0; t < length; ++t)
    for (Index c = 0; c < channels; ++c) kernels[static_cast<std::size_t>(c * length + t)] = k.view()(t, c);
  who[0](1);
  std::vector<std::unique_ptr<FftwConvolution>> peers;
  for (const FftwMethod method : {FftwMethod::real, FftwMethod::two_channels, FftwMethod::two_rows}) {
    if (method == FftwMethod::two_rows && batch < 2) continue;
    peers.push_back(std::make_unique<FftwConvolution>(batch, length, channels, method));
    who.push_back(
        contestant([&, peer = peers.back().get()] { peer->forward(sequences.data(), kernels.data(), result.data()); }));
    who.back()(1);
    double difference = 0, largest = 0;
    for (Index b = 0; b < batch; ++b)
      for (Index t = 0; t < length; ++t)
        for (Index c = 0; c < channels; ++c) {
          const double ours = static_cast<double>(y.view()(b, t, c));
          const auto at = static_cast<std::size_t>((b * channels + c) * length + t);
          difference = std::max(difference, std::abs(static_cast<double>(result[at]) - ours));
          largest = std::max(largest, std::abs(ours));
        }
    M2_REQUIRE(difference <= 1e-5 * largest, "FFTW and the long convolution differ by ", difference, " of ", largest);
  }
#endif
  const Rounds rounds(effort, who);
  const double sequence = 1e6 / static_cast<double>(batch * channels);
  found.note("us_per_sequence", rounds.seconds(0) * sequence);
  double best = not_a_number;
  for (std::size_t peer = 2; peer < who.size(); ++peer) best = std::fmin(best, rounds.times_faster(0, peer));
  const char* const names[] = {"fftw_real_us", "fftw_two_channels_us", "fftw_two_rows_us"};
  for (std::size_t peer = 2; peer < who.size(); ++peer) found.note(names[peer - 2], rounds.seconds(peer) * sequence);
  found.add("convolution", best, prototype(length, channels));
  // Transforms: two for a pair of rows and one for its kernel, against three and two.
  const double pairs = static_cast<double>((batch + 1) / 2);
  found.add("convolution_vjp", rounds.times_faster(0, 1), (3 * pairs + 2) / (2 * pairs + 1));
}

}  // namespace

void register_convolution_cases(const Effort& effort) {
#ifndef M2_BENCH_FFTW
  add_remark("FFTW is not installed (Debian: libfftw3-dev).");
#endif
  constexpr Index largest = Index{1} << 26;  // elements of an array
  for (const Index channels : {64, 768})
    for (const Index length : {1024, 4096, 16384, 65536})
      for (const Index batch : {1, 8}) {
        if (batch * channels * length > largest) continue;
        register_case("convolution/N:" + std::to_string(length) + "/channels:" + std::to_string(channels) +
                          "/batch:" + std::to_string(batch),
                      [=](Findings& found) { convolution_case(found, effort, batch, length, channels); });
      }
}

}  // namespace m2::bench
