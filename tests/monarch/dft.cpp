#include "m2/monarch/dft.hpp"

#include <complex>
#include <numbers>

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// X[f] of every (batch, channel) by its definition, in double.
std::complex<double> dft_oracle(const std::vector<double>& re, const std::vector<double>& im, Index b, Index f, Index c,
                                Index n, Index channels) {
  std::complex<double> total = 0;
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>((b * n + j) * channels + c);
    const double angle = -2 * std::numbers::pi * static_cast<double>(f * j % n) / static_cast<double>(n);
    total += std::complex<double>(re[at], im[at]) * std::complex<double>(std::cos(angle), std::sin(angle));
  }
  return total;
}

}  // namespace

TEMPLATE_TEST_CASE("dft: forward is the DFT in digit-reversed order, inverse undoes it", "[monarch][dft]",
                   M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Rng rng(7);
  for (const Index n : {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,  12,  14,  15,  16,  21, 24,
                        32, 35, 48, 49, 60, 64, 75, 80, 96, 105, 125, 128, 210, 256, 840}) {
    const Index batch = 2, channels = 3, gap = n % 2 + 1;
    Strided<T, 3, B> re(be, {batch, n, channels}, gap), im(be, {batch, n, channels}, gap);
    fill_normal(re.view(), rng);
    fill_normal(im.view(), rng);
    const auto x_re = to_host(re.view()), x_im = to_host(im.view());
    const Dft<T, B> dft(be, n);
    dft.forward(be, re.view(), im.view());
    std::vector<double> expected_re, expected_im;
    for (Index b = 0; b < batch; ++b)
      for (Index position = 0; position < n; ++position)
        for (Index c = 0; c < channels; ++c) {
          const auto value = dft_oracle(x_re, x_im, b, dft_frequency(dft.plan(), position), c, n, channels);
          expected_re.push_back(value.real());
          expected_im.push_back(value.imag());
        }
    INFO("size " << n);
    const double allowed = tolerance<T>(n, std::max(largest(expected_re), largest(expected_im)));
    require_close(to_host(re.view()), expected_re, allowed);
    require_close(to_host(im.view()), expected_im, allowed);
    dft.inverse(be, re.view(), im.view());
    auto scaled_re = x_re, scaled_im = x_im;
    for (double& value : scaled_re) value *= static_cast<double>(n);
    for (double& value : scaled_im) value *= static_cast<double>(n);
    require_close(to_host(re.view()), scaled_re, tolerance<T>(n, largest(scaled_re)));
    require_close(to_host(im.view()), scaled_im, tolerance<T>(n, largest(scaled_im)));
  }
}

TEST_CASE("dft: radices multiply to the size, frequencies are a permutation", "[monarch][dft]") {
  for (const Index n : {1, 2, 16, 48, 420, 1024, 2000, 6615, 16384}) {
    Index product = 1;
    for (const int radix : dft_radices(n)) product *= radix;
    REQUIRE(product == n);
    const DftPlan plan = dft_plan(n);
    std::vector<int> seen(static_cast<std::size_t>(n));
    for (Index position = 0; position < n; ++position) ++seen[static_cast<std::size_t>(dft_frequency(plan, position))];
    REQUIRE(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
  }
}

TEST_CASE("dft: smooth_size is smooth, large enough and at most twice as large", "[monarch][dft]") {
  for (Index n = 1; n < 3000; n += n < 100 ? 1 : 37) {
    const Index size = smooth_size(n);
    REQUIRE(size >= n);
    REQUIRE(size < 2 * n);
    REQUIRE_NOTHROW(dft_radices(size));
  }
}

TEST_CASE("dft: errors name the size", "[monarch][dft]") {
  require_error([] { dft_radices(0); }, {"dft", "0"});
  require_error([] { dft_radices(22); }, {"dft", "22", "11"});
  require_error([] { smooth_size(0); }, {"smooth_size", "0"});
  Cpu be;
  const Dft<float, Cpu> dft(be, 8);
  Tensor<float, 3, Cpu> a(be, {1, 8, 2}), b(be, {1, 8, 3}), c(be, {1, 9, 2});
  require_error([&] { dft.forward(be, a.view(), b.view()); }, {"dft", "(1, 8, 2)", "(1, 8, 3)"});
  require_error([&] { dft.inverse(be, c.view(), c.view()); }, {"dft", "(1, 9, 2)", "8"});
}
