#pragma once

#include "m2/backend/cpu/lanes.hpp"

/// The arithmetic loop of a register tile for machines whose instructions overwrite one of their operands, and have no
/// multiply-add (SSE2). A product then takes three of the six instructions that may begin in a cycle: a copy or a load,
/// the multiplication, the addition. g++ makes more copies than there must be, and spills where the loop is unrolled.
namespace m2::detail::inline M2_INSTRUCTION_SET {

/// The largest tile: 12 registers of sums, two of one operand and two of products.
inline constexpr Index two_operand_rows = 6, two_operand_columns = 2;

/// sum += a b, the product in the place of a. b lies in memory on a register's boundary, where it costs no instruction.
template <class T>
M2_INLINE void add_product_in_place(Lanes<T>& sum, Lanes<T>& a, const T* b) {
#if defined(__GNUC__) && defined(__SSE2__) && !defined(__AVX__)
  using Vector = typename Lanes<T>::Vector;
  if constexpr (sizeof(T) == 4) {
    asm("mulps %2, %1\n\taddps %1, %0" : "+x"(sum.v), "+x"(a.v) : "m"(*reinterpret_cast<const Vector*>(b)));
  } else {
    asm("mulpd %2, %1\n\taddpd %1, %0" : "+x"(sum.v), "+x"(a.v) : "m"(*reinterpret_cast<const Vector*>(b)));
  }
#else
  sum = add_product(sum, a, Lanes<T>::load(b));
#endif
}

/// Two sums, s += a w and t += b w; w as b above. Additions stand behind both multiplications, as in the FMA loop of
/// bench/ceilings.hpp.
template <class T>
M2_INLINE void add_two_products(Lanes<T>& s, Lanes<T>& t, Lanes<T> a, Lanes<T> b, const T* w) {
#if defined(__GNUC__) && defined(__SSE2__) && !defined(__AVX__)
  using Vector = typename Lanes<T>::Vector;
  Vector p, q;
  if constexpr (sizeof(T) == 4) {
    asm("movaps %6, %2\n\tmovaps %2, %3\n\tmulps %4, %2\n\tmulps %5, %3\n\taddps %2, %0\n\taddps %3, %1"
        : "+x"(s.v), "+x"(t.v), "=&x"(p), "=&x"(q)
        : "x"(a.v), "x"(b.v), "m"(*reinterpret_cast<const Vector*>(w)));
  } else {
    asm("movapd %6, %2\n\tmovapd %2, %3\n\tmulpd %4, %2\n\tmulpd %5, %3\n\taddpd %2, %0\n\taddpd %3, %1"
        : "+x"(s.v), "+x"(t.v), "=&x"(p), "=&x"(q)
        : "x"(a.v), "x"(b.v), "m"(*reinterpret_cast<const Vector*>(w)));
  }
#else
  const Lanes<T> weights = Lanes<T>::load(w);
  s = add_product(s, a, weights), t = add_product(t, b, weights);
#endif
}

/// J x V registers of sums. Where these are so few that they would wait for one another, every other term has sums of
/// its own.
template <class T, Index J, Index V>
class TileSums {
 public:
  M2_INLINE TileSums() {
    M2_UNROLL
    for (Index j = 0; j < J; ++j) M2_UNROLL
    for (Index v = 0; v < V; ++v) even_[j][v] = odd_[j][v] = Lanes<T>::zero();
  }

  /// Adds `terms` terms and returns where their weights end. J registers of weights, one behind the other, meet V
  /// registers, `column` numbers apart, in each; the next term's are `step` numbers further. Two terms a round: what
  /// counts them is instructions, too.
  M2_INLINE const T* add(const T* weights, Index terms, const T* x, Index step, Index column) {
    const T* const end = weights + (terms - terms % 2) * size;
    for (; weights != end; weights += 2 * size, x += 2 * step) {
      add_term(even_, weights, x, column);
      add_term(odd(), weights + size, x + step, column);
    }
    if (terms % 2 == 0) return end;
    add_term(even_, end, x, column);
    return end + size;
  }

  /// Adds term k with these registers.
  M2_INLINE void add(Index k, const T* weights, Lanes<T> (&in)[std::size_t{V}]) {
    k % 2 == 0 ? add_products(even_, weights, in) : add_products(odd(), weights, in);
  }

  M2_INLINE Lanes<T> sum(Index j, Index v) const { return separate ? even_[j][v] + odd_[j][v] : even_[j][v]; }

 private:
  static constexpr Index lanes = Lanes<T>::count, size = J * lanes;
  static constexpr bool separate = J * V < 6;
  using Sums = Lanes<T>[std::size_t{J}][std::size_t{V}];

  M2_INLINE Sums& odd() { return separate ? odd_ : even_; }

  static M2_INLINE void add_products(Sums& sums, const T* weights, Lanes<T> (&in)[std::size_t{V}]) {
    M2_UNROLL
    for (Index j = 0; j + 1 < J; ++j) {
      if constexpr (V == 2) {
        add_two_products(sums[j][0], sums[j][1], in[0], in[1], weights + j * lanes);
      } else {
        M2_UNROLL
        for (Index v = 0; v < V; ++v) {
          Lanes<T> product = in[v];
          add_product_in_place(sums[j][v], product, weights + j * lanes);
        }
      }
    }
    // Each register is needed for the last time.
    M2_UNROLL
    for (Index v = 0; v < V; ++v) add_product_in_place(sums[J - 1][v], in[v], weights + (J - 1) * lanes);
  }
  static M2_INLINE void add_term(Sums& sums, const T* weights, const T* x, Index column) {
    Lanes<T> in[std::size_t{V}];
    M2_UNROLL
    for (Index v = 0; v < V; ++v) in[v] = Lanes<T>::load(x + v * column), keep_in_register(in[v]);
    add_products(sums, weights, in);
  }

  Sums even_, odd_;
};

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
