#include "m2/monarch/orthogonal.hpp"

#include "tests/monarch/oracle.hpp"

using namespace m2;
using namespace m2::test;

namespace {

/// Rows (or columns) of every block are orthonormal, whichever are fewer.
template <int Order, class T, class B>
void check_blocks(const Monarch<Order, T, B>& m) {
  using W = WideOf<T>;
  for (int f = 0; f < Order; ++f) {
    const FactorShape& s = m.shape().factor(f);
    const auto weights = to_wide(m.factor(f));
    const bool tall = s.out >= s.in;
    const Index count = tall ? s.in : s.out, length = tall ? s.out : s.in;
    for (Index block = 0; block < s.blocks(); ++block) {
      const auto at = [&](Index vector, Index i) {
        const Index e = tall ? i : vector, d = tall ? vector : i;
        return weights[static_cast<std::size_t>((block * s.out + e) * s.in + d)];
      };
      for (Index a = 0; a < count; ++a)
        for (Index b = 0; b < count; ++b) {
          W total = 0;
          for (Index i = 0; i < length; ++i) total += conjugate(at(a, i)) * at(b, i);
          REQUIRE(std::abs(total - W(a == b ? 1 : 0)) <= tolerance<T>(length));
        }
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("random_orthogonal: every block is, and square matrices are isometries", "[monarch][orthogonal]",
                   (On<Cpu, float>), (On<Serial, std::complex<double>>), (On<Cpu, m2::bfloat16>)) {
  using B = typename TestType::Backend;
  using T = typename TestType::Scalar;
  B be;
  Rng rng(16);
  check_blocks(random_orthogonal<1, T>(be, MonarchShape<1>::block_diagonal(10, 7, 3), rng));
  check_blocks(random_orthogonal<2, T>(be, MonarchShape<2>::rectangular({3, 4}, {5, 2}), rng));
  const auto q = random_orthogonal<3, T>(be, {2, 5, 3}, rng);
  check_blocks(q);
  const DenseMatrix<WideOf<T>> dense(30, 30, oracle_dense(q.view()));
  require_close(as_doubles((dense.transpose(true) * dense).values),
                as_doubles(DenseMatrix<WideOf<T>>::identity(30).values), 3 * tolerance<T>(30));
}

TEST_CASE("random_orthogonal: blocks are uniformly distributed, and the seed decides", "[monarch][orthogonal]") {
  // Of a uniform orthogonal n x n matrix Q, E Q_11 = 0, E Q_11^2 = 1 / n, and E (tr Q)^2 = 1, E tr Q^2 = 1: moments
  // that QR without the sign of R misses. 4000 samples: means are within 5 deviations.
  Cpu be;
  Rng rng(17);
  const Index n = 4, samples = 4000;
  const auto q =
      random_orthogonal<1, double>(be, MonarchShape<1>::block_diagonal(n * samples, n * samples, samples), rng);
  double corner = 0, square = 0, trace = 0, trace_square = 0, trace_of_square = 0;
  for (Index s = 0; s < samples; ++s) {
    const auto block = [&](Index i, Index j) { return q.factor(0)(s, 0, i, j); };
    corner += block(0, 0);
    square += block(0, 0) * block(0, 0);
    double t = 0;
    for (Index i = 0; i < n; ++i) {
      t += block(i, i);
      for (Index j = 0; j < n; ++j) trace_of_square += block(i, j) * block(j, i);
    }
    trace += t;
    trace_square += t * t;
  }
  const double count = static_cast<double>(samples), allowed = 5 / std::sqrt(count);
  REQUIRE(std::abs(corner / count) <= allowed * 0.5);
  REQUIRE(std::abs(square / count - 0.25) <= allowed * 0.25);
  REQUIRE(std::abs(trace / count) <= allowed);
  REQUIRE(std::abs(trace_square / count - 1) <= allowed * 1.5);
  REQUIRE(std::abs(trace_of_square / count - 1) <= allowed * 1.5);

  Rng first(1), again(1), other(2);
  const auto a = random_orthogonal<2, float>(be, {4, 4}, first), b = random_orthogonal<2, float>(be, {4, 4}, again);
  REQUIRE(to_host(a.weights()) == to_host(b.weights()));
  REQUIRE(to_host(a.weights()) != to_host(random_orthogonal<2, float>(be, {4, 4}, other).weights()));
}
