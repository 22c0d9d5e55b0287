#include "m2/ops/softmax_cross_entropy.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

namespace {

template <class T, class B>
struct Problem {
  Strided<T, 2, B> logits, dlogits;
  Strided<std::int32_t, 1, B> targets;
  Strided<T, 1, B> losses, log_normalizers;

  /// Every third target is ignored.
  Problem(B& be, Index rows, Index classes, Index gap, Rng& rng, std::int32_t ignored = ignored_target)
      : logits(be, {rows, classes}, gap),
        dlogits(be, {rows, classes}, gap),
        targets(be, {rows}, gap),
        losses(be, {rows}, gap),
        log_normalizers(be, {rows}, gap) {
    fill_normal(logits.view(), rng);
    for_every(logits.view(), [](T& element, Index) { element *= T{3}; });
    for_every(targets.view(), [&](std::int32_t& target, Index r) {
      target = r % 3 == 2 ? ignored : static_cast<std::int32_t>(rng.below(classes));
    });
  }
  double loss(B& be, std::int32_t ignored = ignored_target) {
    return softmax_cross_entropy(be, logits.view(), targets.view(), ignored, losses.view(), log_normalizers.view());
  }
  void backward(B& be, double scale, std::int32_t ignored = ignored_target) {
    softmax_cross_entropy_vjp(be, logits.view(), targets.view(), ignored, log_normalizers.view(), scale,
                              dlogits.view());
  }
};

}  // namespace

TEMPLATE_TEST_CASE("softmax_cross_entropy and its VJP are their definitions", "[ops][softmax_cross_entropy]",
                   M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(1);
  for (const Extents<2>& shape : {Extents<2>{7, 5}, Extents<2>{1, 1}, Extents<2>{20, 67}})
    for (const Index gap : {1, 2})
      for (const std::int32_t ignored : {ignored_target, -1}) {
        const Index rows = shape[0], classes = shape[1];
        Problem<T, B> p(be, rows, classes, gap, rng, ignored);
        std::vector<double> losses, normalizers, dlogits;
        double total = 0, counted = 0;
        for (Index r = 0; r < rows; ++r)
          if (p.targets.view()(r) != ignored) ++counted;
        for (Index r = 0; r < rows; ++r) {
          const std::int32_t target = p.targets.view()(r);
          double sum = 0;
          for (Index j = 0; j < classes; ++j) sum += std::exp(static_cast<double>(p.logits.view()(r, j)));
          normalizers.push_back(std::log(sum));
          losses.push_back(target == ignored ? 0.0 : std::log(sum) - static_cast<double>(p.logits.view()(r, target)));
          total += losses.back();
          for (Index j = 0; j < classes; ++j) {
            const double probability = std::exp(static_cast<double>(p.logits.view()(r, j))) / sum;
            dlogits.push_back(target == ignored ? 0.0 : 2.5 / counted * (probability - (j == target ? 1.0 : 0.0)));
          }
        }
        const double allowed = tolerance<T>(classes, 20);
        REQUIRE(std::abs(p.loss(be, ignored) - total / counted) <= allowed);
        require_close(to_host(p.losses.view()), losses, allowed);
        require_close(to_host(p.log_normalizers.view()), normalizers, allowed);
        p.backward(be, 2.5, ignored);
        require_close(to_host(p.dlogits.view()), dlogits, allowed);
        softmax_cross_entropy_vjp(be, p.logits.view(), p.targets.view(), ignored, p.log_normalizers.view(), 2.5,
                                  p.logits.view());  // in place
        require_close(to_host(p.logits.view()), to_host(p.dlogits.view()), 0);
      }
}

TEST_CASE("softmax_cross_entropy_vjp is the gradient of the mean loss", "[ops][softmax_cross_entropy]") {
  Cpu be;
  Rng rng(2);
  Problem<double, Cpu> p(be, 5, 4, 1, rng);
  p.loss(be);
  p.backward(be, 1);
  require_gradient(p.logits.view(), to_host(p.dlogits.view()), [&] { return p.loss(be); });
}

TEMPLATE_TEST_CASE("large logits neither overflow nor lose the loss", "[ops][softmax_cross_entropy]",
                   M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(3);
  Problem<T, B> p(be, 2, 3, 1, rng);
  for_every(p.logits.view(), [](T& element, Index i) { element = static_cast<T>(i < 3 ? 10000 : -10000); });
  REQUIRE(std::abs(p.loss(be) - std::log(3.0)) <= tolerance<T>(3));
  p.logits.view()(0, 1) = -std::numeric_limits<T>::infinity();  // a masked class
  p.targets.view()(0) = 0;
  REQUIRE(std::abs(p.loss(be) - (std::log(2.0) + std::log(3.0)) / 2) <= tolerance<T>(3));
  p.backward(be, 1);
  REQUIRE(p.dlogits.view()(0, 1) == 0);
}

TEMPLATE_TEST_CASE("softmax_cross_entropy says what does not fit", "[ops][softmax_cross_entropy]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(4);
  Problem<T, B> p(be, 4, 3, 1, rng);
  Tensor<T, 1, B> five(be, {5});
  Tensor<T, 2, B> other(be, {4, 2}), none(be, {4, 0});
  Tensor<std::int32_t, 1, B> targets(be, {5});
  const auto losses = p.losses.view();
  require_error([&] { softmax_cross_entropy(be, p.logits.view(), targets.view(), -1, losses, losses); },
                {"softmax_cross_entropy: logits is (4, 3), targets is (5)"});
  require_error([&] { softmax_cross_entropy(be, p.logits.view(), p.targets.view(), -1, losses, five.view()); },
                {"log_normalizers is (5)"});
  require_error([&] { softmax_cross_entropy(be, none.view(), p.targets.view(), -1, losses, losses); }, {"(4, 0)"});
  require_error([&] { softmax_cross_entropy_vjp(be, p.logits.view(), p.targets.view(), -1, losses, 1, other.view()); },
                {"softmax_cross_entropy_vjp", "dlogits is (4, 2)"});
  for_every(p.targets.view(), [](std::int32_t& target, Index) { target = ignored_target; });
  require_error([&] { p.loss(be); }, {"softmax_cross_entropy: none of the 4 targets", "-100"});
  require_error([&] { p.backward(be, 1); }, {"softmax_cross_entropy_vjp: none of the 4 targets"});
}
