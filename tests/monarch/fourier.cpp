#include "m2/monarch/fourier.hpp"

#include "m2/monarch/dft.hpp"
#include "tests/monarch/oracle.hpp"
#include "tests/rapidcheck.hpp"

using namespace m2;
using namespace m2::test;

namespace {

using Wide = std::complex<double>;
using WideVector = std::vector<Wide>;

/// sum_j exp(-+ 2 pi i e j / n) x[j] by the definition, in long double, for every `step`-th e.
WideVector dft_oracle(const WideVector& x, bool inverse = false, std::size_t step = 1) {
  using Extended = std::complex<long double>;
  const std::size_t n = x.size();
  std::vector<Extended> roots(n);
  for (std::size_t k = 0; k < n; ++k) {
    const long double angle =
        2 * std::numbers::pi_v<long double> * static_cast<long double>(k) / static_cast<long double>(n);
    roots[k] = {std::cos(angle), inverse ? std::sin(angle) : -std::sin(angle)};
  }
  WideVector y;
  for (std::size_t e = 0; e < n; e += step) {
    Extended total = 0;
    for (std::size_t j = 0; j < n; ++j) total += roots[e * j % n] * Extended(x[j]);
    y.emplace_back(static_cast<double>(total.real()), static_cast<double>(total.imag()));
  }
  return y;
}

double relative_error(const WideVector& actual, const WideVector& expected) {
  REQUIRE(actual.size() == expected.size());
  WideVector difference;
  for (std::size_t i = 0; i < actual.size(); ++i) difference.push_back(actual[i] - expected[i]);
  return norm_of(difference) / norm_of(expected);
}

/// The error of a DFT relative to the norm of the spectrum: a few roundings for each doubling of the size.
template <class T>
double dft_tolerance(Index n) {
  return epsilon_of<T>() * (2 + 0.5 * std::log2(static_cast<double>(n)));
}

template <class T, class B, class A>
WideVector product(B& be, const A& a, View<const T, 2, B> x) {
  Tensor<T, 2, B> y(be, {x.extent(0), a.rows()});
  a.multiply(be, x, y.view());
  return to_wide(y.view());
}

/// Transforms with these radices in every option, against the definition.
template <class T, class B, class... R>
void check_radices(B& be, Rng& rng, R... values) {
  constexpr int order = static_cast<int>(sizeof...(R));
  const TransformSize<order> size(values...);
  const Index n = (Index{1} * ... * values), batch = 2;
  INFO("radices " << detail::concat({size.radices}));
  Strided<T, 2, B> x(be, {batch, n}, 2), y(be, {batch, n}, 2);
  fill_normal(x.view(), rng);
  for (const Decimation decimation : {Decimation::time, Decimation::frequency})
    for (const Normalization normalization : {Normalization::none, Normalization::ortho})
      for (const bool inverse : {false, true}) {
        const DftOptions options{decimation, normalization};
        const auto f = inverse ? idft<order, T>(be, size, options) : dft<order, T>(be, size, options);
        REQUIRE(f.size() == n);
        f.multiply(be, x.view(), y.view());
        const double root = std::sqrt(static_cast<double>(n));
        const double scale = normalization == Normalization::ortho ? 1 / root : inverse ? 1 / (root * root) : 1;
        for (Index b = 0; b < batch; ++b) {
          WideVector expected = dft_oracle(to_wide(x.view().select(0, b)), inverse);
          for (Wide& value : expected) value *= scale;
          REQUIRE(relative_error(to_wide(y.view().select(0, b)), expected) <= dft_tolerance<T>(n));
        }
      }
}

}  // namespace

TEST_CASE("root_of_unity: as exact as its type for any argument", "[monarch][fourier]") {
  const double eps = epsilon_of<double>();
  for (const Index n : {1, 2, 3, 7, 8, 12, 360, 1000, 4096, 99991})
    for (Index k = -3 * n; k < 3 * n; k += 1 + n / 97) {
      const long double angle =
          2 * std::numbers::pi_v<long double> * static_cast<long double>((k % n + n) % n) / static_cast<long double>(n);
      const Wide w = root_of_unity(n, k);
      REQUIRE(std::abs(w.real() - static_cast<double>(std::cos(angle))) <= eps);
      REQUIRE(std::abs(w.imag() + static_cast<double>(std::sin(angle))) <= eps);
    }
  REQUIRE(root_of_unity(4, 1) == Wide(0, -1));
  REQUIRE(root_of_unity(8, 4) == Wide(-1, 0));
  REQUIRE(root_of_unity(12, 3) == Wide(0, -1));
  REQUIRE(root_of_unity(8, 1).real() == -root_of_unity(8, 1).imag());
  const Index huge = Index{1} << 60;  // where k / n times 2 pi would have lost every digit of the turn
  REQUIRE(root_of_unity(huge, huge / 8 + 7 * huge) == root_of_unity(8, 1));
  REQUIRE(root_of_unity(huge, -1).imag() == 2 * std::numbers::pi / static_cast<double>(huge));
  require_error([] { root_of_unity(0, 1); }, {"root_of_unity", "0"});
}

TEST_CASE("radices: the least sum, and sizes that cover", "[monarch][fourier]") {
  REQUIRE(balanced_radices<2>(4096) == std::array<Index, 2>{64, 64});
  REQUIRE(balanced_radices<3>(4096) == std::array<Index, 3>{16, 16, 16});
  REQUIRE(balanced_radices<2>(12) == std::array<Index, 2>{4, 3});
  REQUIRE(balanced_radices<2>(13) == std::array<Index, 2>{13, 1});
  REQUIRE(balanced_radices<4>(2 * 3 * 5 * 7) == std::array<Index, 4>{7, 5, 3, 2});
  REQUIRE(balanced_radices<1>(10) == std::array<Index, 1>{10});
  for (Index n = 1; n < 400; ++n) {
    const auto r = balanced_radices<3>(n);
    REQUIRE(r[0] * r[1] * r[2] == n);
    Index best = n + 2;
    for (Index a = 1; a <= n; ++a)
      for (Index b = 1; n % a == 0 && b <= n / a; ++b)
        if (n / a % b == 0) best = std::min(best, a + b + n / a / b);
    REQUIRE(r[0] + r[1] + r[2] == best);
    const auto c = covering_radices<2>(n);
    REQUIRE(c[0] * c[1] >= n);
    REQUIRE(static_cast<double>(c[0] * c[1]) <= static_cast<double>(n) + 2 * std::sqrt(static_cast<double>(n)));
  }
  require_error([] { balanced_radices<2>(0); }, {"balanced_radices", "0"});
  require_error([] { covering_radices<2>(0); }, {"covering_radices", "0"});
}

TEMPLATE_TEST_CASE("dft and idft: the definition, for any radices, order, decimation and normalization",
                   "[monarch][fourier]", (On<Cpu, std::complex<float>>), (On<Serial, std::complex<double>>)) {
  typename TestType::Backend be;
  using T = typename TestType::Scalar;
  Rng rng(5);
  check_radices<T>(be, rng, 17);
  check_radices<T>(be, rng, 4, 6);
  check_radices<T>(be, rng, 1, 13);
  check_radices<T>(be, rng, 5, 11);
  check_radices<T>(be, rng, 3, 2, 5);
}

TEST_CASE("dft: one and four factors, radix 1", "[monarch][fourier]") {
  Cpu be;
  Rng rng(6);
  check_radices<Wide>(be, rng, 1);
  check_radices<Wide>(be, rng, 1, 1);
  check_radices<Wide>(be, rng, 2, 3, 2, 4);
}

TEST_CASE("dft: the error grows with the logarithm of the size", "[monarch][fourier]") {
  Cpu be;
  Rng rng(7);
  const auto check = [&]<class T>(auto f, Index n, T) {
    Tensor<T, 2, Cpu> x(be, {1, n});
    fill_normal(x.view(), rng);
    const std::size_t step = static_cast<std::size_t>(n) / 32;
    const WideVector y = product<T>(be, f, x.cview());
    WideVector sampled;
    for (std::size_t e = 0; e < y.size(); e += step) sampled.push_back(y[e]);
    const double error = relative_error(sampled, dft_oracle(to_wide(x.view()), false, step));
    INFO("size " << n << ", error " << error / epsilon_of<T>() << " eps");
    REQUIRE(error <= dft_tolerance<T>(n));
  };
  check(dft<2, std::complex<float>>(be, 4096), 4096, std::complex<float>());
  check(dft<2, Wide>(be, 3600), 3600, Wide());
  check(dft<4, Wide>(be, 3 * 5 * 7 * 11), 3 * 5 * 7 * 11, Wide());
}

TEST_CASE("dft_monarch: digit-reversed order, the transpose of one decimation is the other", "[monarch][fourier]") {
  Cpu be;
  Rng rng(8);
  const std::array<Index, 3> radices{4, 3, 5};
  const Index n = 60;
  const auto frequency = dft_monarch<3, Wide>(be, radices, {.decimation = Decimation::frequency});
  const auto time = dft_monarch<3, Wide>(be, radices, {.decimation = Decimation::time});
  REQUIRE(time.shape() == MonarchShape<3>(4, 3, 5));
  for (int f = 0; f < 3; ++f)
    for_every(frequency.factor(f), [&](const Wide& weight, Index flat) {
      const FactorShape& s = frequency.shape().factor(f);
      const Index block = flat / (s.in * s.out), e = flat / s.in % s.out, j = flat % s.in;
      REQUIRE(weight == time.factor(2 - f)(block / s.inner, block % s.inner, j, e));
    });

  // The order in which the engine of long convolutions leaves frequencies.
  const DftPlan plan = dft_plan({4, 3, 5});
  const DigitPermutation p = dft_permutation(radices, Decimation::frequency);
  REQUIRE(p.inverse() == dft_permutation(radices, Decimation::time));
  for (Index position = 0; position < n; ++position) REQUIRE(p.from(dft_frequency(plan, position)) == position);

  Tensor<Wide, 2, Cpu> x(be, {1, n}), y(be, {1, n});
  fill_normal(x.view(), rng);
  const WideVector spectrum = dft_oracle(to_wide(x.view()));
  monarch_multiply(be, frequency.view(), x.cview(), y.view());
  WideVector expected;
  for (Index position = 0; position < n; ++position)
    expected.push_back(spectrum[static_cast<std::size_t>(dft_frequency(plan, position))]);
  REQUIRE(relative_error(to_wide(y.view()), expected) <= dft_tolerance<Wide>(n));
}

TEST_CASE("dft: inverse, adjoint, transpose, dense form, its parts", "[monarch][fourier]") {
  Cpu be;
  Rng rng(9);
  const std::array<Index, 2> radices{6, 4};
  const Index n = 24;
  Tensor<Wide, 2, Cpu> x(be, {3, n});
  fill_normal(x.view(), rng);
  for (const Normalization normalization : {Normalization::none, Normalization::ortho})
    for (const Decimation decimation : {Decimation::time, Decimation::frequency}) {
      const auto f = dft<2, Wide>(be, radices, {decimation, normalization});
      REQUIRE(f.radices() == radices);
      REQUIRE(f.decimation() == decimation);
      REQUIRE(f.parameter_count() == n * 10);
      REQUIRE(f.permutation() == dft_permutation(radices, decimation));
      const auto dense = dense_matrix(f.dense_tensor(be).view());
      REQUIRE(f.transpose().decimation() != decimation);
      require_dense(be, f.transpose(), dense.transpose(), tolerance<double>(n));
      require_dense(be, f.adjoint(), dense.transpose(true), tolerance<double>(n));
      Tensor<Wide, 2, Cpu> y(be, {3, n}), z(be, {3, n});
      f.multiply(be, x.view(), y.view());
      f.inverse().multiply(be, y.view(), z.view());
      require_close(to_host(z.view()), to_host(x.view()), tolerance<double>(n, largest(to_host(x.view()))));
      f.inverse().inverse().multiply(be, x.view(), z.view());
      require_close(to_host(z.view()), to_host(y.view()), tolerance<double>(n, largest(to_host(y.view()))));
    }
}

TEST_CASE("dft: more vectors than one tile, either layout; errors", "[monarch][fourier]") {
  Cpu be;
  Rng rng(10);
  for (const Decimation decimation : {Decimation::time, Decimation::frequency}) {
    const auto f = dft<2, Wide>(be, {2, 3}, {.decimation = decimation});
    Tensor<Wide, 2, Cpu> x(be, {600, 6}), y(be, {600, 6}), xt(be, {6, 600}), yt(be, {6, 600});
    fill_normal(x.view(), rng);
    for_every(x.view(), [&](const Wide& value, Index flat) { xt.view()(flat % 6, flat / 6) = value; });
    f.multiply(be, x.view(), y.view());
    f.multiply(be, xt.view().transpose(0, 1), yt.view().transpose(0, 1));
    for (const Index b : {0, 255, 256, 511, 512, 599})
      require_close(to_host(y.view().select(0, b)), as_doubles(dft_oracle(to_wide(x.view().select(0, b)))),
                    tolerance<double>(6, 10));
    require_close(to_host(yt.view().transpose(0, 1)), to_host(y.view()), tolerance<double>(6, 10));
    Tensor<Wide, 2, Cpu> none(be, {0, 6}), wrong(be, {2, 5});
    f.multiply(be, none.view(), none.view());
    require_error([&] { f.multiply(be, wrong.view(), wrong.view()); }, {"6 x 6", "(2, 5)"});
  }
  require_error([&] { dft<2, Wide>(be, {0, 3}); }, {"monarch shape", "0"});
  require_error([&] { dft<2, Wide>(be, 0); }, {"balanced_radices", "0"});
}

#ifdef M2_HAS_RAPIDCHECK
namespace {

template <int Order>
void check_properties() {
  const bool passed = rc::check("order " + std::to_string(Order), [] {
    Cpu be;
    std::array<Index, static_cast<std::size_t>(Order)> radices{};
    for (Index& radix : radices) radix = *rc::gen::inRange<Index>(1, Order == 2 ? 12 : 6);
    const auto decimation = *rc::gen::arbitrary<bool>() ? Decimation::time : Decimation::frequency;
    Rng rng(*rc::gen::arbitrary<std::uint64_t>());
    const auto f = dft<Order, Wide>(be, radices, {.decimation = decimation});
    const Index n = f.size();
    const auto size = static_cast<std::size_t>(n);
    Tensor<Wide, 2, Cpu> x(be, {2, n}), y(be, {2, n}), z(be, {1, n});
    fill_normal(x.view(), rng);
    const WideVector spectra = product<Wide>(be, f, x.cview());
    std::copy(spectra.begin(), spectra.end(), y.data());
    const double allowed = 4 * dft_tolerance<Wide>(n);
    const WideVector in = to_wide(x.view());

    // The inverse, which has the other decimation's product in it.
    RC_ASSERT(relative_error(product<Wide>(be, f.inverse(), y.cview()), in) <= allowed);
    // Parseval.
    const double root = std::sqrt(static_cast<double>(n));
    RC_ASSERT(std::abs(norm_of(spectra) / (root * norm_of(in)) - 1) <= allowed);
    // Convolution: F^-1 (F a . F b) is the cyclic convolution.
    WideVector expected(size);
    for (std::size_t i = 0; i < size; ++i) z.data()[i] = spectra[i] * spectra[size + i];
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j) expected[(i + j) % size] += in[i] * in[size + j];
    const WideVector cyclic = product<Wide>(be, f.inverse(), z.cview());
    double magnitude = 0;
    for (std::size_t i = 0; i < size; ++i) magnitude += std::norm(in[i]) + std::norm(in[size + i]);
    RC_ASSERT(largest(as_doubles(cyclic)) <= magnitude);
    for (std::size_t i = 0; i < size; ++i) RC_ASSERT(std::abs(cyclic[i] - expected[i]) <= allowed * magnitude);
  });
  REQUIRE(passed);
}

}  // namespace

TEST_CASE("dft: inverse, Parseval and the convolution theorem", "[monarch][fourier][properties]") {
  check_properties<1>();
  check_properties<2>();
  check_properties<4>();
}
#endif
