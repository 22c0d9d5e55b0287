#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <vector>

#include "m2/backend/concept.hpp"
#include "m2/core/butterfly.hpp"
#include "m2/core/dft_plan.hpp"
#include "m2/core/root_of_unity.hpp"

/// The DFT as an order-p Monarch product. Radices n_p, .., n_1 in order of application; position j = sum_a j_a W_a with
/// W_1 = 1, W_{a+1} = W_a n_a, N = W_{p+1}. Factor a replaces digit j_a by e_a, for every value of the other digits,
/// with
///
///   B^(a)[e_a, j_a] = w_{n_a}^{e_a j_a} tau^{j_a},   tau = w_{N / W_a}^{E_{a+1}},   w_r = exp(-2 pi i / r),
///   E_a = e_p + n_p e_{p-1} + .. + n_p .. n_{a+1} e_a,   E_{p+1} = 0.
///
/// It acts in place, so that frequency E_1 is found at position sum_a e_a W_a: the spectrum is in digit-reversed order.
/// A product of two spectra needs no other order, and the inverse, factors backwards, starts from it: no permutation at
/// all.
///
/// Source   math.md B5, D1; Dao et al. 2022 (arXiv:2204.00595); Fu et al. 2023 (arXiv:2310.12109) Sec. 3
namespace m2 {

namespace detail {

/// Relative time of one stage for each element, measured (AVX-512, float, sizes 48 to 4096). Radix 16 does not pay: its
/// numbers do not fit 32 registers.
inline double dft_stage_cost(int radix) {
  switch (radix) {
    case 2:
      return 0.85;
    case 3:
      return 0.75;
    case 4:
      return 0.8;
    case 5:
      return 0.95;
    case 7:
      return 1.15;
    case 8:
      return 1;
    default:
      return std::numeric_limits<double>::infinity();
  }
}

inline double dft_cost(const std::vector<int>& radices) {
  double cost = 0;
  for (const int radix : radices) cost += dft_stage_cost(radix);
  return cost;
}

/// The cheapest radices whose product is 2^exponent.
inline std::vector<int> power_of_two_radices(int exponent) {
  std::vector<int> best;
  for (int eights = 0; 3 * eights <= exponent; ++eights)
    for (int fours = 0; 3 * eights + 2 * fours <= exponent; ++fours) {
      std::vector<int> radices(static_cast<std::size_t>(exponent - 3 * eights - 2 * fours), 2);
      radices.insert(radices.end(), static_cast<std::size_t>(fours), 4);
      radices.insert(radices.end(), static_cast<std::size_t>(eights), 8);
      if (best.empty() || dft_cost(radices) < dft_cost(best)) best = radices;
    }
  return best;
}

/// Divides n by p as often as it goes; how often.
inline int divide_out(Index& n, Index p) {
  int count = 0;
  for (; n % p == 0; n /= p) ++count;
  return count;
}

}  // namespace detail

/// The radices of a DFT of size n = 2^a 3^b 5^c 7^d in order of application, the cheapest choice of them: the largest
/// even one first, since that factor has half of the work where half of the input is zero; the others ascending, so
/// that the last, where the long convolution multiplies spectra in registers, saves the most memory traffic.
///
/// Errors   m2::Error if n < 1 or n has another prime factor
inline std::vector<int> dft_radices(Index n) {
  M2_REQUIRE(n >= 1, "dft: the size is ", n, ", at least 1 is needed");
  Index rest = n;
  std::vector<int> radices = detail::power_of_two_radices(detail::divide_out(rest, 2));
  const auto odd = static_cast<std::ptrdiff_t>(radices.size());
  for (const int prime : {3, 5, 7})
    radices.insert(radices.end(), static_cast<std::size_t>(detail::divide_out(rest, prime)), prime);
  M2_REQUIRE(rest == 1, "dft: the size ", n, " has the factor ", rest, ", only 2, 3, 5 and 7 are possible");
  if (odd > 0) std::rotate(radices.begin(), radices.begin() + odd - 1, radices.begin() + odd);
  std::sort(radices.begin() + (odd > 0 ? 1 : 0), radices.end());
  return radices;
}

/// The transform size of least cost that is >= at_least and has only the prime factors 2, 3, 5 and 7.
///
/// Errors   m2::Error if at_least is not in [1, 2^40]
inline Index smooth_size(Index at_least) {
  M2_REQUIRE(at_least >= 1 && at_least <= Index{1} << 40, "smooth_size: ", at_least, " is not in [1, 2^40]");
  Index bound = 1;
  while (bound < at_least) bound *= 2;
  Index best = bound;
  double best_cost = std::numeric_limits<double>::infinity();
  for (Index sevens = 1; sevens <= bound; sevens *= 7)
    for (Index fives = sevens; fives <= bound; fives *= 5)
      for (Index threes = fives; threes <= bound; threes *= 3) {
        Index n = threes;
        while (n < at_least) n *= 2;
        const double unpadded = n % 2 == 0 ? 0 : 0.4;  // an odd first radix reads and writes the padding (measured)
        const double cost = static_cast<double>(n) * (detail::dft_cost(dft_radices(n)) + unpadded);
        if (cost < best_cost || (cost == best_cost && n < best)) best = n, best_cost = cost;
      }
  return best;
}

/// The factors of a DFT with given radices, first applied first, and their twiddles, computed in double.
///
/// Errors   m2::Error if a radix is not one of 2, 3, 4, 5, 7, 8, or their product does not fit an Index
inline DftPlan dft_plan(const std::vector<int>& radices) {
  DftPlan plan;
  for (const int radix : radices) {
    M2_REQUIRE(std::isfinite(detail::dft_stage_cost(radix)), "dft: the radix ", radix,
               " is not one of 2, 3, 4, 5, 7, 8");
    plan.size = detail::checked_product("dft", plan.size, radix);
  }
  Index blocks = 1, offset = 0;
  const std::size_t bytes = detail::checked_bytes("dft", plan.size, 2 * sizeof(double));
  plan.twiddles.reserve(bytes / sizeof(double));  // what does not fit memory fails here, not after filling it
  std::vector<Index> frequencies{0};              // E_{a+1} of each block
  for (const int radix : radices) {
    plan.stages.push_back({radix, plan.size / (blocks * radix), blocks, offset});
    std::vector<Index> next;
    for (const Index frequency : frequencies) {
      for (int j = 1; j < radix; ++j) {
        const std::complex<double> twiddle = root_of_unity(blocks * radix, frequency * j);
        plan.twiddles.insert(plan.twiddles.end(), {twiddle.real(), twiddle.imag()});
      }
      for (int e = 0; e < radix; ++e) next.push_back(frequency + blocks * e);
    }
    offset += blocks * (radix - 1);
    blocks *= radix;
    frequencies = std::move(next);
  }
  return plan;
}

/// The factors of a DFT of size n, with dft_radices(n).
inline DftPlan dft_plan(Index n) { return dft_plan(dft_radices(n)); }

/// The frequency E_1 that stands at a position of the spectrum.
inline Index dft_frequency(const DftPlan& plan, Index position) {
  Index frequency = 0;
  for (const DftStage& stage : plan.stages) frequency += position / stage.inner % stage.radix * stage.blocks;
  return frequency;
}

namespace detail {

/// One factor, or its conjugate transpose, on every (batch, channel) of a complex array.
template <int R, bool Inverse, Scalar T, Backend B>
void dft_stage(B& be, DftStage stage, const T* twiddles, View<T, 3, B> re, View<T, 3, B> im) {
  const Index channels = re.extent(2), butterflies = stage.inner * stage.blocks;
  be.for_each(re.extent(0) * butterflies * channels, [=] M2_HD(Index at) {
    const Index c = at % channels, which = at / channels % butterflies, b = at / channels / butterflies;
    const Index block = which / stage.inner, first = block * R * stage.inner + which % stage.inner;
    const T* const w = twiddles + 2 * (stage.twiddles + block * (R - 1));
    T r[std::size_t{R}], i[std::size_t{R}];
    M2_UNROLL for (int j = 0; j < R; ++j) {
      r[j] = re(b, first + j * stage.inner, c);
      i[j] = im(b, first + j * stage.inner, c);
    }
    if (Inverse) {
      butterfly<T, R>(i, r);
      twiddle<R>(w, i, r);
    } else {
      twiddle<R>(w, r, i);
      butterfly<T, R>(r, i);
    }
    M2_UNROLL for (int j = 0; j < R; ++j) {
      re(b, first + j * stage.inner, c) = r[j];
      im(b, first + j * stage.inner, c) = i[j];
    }
  });
}

}  // namespace detail

/// A DFT of one size on any backend: its factors, and the twiddles in the backend's memory.
template <Scalar T, Backend B>
class Dft {
 public:
  Dft() = default;
  /// Errors   as dft_radices
  Dft(B& be, Index n) : plan_(dft_plan(n)) {
    const std::vector<T> twiddles(plan_.twiddles.begin(), plan_.twiddles.end());
    const auto count = static_cast<Index>(twiddles.size());
    twiddles_ = be.template allocate<T>(count);
    be.upload(twiddles.data(), twiddles_.data(), count);
    be.synchronize();
  }

  const DftPlan& plan() const { return plan_; }
  Index size() const { return plan_.size; }

  /// x[:, e, :] = sum_j w_N^{e j} x[:, j, :] in place, frequency dft_frequency(plan(), position) at each position.
  ///
  /// Shapes   re, im (batch, N, channels), the real and the imaginary part, any strides
  /// Errors   m2::Error if the shapes differ, or their second extent is not N
  /// Cost     about 8 N log2 N real operations for each (batch, channel); one for_each for each factor
  void forward(B& be, View<T, 3, B> re, View<T, 3, B> im) const {
    check(re, im);
    for (const DftStage& stage : plan_.stages)
      detail::with_radix(stage.radix, [&](auto radix) {
        detail::dft_stage<radix(), false, T, B>(be, stage, twiddles_.data(), re, im);
      });
  }

  /// The inverse of forward times N, from the order that forward leaves to natural order; the same otherwise.
  void inverse(B& be, View<T, 3, B> re, View<T, 3, B> im) const {
    check(re, im);
    for (auto stage = plan_.stages.rbegin(); stage != plan_.stages.rend(); ++stage)
      detail::with_radix(stage->radix, [&](auto radix) {
        detail::dft_stage<radix(), true, T, B>(be, *stage, twiddles_.data(), re, im);
      });
  }

 private:
  void check(View<T, 3, B> re, View<T, 3, B> im) const {
    M2_REQUIRE(re.extents() == im.extents() && re.extent(1) == plan_.size, "dft: re is ", re.extents(), ", im is ",
               im.extents(), ", the size is ", plan_.size);
  }

  DftPlan plan_;
  typename B::template Buffer<T> twiddles_;
};

}  // namespace m2
