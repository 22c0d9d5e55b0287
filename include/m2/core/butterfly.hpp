#pragma once

#include <type_traits>

#include "m2/core/index.hpp"

/// The small DFTs from which a transform of any smooth size is built: X[e] = sum_j w_R^{e j} x[j], w_R = exp(-2 pi i /
/// R), in place on arrays of real and imaginary parts, unrolled for R = 1, 2, 3, 4, 5, 7, 8. T is the element type,
/// V the type computed on: T itself, or a SIMD register of T. Exchanging the two arrays gives the inverse DFT (times
/// R), because swap(x) = i conj(x).
namespace m2::detail {

/// c + a s and c - a s in one expression, which every compiler may contract to a fused multiply-add.
template <class T>
M2_HD M2_INLINE T add_scaled(T c, T a, T s) {
  return c + a * s;
}
template <class T>
M2_HD M2_INLINE T subtract_scaled(T c, T a, T s) {
  return c - a * s;
}

/// cos(2 pi k / r) and sin(2 pi k / r) for 0 <= k <= r / 2 and the odd radices.
M2_HD constexpr double unit_cosine(int r, int k) {
  constexpr double c3 = -0.5, c5[] = {1, 0.30901699437494742410, -0.80901699437494742410},
                   c7[] = {1, 0.62348980185873353053, -0.22252093395631440429, -0.90096886790241912624};
  return k == 0 ? 1 : r == 3 ? c3 : r == 5 ? c5[k] : c7[k];
}
M2_HD constexpr double unit_sine(int r, int k) {
  constexpr double s3 = 0.86602540378443864676, s5[] = {0, 0.95105651629515357212, 0.58778525229247312917},
                   s7[] = {0, 0.78183148246802980871, 0.97492791218182360702, 0.43388373911755812048};
  return k == 0 ? 0 : r == 3 ? s3 : r == 5 ? s5[k] : s7[k];
}

/// Odd R: with s_j = x_j + x_{R-j} and d_j = x_j - x_{R-j}, X_{+-e} = x_0 + sum_j cos(e j) s_j -+ i sum_j sin(e j) d_j.
template <class T, int R, class V>
M2_HD M2_INLINE void odd_butterfly(V* re, V* im) {
  constexpr int half = (R - 1) / 2;
  V sr[std::size_t{half}], si[std::size_t{half}], dr[std::size_t{half}], di[std::size_t{half}];
  const V r0 = re[0], i0 = im[0];
  M2_UNROLL for (int j = 0; j < half; ++j) {
    sr[j] = re[j + 1] + re[R - 1 - j], si[j] = im[j + 1] + im[R - 1 - j];
    dr[j] = re[j + 1] - re[R - 1 - j], di[j] = im[j + 1] - im[R - 1 - j];
  }
  M2_UNROLL for (int j = 0; j < half; ++j) re[0] = re[0] + sr[j], im[0] = im[0] + si[j];
  M2_UNROLL for (int e = 1; e <= half; ++e) {
    const T sine = static_cast<T>(unit_sine(R, e));
    V mr = r0, mi = i0, nr = dr[0] * sine, ni = di[0] * sine;
    M2_UNROLL for (int j = 1; j <= half; ++j) {
      const int k = e * j % R, folded = k <= half ? k : R - k;
      const T c = static_cast<T>(unit_cosine(R, folded));
      mr = add_scaled(mr, sr[j - 1], c), mi = add_scaled(mi, si[j - 1], c);
      if (j == 1) continue;
      const T s = static_cast<T>(k <= half ? unit_sine(R, folded) : -unit_sine(R, folded));
      nr = add_scaled(nr, dr[j - 1], s), ni = add_scaled(ni, di[j - 1], s);
    }
    re[e] = mr + ni, im[e] = mi - nr;
    re[R - e] = mr - ni, im[R - e] = mi + nr;
  }
}

/// Radix 4 on elements 0, S, 2 S, 3 S. With Half, x[2 S] and x[3 S] are zero and not read.
template <int S, bool Half, class V>
M2_HD M2_INLINE void butterfly4(V* re, V* im) {
  const V ar = re[0], ai = im[0], br = re[S], bi = im[S];
  if constexpr (Half) {
    re[0] = ar + br, im[0] = ai + bi, re[2 * S] = ar - br, im[2 * S] = ai - bi;
    re[S] = ar + bi, im[S] = ai - br, re[3 * S] = ar - bi, im[3 * S] = ai + br;
  } else {
    const V sr = ar + re[2 * S], si = ai + im[2 * S], dr = ar - re[2 * S], di = ai - im[2 * S];
    const V tr = br + re[3 * S], ti = bi + im[3 * S], er = br - re[3 * S], ei = bi - im[3 * S];
    re[0] = sr + tr, im[0] = si + ti, re[2 * S] = sr - tr, im[2 * S] = si - ti;
    re[S] = dr + ei, im[S] = di - er, re[3 * S] = dr - ei, im[3 * S] = di + er;
  }
}

/// Radix 8 on elements 0, S, .., 7 S: radix 4 on the even and on the odd ones, X_{k, k+4} = E_k +- w_8^k O_k.
template <class T, int S, bool Half, class V>
M2_HD M2_INLINE void butterfly8(V* re, V* im) {
  butterfly4<2 * S, Half>(re, im);
  butterfly4<2 * S, Half>(re + S, im + S);
  constexpr T root = static_cast<T>(0.70710678118654752440);
  const V e0r = re[0], e0i = im[0], e1r = re[2 * S], e1i = im[2 * S];
  const V e2r = re[4 * S], e2i = im[4 * S], e3r = re[6 * S], e3i = im[6 * S];
  const V o0r = re[S], o0i = im[S], o2r = re[5 * S], o2i = im[5 * S];
  const V p1 = re[3 * S] + im[3 * S], q1 = im[3 * S] - re[3 * S];
  const V p3 = im[7 * S] - re[7 * S], q3 = im[7 * S] + re[7 * S];
  re[0] = e0r + o0r, im[0] = e0i + o0i, re[4 * S] = e0r - o0r, im[4 * S] = e0i - o0i;
  re[S] = add_scaled(e1r, p1, root), im[S] = add_scaled(e1i, q1, root);
  re[5 * S] = subtract_scaled(e1r, p1, root), im[5 * S] = subtract_scaled(e1i, q1, root);
  re[2 * S] = e2r + o2i, im[2 * S] = e2i - o2r, re[6 * S] = e2r - o2i, im[6 * S] = e2i + o2r;
  re[3 * S] = add_scaled(e3r, p3, root), im[3 * S] = subtract_scaled(e3i, q3, root);
  re[7 * S] = subtract_scaled(e3r, p3, root), im[7 * S] = add_scaled(e3i, q3, root);
}

/// x[j] *= w^j of a table (re, im pairs of w^1, w^2, ..): the twiddles of one block.
template <int R, class T, class V>
M2_HD M2_INLINE void twiddle(const T* w, V* re, V* im) {
  M2_UNROLL for (int j = 1; j < R; ++j) {
    const V r = re[j], i = im[j];
    re[j] = subtract_scaled(r * w[2 * j - 2], i, w[2 * j - 1]);
    im[j] = add_scaled(i * w[2 * j - 2], r, w[2 * j - 1]);
  }
}

/// The DFT of R numbers. With Half, R is even, and x[R/2], x[R/2 + 1], .. are zero and not read.
template <class T, int R, bool Half = false, class V>
M2_HD M2_INLINE void butterfly(V* re, V* im) {
  static_assert(R == 1 || R == 2 || R == 3 || R == 4 || R == 5 || R == 7 || R == 8);
  static_assert(!Half || R % 2 == 0);
  if constexpr (R == 2) {
    const V ar = re[0], ai = im[0];
    if constexpr (Half) {
      re[1] = ar, im[1] = ai;
    } else {
      re[0] = ar + re[1], im[0] = ai + im[1], re[1] = ar - re[1], im[1] = ai - im[1];
    }
  } else if constexpr (R == 4) {
    butterfly4<1, Half>(re, im);
  } else if constexpr (R == 8) {
    butterfly8<T, 1, Half>(re, im);
  } else if constexpr (R > 1) {
    odd_butterfly<T, R>(re, im);
  }
}

/// Calls f with the radix as a compile-time number, std::integral_constant<int, R>.
template <class F>
void with_radix(int radix, F&& f) {
  switch (radix) {
    case 2:
      return f(std::integral_constant<int, 2>{});
    case 3:
      return f(std::integral_constant<int, 3>{});
    case 4:
      return f(std::integral_constant<int, 4>{});
    case 5:
      return f(std::integral_constant<int, 5>{});
    case 7:
      return f(std::integral_constant<int, 7>{});
    case 8:
      return f(std::integral_constant<int, 8>{});
    default:
      return f(std::integral_constant<int, 1>{});
  }
}

}  // namespace m2::detail
