// The fast Fourier transform is a Monarch matrix times a permutation: seen in the slices of the dense matrix, proved
// against the definition, and counted for several orders. Exits with 1 if a claim that it prints does not hold.
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdio>
#include <limits>
#include <m2/transforms.hpp>
#include <string>

namespace {

using Complex = std::complex<float>;
using Wide = std::complex<double>;
using Matrix = Eigen::MatrixXcd;

bool all_hold = true;

/// Prints a claim and remembers whether it holds.
void claim(const std::string& text, double error, double allowed) {
  const bool holds = error <= allowed;
  all_hold = all_hold && holds;
  std::printf("  %-66s %9.2e  %s\n", text.c_str(), error, holds ? "yes" : "NO");
}

/// The DFT by its definition, F[e, j] = exp(-2 pi i e j / n), in double.
Matrix naive_dft(Eigen::Index n) {
  const double turn = -2 * std::acos(-1.0) / static_cast<double>(n);
  return Matrix::NullaryExpr(
      n, n, [=](Eigen::Index e, Eigen::Index j) { return std::polar(1.0, turn * static_cast<double>(e * j % n)); });
}

/// How far the slices of A are from rank 1: a matrix of m x m blocks is Monarch exactly if every slice A[:, e, k, :]
/// is.
double distance_from_rank_one(const Matrix& a, Eigen::Index m) {
  double worst = 0;
  for (Eigen::Index e = 0; e < m; ++e)
    for (Eigen::Index k = 0; k < m; ++k)
      for (Eigen::Index l = 1; l < m; ++l)
        for (Eigen::Index j = 1; j < m; ++j) {
          const auto slice = [&](Eigen::Index row, Eigen::Index column) { return a(row * m + e, k * m + column); };
          worst = std::max(worst, std::abs(slice(0, 0) * slice(l, j) - slice(l, 0) * slice(0, j)));
        }
  return worst;
}

template <int Order>
void transform(const Eigen::MatrixXcf& x, const Matrix& expected) {
  const auto n = x.rows();
  const auto f = m2::dft<Order, Complex>(n);
  Eigen::MatrixXcf y = f * x;
  const auto start = std::chrono::steady_clock::now();
  y = f * x;
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  std::string radices;
  Eigen::Index sum = 0;
  for (const m2::Index radix : f.radices()) radices.append(" ").append(std::to_string(radix)), sum += radix;
  const double error = (y.cast<Wide>() - expected).norm() / expected.norm();
  // A few roundings for each doubling of the size.
  const double allowed = static_cast<double>(std::numeric_limits<float>::epsilon()) * std::log2(static_cast<double>(n));
  all_hold = all_hold && error <= allowed && f.parameter_count() == n * sum;
  std::printf("  %5d  %-16s %9td  %7.2f %%  %12td  %10.2e  %8.2f\n", Order, radices.c_str(), f.parameter_count(),
              100.0 * static_cast<double>(f.parameter_count()) / static_cast<double>(n * n), 8 * n * sum, error, ms);
}

}  // namespace

int main() {
  const double eps = std::numeric_limits<double>::epsilon();

  std::printf("The DFT of size 16, M P with 4 x 4 blocks:%55s\n", "error");
  const auto f = m2::dft<2, Wide>({4, 4});
  const Matrix definition = naive_dft(16);
  Eigen::PermutationMatrix<Eigen::Dynamic> p(16);  // column from(i) of a product is column i of its first factor
  for (int i = 0; i < 16; ++i) p.indices()(i) = static_cast<int>(f.permutation().from(i));
  const Matrix monarch = f.monarch().to_dense();
  claim("M P is the DFT", (monarch * p.transpose() - definition).norm(), 64 * eps);
  claim("every slice of F P^T has rank 1", distance_from_rank_one(definition * p, 4), 64 * eps);
  const double without = distance_from_rank_one(definition, 4);
  claim("no such thing without the permutation: 1 / distance", 1 / without, 1);
  claim("the transpose is the DFT again, with the output permuted", (f.transpose().to_dense() - definition).norm(),
        64 * eps);
  claim("the inverse is a Monarch matrix and a permutation, too",
        (f.inverse().to_dense() * definition - Matrix::Identity(16, 16)).norm(), 64 * eps);

  const Eigen::Index n = 4096, batch = 64;
  const Eigen::MatrixXcf x = Eigen::MatrixXcf::Random(n, batch);
  const Matrix expected = naive_dft(n) * x.cast<Wide>();
  std::printf("\nThe DFT of size %td in single precision, %td vectors; dense: %td weights, %td flops a vector\n", n,
              batch, n * n, 8 * n * n);
  std::printf("  order  radices            weights   of dense         flops       error        ms\n");
  transform<2>(x, expected);
  transform<3>(x, expected);
  transform<4>(x, expected);
  transform<12>(x, expected);
  std::printf("\n%s\n", all_hold ? "Every claim holds." : "A CLAIM DOES NOT HOLD.");
  return all_hold ? 0 : 1;
}
