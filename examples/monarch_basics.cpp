// What one does with Monarch matrices: build, multiply, invert, solve, project a dense matrix, start from an orthogonal
// one. Prints every error, and exits with 1 if one is larger than rounding explains.
#include <cmath>
#include <cstdio>
#include <limits>
#include <m2/projection.hpp>
#include <m2/transforms.hpp>

namespace {

const double eps = std::numeric_limits<float>::epsilon();
bool all_hold = true;

/// Prints an error and remembers whether it is as small as it must be.
void claim(const char* text, double error, double allowed) {
  const bool holds = error <= allowed;
  all_hold = all_hold && holds;
  std::printf("  %-56s %9.2e  (at most %8.2e)  %s\n", text, error, allowed, holds ? "yes" : "NO");
}

double relative(const Eigen::MatrixXf& a, const Eigen::MatrixXf& b) { return (a - b).norm() / b.norm(); }

}  // namespace

int main() {
  // Build: two factors of 32 blocks, each 32 x 32.
  m2::Rng rng(42);
  const auto M = m2::Monarch<2, float>::random({32, 32}, rng);
  const Eigen::MatrixXf dense = M.to_dense();
  std::printf("M is %td x %td: %td weights instead of %td, %td + %td blocks of %td x %td and %td x %td\n", M.rows(),
              M.cols(), M.parameter_count(), dense.size(), M.shape().factor(0).blocks(), M.shape().factor(1).blocks(),
              M.shape().factor(0).out, M.shape().factor(0).in, M.shape().factor(1).out, M.shape().factor(1).in);

  // Multiply: any Eigen matrix, vector or expression.
  const Eigen::MatrixXf X = Eigen::MatrixXf::Random(1024, 100);
  const Eigen::MatrixXf Y = M * X;
  std::printf("\nMultiply, %.0f flops a vector instead of %.0f\n", M.shape().multiply_flops(1),
              2 * static_cast<double>(dense.size()));
  claim("|M X - dense X| / |dense X|", relative(Y, dense * X), 32 * eps);
  claim("the transpose is a Monarch matrix", relative(M.transpose().to_dense(), dense.transpose()), eps);

  // Invert: a Monarch matrix again, block by block. Orthogonal blocks have the best condition there is.
  std::printf("\nInvert\n");
  const auto Q = m2::random_orthogonal<2, float>({32, 32}, rng);
  claim("|Q^-1 Q X - X| / |X|", relative(Q.inverse() * (Q * X), X), 64 * eps);
  claim("Q^-1 = Q^T", relative(Q.inverse().to_dense(), Q.transpose().to_dense()), 64 * eps);
  const double condition = M.condition_bound();
  std::printf("  the condition number of M is at most %.1e\n", condition);
  claim("|M M.solve(Y) - Y| / |Y|", relative(M * M.solve(Y), Y), std::sqrt(condition) * eps);

  // Project: the nearest Monarch matrix of a dense one. A Monarch matrix is found again; noise is not Monarch.
  std::printf("\nProject\n");
  double error = 0;
  const auto P = m2::project<2, float>(dense, {.radices = {32, 32}}, &error);
  claim("a Monarch matrix, made dense and projected", relative(P.to_dense(), dense), 64 * eps);
  const Eigen::MatrixXf noisy = dense + 0.01F * dense.norm() / 1024 * Eigen::MatrixXf::Random(1024, 1024);
  const auto N = m2::project<2, float>(noisy, {.radices = {32, 32}}, &error);
  std::printf("  with noise of %.2e the projection is %.2e away from the matrix, and %.2e from the clean one\n",
              relative(noisy, dense), error, relative(N.to_dense(), dense));
  claim("the projection removes noise: clean / noisy", relative(N.to_dense(), dense) / relative(noisy, dense), 0.5);
  const Eigen::MatrixXf random = Eigen::MatrixXf::Random(1024, 1024);
  const auto R = m2::project<2, float>(random, {.radices = {32, 32}}, &error);
  std::printf("  a random dense matrix is %.2f of its norm away from every Monarch matrix\n", error);
  claim("the error reported is the error", std::abs(error - relative(R.to_dense(), random)), 64 * eps);

  // A wrong shape is an error in a sentence.
  try {
    const Eigen::MatrixXf wrong = M * X.topRows(100);
    all_hold = false;
  } catch (const m2::Error& message) {
    std::printf("\nA wrong shape: %s\n", message.what());
  }
  std::printf("\n%s\n", all_hold ? "Every claim holds." : "A CLAIM DOES NOT HOLD.");
  return all_hold ? 0 : 1;
}
