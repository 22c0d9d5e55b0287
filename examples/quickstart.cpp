// A Monarch matrix in place of a dense one: build it, multiply with it, see what it saves.
#include <chrono>
#include <iostream>
#include <m2/monarch.hpp>

namespace {

template <class F>
double milliseconds(F&& f) {
  f();  // warm up
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main() {
  m2::Rng rng(42);
  const auto M = m2::Monarch<2, float>::random({64, 64}, rng);  // 4096 x 4096
  const Eigen::MatrixXf X = Eigen::MatrixXf::Random(4096, 256);
  const Eigen::MatrixXf dense = M.to_dense();

  Eigen::MatrixXf Y, Z;
  const double fast = milliseconds([&] { Y = M * X; });
  const double slow = milliseconds([&] { Z.noalias() = dense * X; });
  std::cout << M.rows() << " x " << M.cols() << ": " << M.parameter_count() << " weights instead of " << dense.size()
            << ", " << fast << " ms instead of " << slow << " ms, relative difference " << (Y - Z).norm() / Z.norm()
            << '\n';

  try {
    const Eigen::MatrixXf wrong = M * X.topRows(100);
  } catch (const m2::Error& error) {
    std::cout << "A wrong shape: " << error.what() << '\n';
  }
}
