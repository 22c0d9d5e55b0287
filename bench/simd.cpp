#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "bench/ceilings.hpp"
#include "bench/product.hpp"
#include "bench/simd/tile.hpp"
#include "m2/backend/cpu/register_tile.hpp"

/// Why the kernels stand on Lanes (cpu/lanes.hpp): the same register tile over other SIMD layers.
namespace m2::bench {

namespace {

template <class T>
struct OwnLanes {
  using Register = detail::Lanes<T>;
  static constexpr Index width = Register::count;
  static M2_INLINE Register zero() { return Register::zero(); }
  static M2_INLINE Register load(const T* from) { return Register::load(from); }
  static M2_INLINE void store(const Register& x, T* to) { x.store(to); }
  static M2_INLINE Register multiply_add(const Register& sum, const Register& x, T number) {
    return add_scaled(sum, x, number);
  }
};

/// No layer: loops over arrays of a register's size, which the compiler makes SIMD code of, or does not.
template <class T>
struct Arrays {
  static constexpr Index width = detail::Lanes<T>::count;
  struct Register {
    T v[std::size_t{width}];
  };
  template <class F>
  static M2_INLINE Register map(F f) {
    Register result;
    for (Index i = 0; i < width; ++i) result.v[i] = f(i);
    return result;
  }
  static M2_INLINE Register zero() {
    return map([](Index) { return T{0}; });
  }
  static M2_INLINE Register load(const T* from) {
    return map([=](Index i) { return from[i]; });
  }
  static M2_INLINE void store(const Register& x, T* to) { std::copy(x.v, x.v + width, to); }
  static M2_INLINE Register multiply_add(const Register& sum, const Register& x, T number) {
    return map([&](Index i) { return sum.v[i] + x.v[i] * number; });
  }
};

/// The tile of the library itself.
template <class T>
void library_tile(Index terms, const T* left, const T* right, T* to) {
  constexpr Index width = detail::Lanes<T>::count, row = simd_registers * width;
  detail::register_tile<T, detail::Left::number, simd_rows, simd_registers>(terms, {left, 1, terms},
                                                                            {right, row, width}, {to, row, width});
}

template <class T>
std::vector<SimdLayer<T>> layers() {
  return {
      {"m2", detail::Lanes<T>::count, nullptr, library_tile<T>},
      simd_layer<T, OwnLanes<T>>("Lanes"),
      simd_layer<T, Arrays<T>>("arrays"),
#ifdef M2_BENCH_STANDARD_SIMD
      layer_of_standard<T>(),
#endif
#ifdef M2_BENCH_XSIMD
      layer_of_xsimd<T>(),
#endif
#ifdef M2_BENCH_HIGHWAY
      layer_of_highway<T>(),
#endif
  };
}
constexpr std::size_t own_layers = 3;  // the first: what any compiler has

/// Where a layer's result is wrong, its time means nothing.
template <class T>
void require_right(const SimdLayer<T>& layer, Index terms, const T* left, const T* right, const T* result) {
  const Index row = simd_registers * layer.width;
  for (Index j = 0; j < simd_rows; ++j)
    for (Index i = 0; i < row; ++i) {
      double sum = 0;
      for (Index k = 0; k < terms; ++k)
        sum += static_cast<double>(left[j * terms + k]) * static_cast<double>(right[k * row + i]);
      const double bound = static_cast<double>(terms * terms) * std::numeric_limits<T>::epsilon();
      M2_REQUIRE(std::abs(static_cast<double>(result[j * row + i]) - sum) <= bound, layer.name, ": a sum is wrong");
    }
}

/// One pair of contestants for each layer, plain and pinned; the first layer is what the library has.
template <class T>
void simd_case(Findings& found, const Effort& effort, Index terms) {
  const std::vector<SimdLayer<T>> all = layers<T>();
  const Index widest = simd_registers * detail::Lanes<T>::count;
  Cpu be;  // all three in the first-level cache: at most 2, 16 and 2 KiB
  Tensor<T, 1, Cpu> left(be, {simd_rows * terms}), right(be, {terms * widest}), to(be, {simd_rows * widest});
  fill_random(left.data(), left.size());
  fill_random(right.data(), right.size());
  std::vector<Contestant> who;
  for (const SimdLayer<T>& layer : all)
    for (const SimdTile<T> tile : {layer.plain, layer.pinned}) {
      who.emplace_back();
      if (tile == nullptr) continue;
      tile(terms, left.data(), right.data(), to.data());
      require_right(layer, terms, left.data(), right.data(), to.data());
      who.back() = contestant([&, tile] { tile(terms, left.data(), right.data(), to.data()); });
    }
  const std::size_t peak = who.size();
  who.push_back(fma_peak<T>());
  const Rounds rounds(effort, who);

  double ours = not_a_number, others = not_a_number;  // fmax and fmin: of a number and NaN the number
  std::string shares;
  for (std::size_t l = 0; l < all.size(); ++l) {
    const double flops = 2.0 * static_cast<double>(simd_rows * simd_registers * all[l].width * terms);
    double best = not_a_number;
    for (std::size_t pinned = 0; pinned < 2; ++pinned) {
      const double share = rounds.times_faster(2 * l + pinned, peak) * flops / FmaLoop<T>::flops;
      found.note((all[l].name + (pinned == 0 ? " plain" : " pinned")).c_str(), share);
      best = std::fmax(best, share);
    }
    if (l == 0) ours = best;
    if (l >= own_layers) others = std::fmax(others, best);
    shares += (l == 0 ? " " : ", ") + all[l].name + " " + std::to_string(best).substr(0, 5);
  }
  found.add("simd", ours / others, 1);
  if (terms == 64)
    add_remark(std::string("SIMD layers, the same tile of ") + (sizeof(T) == 4 ? "float" : "double") + ", " +
               std::to_string(simd_rows) + " x " + std::to_string(simd_registers) +
               " registers, 64 terms, of FMA peak:" + shares + ".");
}

}  // namespace

void register_simd_cases(const Effort& effort) {
#ifndef M2_BENCH_STANDARD_SIMD
  add_remark("This compiler's standard library has no std::experimental::simd.");
#endif
#ifndef M2_BENCH_XSIMD
  add_remark("xsimd is not installed (Debian: libxsimd-dev).");
#endif
#ifndef M2_BENCH_HIGHWAY
  add_remark("Highway is not installed (Debian: libhwy-dev).");
#endif
  for (const Index terms : {32, 64}) {
    const std::string name = "/terms:" + std::to_string(terms);
    register_case("simd/float" + name, [=](Findings& found) { simd_case<float>(found, effort, terms); });
    register_case("simd/double" + name, [=](Findings& found) { simd_case<double>(found, effort, terms); });
  }
}

}  // namespace m2::bench
