#include "m2/monarch/long_convolution.hpp"

#include "m2/conv.hpp"
#include "tests/support.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace m2;
using namespace m2::test;

namespace {

/// Arguments and gradients of one convolution. The views of what is absent are empty.
template <class T, class B>
struct Problem {
  Extents<3> extents;
  LongConvolutionOptions options;
  Strided<T, 3, B> u, y, dy, du;
  Strided<T, 2, B> k, k_reverse, dk, dk_reverse;
  Strided<T, 1, B> skip, dskip;
  bool has_skip;

  Problem(B& be, const Extents<3>& e, LongConvolutionOptions o, bool with_skip, Index gap, Rng rng)
      : extents(e),
        options(o),
        u(be, e, gap),
        y(be, e, gap),
        dy(be, e, gap),
        du(be, e, gap),
        k(be, {e[1], e[2]}, gap),
        k_reverse(be, {e[1], e[2]}, gap),
        dk(be, {e[1], e[2]}, gap),
        dk_reverse(be, {e[1], e[2]}, gap),
        skip(be, {e[2]}, gap),
        dskip(be, {e[2]}, gap),
        has_skip(with_skip) {
    for (auto* tensor : {&u, &dy, &y, &du}) fill_normal(tensor->view(), rng);
    for (auto* tensor : {&k, &k_reverse, &dk, &dk_reverse}) fill_normal(tensor->view(), rng);
    for (auto* tensor : {&skip, &dskip}) fill_normal(tensor->view(), rng);
  }

  View<T, 2, B> reverse(Strided<T, 2, B>& tensor) const {
    return options.bidirectional ? tensor.view() : View<T, 2, B>{};
  }
  View<T, 1, B> optional(Strided<T, 1, B>& tensor) const { return has_skip ? tensor.view() : View<T, 1, B>{}; }

  void forward(B& be, LongConvolution<T, B>& plan) {
    plan.forward(be, u.view(), k.view(), reverse(k_reverse), optional(skip), y.view());
  }
  void backward(B& be, LongConvolution<T, B>& plan) {
    plan.backward(be, u.view(), k.view(), reverse(k_reverse), optional(skip), dy.view(), du.view(), dk.view(),
                  reverse(dk_reverse), optional(dskip));
  }

  /// What y, du, dk, dk_reverse and dskip should become, by the definition, in double; the last three on top of what
  /// they are.
  struct Expected {
    std::vector<double> y, du, dk, dk_reverse, dskip;
  };
  Expected oracle() {
    const auto hu = to_host(u.view()), hk = to_host(k.view()), hr = to_host(k_reverse.view()),
               hs = to_host(skip.view()), hd = to_host(dy.view());
    Expected e{std::vector<double>(hu.size()), std::vector<double>(hu.size()), to_host(dk.view()),
               to_host(dk_reverse.view()), to_host(dskip.view())};
    const auto [batch, length, channels] = extents;
    const auto kernel_at = [&, channels = channels](Index m, Index c) {
      return static_cast<std::size_t>(m * channels + c);
    };
    const auto at = [&, length = length, channels = channels](Index b, Index t, Index c) {
      return static_cast<std::size_t>((b * length + t) * channels + c);
    };
    for (Index b = 0; b < batch; ++b)
      for (Index c = 0; c < channels; ++c)
        for (Index t = 0; t < length; ++t) {
          for (Index s = 0; s < length; ++s) {
            if (s > t && !options.bidirectional) break;
            const std::size_t lag = s <= t ? kernel_at(t - s, c) : kernel_at(s - t - 1, c);
            const double weight = s <= t ? hk[lag] : hr[lag];
            e.y[at(b, t, c)] += weight * hu[at(b, s, c)];
            e.du[at(b, s, c)] += weight * hd[at(b, t, c)];
            (s <= t ? e.dk : e.dk_reverse)[lag] += hd[at(b, t, c)] * hu[at(b, s, c)];
          }
          if (!has_skip) continue;
          const auto channel = static_cast<std::size_t>(c);
          e.y[at(b, t, c)] += hs[channel] * hu[at(b, t, c)];
          e.du[at(b, t, c)] += hs[channel] * hd[at(b, t, c)];
          e.dskip[channel] += hd[at(b, t, c)] * hu[at(b, t, c)];
        }
    return e;
  }
};

template <class T, class B>
void check_problem(B& be, const Extents<3>& extents, LongConvolutionOptions options, bool with_skip, Index gap) {
  INFO("(" << extents[0] << ", " << extents[1] << ", " << extents[2] << "), engine " << static_cast<int>(options.engine)
           << ", bidirectional " << options.bidirectional << ", skip " << with_skip << ", gap " << gap);
  Problem<T, B> p(be, extents, options, with_skip, gap, Rng(11));
  LongConvolution<T, B> plan(be, extents, options);
  const auto expected = p.oracle();
  p.forward(be, plan);
  p.backward(be, plan);
  const Index length = extents[1], terms = extents[0] * length;
  require_close(to_host(p.y.view()), expected.y, tolerance<T>(length, largest(expected.y)));
  require_close(to_host(p.du.view()), expected.du, tolerance<T>(length, largest(expected.du)));
  require_close(to_host(p.dk.view()), expected.dk, tolerance<T>(terms, largest(expected.dk)));
  require_close(to_host(p.dk_reverse.view()), expected.dk_reverse, tolerance<T>(terms, largest(expected.dk_reverse)));
  require_close(to_host(p.dskip.view()), expected.dskip, tolerance<T>(terms, largest(expected.dk)));
}

}  // namespace

TEMPLATE_TEST_CASE("long_convolution: equal to the definition, forward and VJPs", "[monarch][long_convolution]",
                   M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  const bool slow = !std::is_same_v<B, Cpu>;
  const Index channel_counts[] = {1, 3, 16, 17, 40};
  Index turn = 0;
  for (const Index length : {1, 2, 3, 5, 7, 8, 16, 17, 31, 64, 100, 127, 255, 256, 1000})
    for (const bool bidirectional : {false, true})
      for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft}) {
        if (slow && length > 256) continue;
        const Index channels = length > 100 ? channel_counts[turn % 2] + turn % 5 % 2 * 16 : channel_counts[turn % 5];
        check_problem<T>(be, {1 + turn % 3, length, channels}, {bidirectional, engine}, turn % 4 != 0, 1 + turn % 2);
        ++turn;
      }
}

TEMPLATE_TEST_CASE("long_convolution: every channel count, both layouts of memory", "[monarch][long_convolution]",
                   M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  for (const Index channels : {1, 3, 16, 17, 40})
    for (const Index batch : {1, 2, 5})
      for (const Index gap : {1, 2})
        for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft})
          check_problem<T>(be, {batch, 20, channels}, {batch != 2, engine}, true, gap);
}

TEST_CASE("long_convolution: kernels may be transposed views", "[monarch][long_convolution]") {
  Cpu be;
  Rng rng(3);
  const Index length = 33, channels = 20;
  Tensor<float, 3, Cpu> u(be, {2, length, channels}), y(be, {2, length, channels}), expected(be, {2, length, channels});
  Tensor<float, 2, Cpu> k(be, {length, channels}), transposed(be, {channels, length});
  fill_normal(u.view(), rng);
  fill_normal(k.view(), rng);
  for (Index t = 0; t < length; ++t)
    for (Index c = 0; c < channels; ++c) transposed.view()(c, t) = k.view()(t, c);
  long_convolution<float, Cpu>(be, u.view(), k.view(), {}, {}, expected.view());
  long_convolution(be, u.view(), transposed.view().transpose(0, 1), {}, {}, y.view());
  REQUIRE(to_host(y.view()) == to_host(expected.view()));
}

TEMPLATE_TEST_CASE("long_convolution: VJPs agree with finite differences", "[monarch][long_convolution]",
                   (On<Cpu, double>), (On<Serial, double>)) {
  using B = typename TestType::Backend;
  B be;
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft})
    for (const bool bidirectional : {false, true}) {
      Problem<double, B> p(be, {3, 9, 2}, {bidirectional, engine}, true, 1, Rng(5));
      for (auto* gradient : {&p.dk, &p.dk_reverse}) for_every(gradient->view(), [](double& x, Index) { x = 0; });
      for_every(p.dskip.view(), [](double& x, Index) { x = 0; });
      LongConvolution<double, B> plan(be, p.extents, p.options);
      p.backward(be, plan);
      const auto dy = to_host(p.dy.view());
      const auto loss = [&] {
        p.forward(be, plan);
        return dot(to_host(p.y.view()), dy);
      };
      require_gradient(p.u.view(), to_host(p.du.view()), loss);
      require_gradient(p.k.view(), to_host(p.dk.view()), loss);
      require_gradient(p.skip.view(), to_host(p.dskip.view()), loss);
      if (bidirectional) require_gradient(p.k_reverse.view(), to_host(p.dk_reverse.view()), loss);
    }
}

TEMPLATE_TEST_CASE("long_convolution: the future does not reach the past", "[monarch][long_convolution]",
                   M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  const Index length = 50, channels = 18, changed = 29;
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft}) {
    Problem<T, B> p(be, {2, length, channels}, {false, engine}, true, 1, Rng(9));
    LongConvolution<T, B> plan(be, p.extents, p.options);
    p.forward(be, plan);
    const auto before = to_host(p.y.view().slice(1, 0, changed));
    const T infinity = std::numeric_limits<T>::infinity();
    for (Index c = 0; c < channels; ++c) p.u.view()(1, changed, c) = engine == ConvolutionEngine::direct ? infinity : 7;
    p.forward(be, plan);
    const auto after = to_host(p.y.view().slice(1, 0, changed));
    if (engine == ConvolutionEngine::direct) {
      REQUIRE(after == before);
    } else {
      require_close(after, before, tolerance<T>(length, largest(to_host(p.y.view()))));
    }
  }
}

TEMPLATE_TEST_CASE("long_convolution: lag 0 is k[0], the first anti-lag k_reverse[0], the last is never used",
                   "[monarch][long_convolution]", M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  const Index length = 6;
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft}) {
    Problem<T, B> p(be, {1, length, 1}, {true, engine}, false, 1, Rng(1));
    for_every(p.u.view(), [](T& x, Index at) { x = at == 3 ? T{1} : T{0}; });
    for_every(p.k.view(), [](T& x, Index at) { x = static_cast<T>(10 + at); });
    for_every(p.k_reverse.view(), [](T& x, Index at) { x = static_cast<T>(20 + at); });
    LongConvolution<T, B> plan(be, p.extents, p.options);
    p.forward(be, plan);
    require_close(to_host(p.y.view()), {22, 21, 20, 10, 11, 12}, tolerance<T>(length, 22));
    const auto before = to_host(p.y.view());
    p.k_reverse.view()(length - 1, 0) = 1000;
    p.forward(be, plan);
    REQUIRE(to_host(p.y.view()) == before);
    for_every(p.dk_reverse.view(), [](T& x, Index) { x = 0; });
    p.backward(be, plan);
    REQUIRE(to_host(p.dk_reverse.view()).back() == 0);
  }
}

TEMPLATE_TEST_CASE("long_convolution: the same bits twice, and with one plan or two", "[monarch][long_convolution]",
                   M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft}) {
    const LongConvolutionOptions options{true, engine};
    Problem<T, B> first(be, {7, 70, 35}, options, true, 1, Rng(2)), second(be, {7, 70, 35}, options, true, 1, Rng(2));
    LongConvolution<T, B> plan(be, first.extents, options), other(be, second.extents, options);
    first.forward(be, plan);
    first.backward(be, plan);
    second.backward(be, other);
    second.forward(be, other);
    REQUIRE(to_host(first.y.view()) == to_host(second.y.view()));
    REQUIRE(to_host(first.du.view()) == to_host(second.du.view()));
    REQUIRE(to_host(first.dk.view()) == to_host(second.dk.view()));
    REQUIRE(to_host(first.dk_reverse.view()) == to_host(second.dk_reverse.view()));
    REQUIRE(to_host(first.dskip.view()) == to_host(second.dskip.view()));
  }
}

#ifdef _OPENMP
TEST_CASE("long_convolution: threads may divide tiles of channels anywhere", "[monarch][long_convolution]") {
  Cpu be;
  const int threads = omp_get_max_threads();
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft})
    for (const int many : {2, 3, 5, 16}) {
      omp_set_num_threads(many);
      check_problem<float>(be, {11, 150, 35}, {true, engine}, true, 1);
      omp_set_num_threads(threads);
    }
}
#endif

TEMPLATE_TEST_CASE("long_convolution: a plan serves smaller batches; none is no work", "[monarch][long_convolution]",
                   M2_EVERY_BACKEND) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  for (const auto engine : {ConvolutionEngine::direct, ConvolutionEngine::monarch_dft}) {
    Problem<T, B> p(be, {3, 40, 5}, {false, engine}, true, 1, Rng(4));
    LongConvolution<T, B> plan(be, {8, 40, 5}, p.options), empty(be, {0, 40, 5}, p.options);
    const auto expected = p.oracle();
    p.forward(be, plan);
    require_close(to_host(p.y.view()), expected.y, tolerance<T>(40, largest(expected.y)));
    empty.forward(be, p.u.view().slice(0, 0, 0), p.k.view(), {}, {}, p.y.view().slice(0, 0, 0));
  }
}

TEST_CASE("long_convolution: results too many for the caches are what they are batch row by batch row",
          "[monarch][long_convolution]") {
  Cpu be;
  const Index batch = 16, length = 2048, channels = 64;  // 8 MiB
  const Extents<3> extents{batch, length, channels};
  Tensor<float, 3, Cpu> u(be, extents), dy(be, extents), y(be, extents), du(be, extents);
  Tensor<float, 2, Cpu> k(be, {length, channels}), dk(be, {length, channels});
  for (auto* tensor : {&u, &dy})
    for (Index i = 0; i < tensor->size(); ++i) tensor->data()[i] = static_cast<float>(i * 7919 % 1009) / 1009 - 0.5F;
  for (Index i = 0; i < k.size(); ++i) k.data()[i] = static_cast<float>(i * 31 % 101) / 101 - 0.5F;
  LongConvolution<float, Cpu> plan(be, extents);
  plan.forward(be, u.view(), k.view(), {}, {}, y.view());
  plan.backward(be, u.view(), k.view(), {}, {}, dy.view(), du.view(), dk.view(), {}, {});
  Tensor<float, 3, Cpu> row(be, {1, length, channels});
  const auto equal = [&](const Tensor<float, 3, Cpu>& all, Index b) {
    return std::equal(row.data(), row.data() + row.size(), all.data() + b * row.size());
  };
  for (Index b = 0; b < batch; ++b) {
    plan.forward(be, u.view().slice(0, b, 1), k.view(), {}, {}, row.view());
    REQUIRE(equal(y, b));
    plan.backward(be, u.view().slice(0, b, 1), k.view(), {}, {}, dy.view().slice(0, b, 1), row.view(), dk.view(), {},
                  {});
    REQUIRE(equal(du, b));
  }
}

TEST_CASE("long_convolution: the engine is chosen by length", "[monarch][long_convolution]") {
  Cpu be;
  REQUIRE(LongConvolution<float, Cpu>(be, {1, 4, 1}).engine() == ConvolutionEngine::direct);
  REQUIRE(LongConvolution<float, Cpu>(be, {1, 4, 1}).transform_size() == 0);
  const LongConvolution<float, Cpu> plan(be, {1, 1000, 1});
  REQUIRE(plan.engine() == ConvolutionEngine::monarch_dft);
  REQUIRE(plan.transform_size() >= 1999);
  REQUIRE(plan.workspace_elements() > 0);
}

TEST_CASE("long_convolution: errors name the shapes", "[monarch][long_convolution]") {
  Cpu be;
  using Plan = LongConvolution<float, Cpu>;
  require_error([&] { Plan(be, {2, 0, 3}); }, {"long_convolution", "(2, 0, 3)", "length must be at least 1"});
  require_error([&] { Plan(be, {-1, 8, 3}); }, {"long_convolution", "(-1, 8, 3)", "must not be negative"});
  require_error([&] { Plan(be, {2, 8, -3}); }, {"long_convolution", "(2, 8, -3)", "must not be negative"});
  const Index huge = Index{1} << 31;  // no activations, but kernels
  require_error([&] { Plan(be, {0, huge, huge}); }, {"long_convolution", "no size of memory"});
  Plan plan(be, {2, 8, 3}), both(be, {2, 8, 3}, {.bidirectional = true});
  Tensor<float, 3, Cpu> u(be, {2, 8, 3}), y(be, {2, 8, 3}), more(be, {3, 8, 3}), longer(be, {2, 9, 3});
  Tensor<float, 2, Cpu> k(be, {8, 3}), short_k(be, {7, 3});
  Tensor<float, 1, Cpu> skip(be, {4}), good_skip(be, {3});
  require_error([&] { plan.forward(be, more.view(), k.view(), {}, {}, y.view()); }, {"(3, 8, 3)", "(2, 8, 3)"});
  require_error([&] { plan.forward(be, longer.view(), k.view(), {}, {}, y.view()); }, {"(2, 9, 3)", "(2, 8, 3)"});
  require_error([&] { plan.forward(be, u.view(), short_k.view(), {}, {}, y.view()); }, {"k is (7, 3)", "(2, 8, 3)"});
  require_error([&] { plan.forward(be, u.view(), k.view(), k.view(), {}, y.view()); }, {"k_reverse", "causal"});
  require_error([&] { both.forward(be, u.view(), k.view(), {}, {}, y.view()); }, {"k_reverse is (0, 0)"});
  require_error([&] { plan.forward(be, u.view(), k.view(), {}, skip.view(), y.view()); }, {"skip is (4)"});
  require_error([&] { plan.forward(be, u.view(), k.view(), {}, {}, longer.view()); }, {"y is (2, 9, 3)"});
  require_error([&] { plan.backward(be, u.view(), k.view(), {}, {}, longer.view(), y.view(), k.view(), {}, {}); },
                {"long_convolution_vjp", "dy is (2, 9, 3)"});
  require_error([&] { plan.backward(be, u.view(), k.view(), {}, {}, u.view(), y.view(), short_k.view(), {}, {}); },
                {"long_convolution_vjp", "dk is (7, 3)"});
  require_error([&] { plan.backward(be, u.view(), k.view(), {}, {}, u.view(), y.view(), k.view(), {}, skip.view()); },
                {"long_convolution_vjp", "dskip is (4)"});
}
