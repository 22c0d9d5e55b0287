// A causal operator made of Monarch matrices: its dense equivalent, and what happens to the triangle when one of the
// conditions of the construction is broken.
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <iomanip>
#include <iostream>
#include <m2/causal.hpp>

namespace {

using Complex = std::complex<double>;
using Basis = m2::PolynomialBasis<2, double>;

constexpr m2::Index top = 3, low = 4, length = top * low;

/// Random lower triangular coefficient blocks with a diagonal of ones; full blocks if asked for.
Basis random_basis(m2::Index top_radix, m2::Rng& rng, bool full = false) {
  Basis basis({top_radix, low});
  for (int a = 0; a < 2; ++a)
    for (m2::Index context = 0; context < basis.weight(a); ++context)
      for (m2::Index degree = 0; degree < basis.radix(a); ++degree)
        for (m2::Index column = 0; column < basis.radix(a); ++column)
          if (column < degree || (full && column > degree))
            basis.coefficient(a, context, degree, column) = rng.uniform(-0.5, 0.5);
  return basis;
}

/// The largest entry above the diagonal, of size x size numbers, next to the largest of all.
template <class At>
double above_diagonal(m2::Index size, const At& at) {
  double above = 0, all = 0;
  for (m2::Index i = 0; i < size; ++i)
    for (m2::Index j = 0; j < size; ++j) {
      all = std::max(all, std::abs(at(i, j)));
      if (j > i) above = std::max(above, std::abs(at(i, j)));
    }
  return above / all;
}

/// The same of y = M0^-1 ((M1 k) . (M2 u)): its columns are the products with unit vectors.
double leak(const Basis& q0, const Basis& q1, const Basis& q2, m2::Index top_points,
            m2::Nodes nodes = m2::Nodes::roots_of_unity) {
  m2::Cpu be;
  m2::Rng rng(7);
  m2::Tensor<Complex, 2, m2::Cpu> k(be, {length, length}), u(be, {length, length}), y(be, {length, length});
  for (m2::Index t = 0; t < length; ++t) {
    const double value = rng.normal<double>();
    for (m2::Index row = 0; row < length; ++row) k.view()(row, t) = value;
    u.view()(t, t) = 1;
  }
  m2::polynomial_product(be, m2::evaluation(be, q1, top_points, length, nodes), k.view(),
                         m2::evaluation(be, q2, top_points, length, nodes), u.view(),
                         m2::interpolation(be, q0.inverse(), top_points, length, nodes), y.view());
  return above_diagonal(length, [&](m2::Index i, m2::Index j) { return std::abs(y.view()(j, i)); });
}

}  // namespace

int main() {
  m2::Cpu be;
  m2::Rng rng(42);

  // A mixer of sequences of 12 = 3 x 4 positions, one channel, with random triangular blocks.
  const m2::CausalMonarchShape<2> shape({top, low});
  const m2::CausalMonarch<2, double> mixer(be, {1, length, 1}, shape);
  m2::Tensor<double, 2, m2::Cpu> coefficients(be, {1, shape.coefficient_count()}), k(be, {length, 1});
  for (m2::Index i = 0; i < coefficients.size(); ++i) coefficients.data()[i] = rng.uniform(0.2, 1.0);
  for (m2::Index t = 0; t < length; ++t) k.view()(t, 0) = std::exp(-0.3 * static_cast<double>(t));
  const auto dense = mixer.to_dense(be, k.view(), {}, coefficients.view());
  const auto entry = [&](m2::Index i, m2::Index j) { return dense.view()(0, i, j); };

  std::cout << "y = T u, T = M0^-1 ((M1 k) . (M2 u)) as a dense matrix:\n" << std::fixed << std::setprecision(2);
  for (m2::Index i = 0; i < length; ++i) {
    for (m2::Index j = 0; j < length; ++j) std::cout << std::setw(8) << entry(i, j);
    std::cout << '\n';
  }
  bool complete = true;
  for (m2::Index i = 0; i < length; ++i)
    for (m2::Index j = 0; j <= i; ++j) complete = complete && entry(i, j) != 0;
  std::cout << "Every y[t] depends on all of u[0..t]: " << (complete ? "yes" : "no") << "\n\n";

  const Basis q0 = random_basis(top, rng), q1 = random_basis(top, rng), q2 = random_basis(top, rng);
  const Basis wide = random_basis(2 * top, rng), full = random_basis(top, rng, true);
  const double good = leak(q0, q1, q2, 2 * top);
  const std::array<double, 4> broken{leak(q0, q1, q2, top), leak(wide, q1, wide, 2 * top), leak(q0, q1, full, 2 * top),
                                     leak(q0, q1, q2, 2 * top, m2::Nodes::grid)};
  std::cout << "The largest entry above the diagonal, relative to the largest of all, by complex Monarch matrices:\n"
            << std::scientific << std::setprecision(1);
  std::cout << "  " << good << "  lower triangular blocks, top digit padded to twice its radix, roots of unity\n";
  std::cout << "  " << broken[0] << "  no padding: products wrap around\n";
  std::cout << "  " << broken[1] << "  top degrees without a bound: they wrap around, too\n";
  std::cout << "  " << broken[2] << "  M2 with full blocks: q_j has terms below Z^j\n";
  std::cout << "  " << broken[3] << "  the grid of roots of unity, no twiddles: carries are lost\n";

  const bool proved = complete && above_diagonal(length, entry) == 0 && good < 1e-13 &&
                      *std::min_element(broken.begin(), broken.end()) > 1e-3;
  std::cout << (proved ? "The triangle holds exactly where it should.\n" : "Something is wrong.\n");
  return proved ? 0 : 1;
}
