#pragma once

#include <complex>
#include <cstdint>
#include <cstring>
#include <utility>

#include "m2/backend/cpu/instruction_set.hpp"
#include "m2/core/butterfly.hpp"
#include "m2/core/index.hpp"

namespace m2::detail::inline M2_INSTRUCTION_SET {

/// True if a number that multiplies a register comes from memory, or from a lane of another register, at no cost beyond
/// a load. With SSE2 it is spread over a register by an instruction more, which is done once for all its products.
#if (defined(__x86_64__) || defined(__i386__)) && !defined(__AVX__)
inline constexpr bool numbers_are_operands = false;
#else
inline constexpr bool numbers_are_operands = true;
#endif

/// True if it pays to load 16 bytes of numbers at once and to spread each of them over a register there: with registers
/// of 64 bytes, a load of a number costs as much as one of the whole register that it meets.
inline constexpr bool spreads_in_registers = register_bytes == 64;

/// Bytes of the second-level cache that the tiles of kernels share.
inline constexpr Index second_level_cache = Index{1} << 20;

/// One SIMD register of T: elementwise arithmetic, and products with a scalar. GCC's and Clang's vector extension where
/// there is one, a plain array otherwise.
template <class T>
struct Lanes {
  static constexpr Index count = register_bytes / static_cast<Index>(sizeof(T));
#if defined(__GNUC__)
  typedef T Vector __attribute__((vector_size(register_bytes)));
  Vector v;

  static M2_INLINE Lanes zero() { return {Vector{}}; }
  static M2_INLINE Lanes all(T s) { return {s - Vector{}}; }
  friend M2_INLINE Lanes operator+(Lanes a, Lanes b) { return {a.v + b.v}; }
  friend M2_INLINE Lanes operator-(Lanes a, Lanes b) { return {a.v - b.v}; }
  friend M2_INLINE Lanes operator*(Lanes a, Lanes b) { return {a.v * b.v}; }
  friend M2_INLINE Lanes operator*(Lanes a, T s) { return {a.v * s}; }
  friend M2_INLINE Lanes add_scaled(Lanes c, Lanes a, T s) { return {c.v + a.v * s}; }
  friend M2_INLINE Lanes subtract_scaled(Lanes c, Lanes a, T s) { return {c.v - a.v * s}; }
  friend M2_INLINE Lanes add_product(Lanes c, Lanes a, Lanes b) { return {c.v + a.v * b.v}; }
  friend M2_INLINE Lanes subtract_product(Lanes c, Lanes a, Lanes b) { return {c.v - a.v * b.v}; }
#else
  T v[static_cast<std::size_t>(count)];

  template <class F>
  static Lanes map(F f) {
    Lanes result;
    for (Index i = 0; i < count; ++i) result.v[i] = f(i);
    return result;
  }
  static Lanes zero() {
    return map([](Index) { return T{}; });
  }
  static Lanes all(T s) {
    return map([&](Index) { return s; });
  }
  friend Lanes operator+(Lanes a, Lanes b) {
    return map([&](Index i) { return a.v[i] + b.v[i]; });
  }
  friend Lanes operator-(Lanes a, Lanes b) {
    return map([&](Index i) { return a.v[i] - b.v[i]; });
  }
  friend Lanes operator*(Lanes a, Lanes b) {
    return map([&](Index i) { return a.v[i] * b.v[i]; });
  }
  friend Lanes operator*(Lanes a, T s) {
    return map([&](Index i) { return a.v[i] * s; });
  }
  friend Lanes add_scaled(Lanes c, Lanes a, T s) { return c + a * s; }
  friend Lanes subtract_scaled(Lanes c, Lanes a, T s) { return c - a * s; }
  friend Lanes add_product(Lanes c, Lanes a, Lanes b) { return c + a * b; }
  friend Lanes subtract_product(Lanes c, Lanes a, Lanes b) { return c - a * b; }
#endif

  /// No alignment needed.
  static M2_INLINE Lanes load(const T* from) {
    Lanes result;
    std::memcpy(&result.v, from, sizeof(result.v));
    return result;
  }
  M2_INLINE void store(T* to) const { std::memcpy(to, &v, sizeof(v)); }
};

/// True if so many numbers can be repeated over a register: 16 bytes, less than one.
template <class T>
constexpr bool is_piece(Index count) {
  return count * static_cast<Index>(sizeof(T)) == 16 && count < Lanes<T>::count;
}
/// 16 bytes of numbers, over and over.
template <class T>
M2_INLINE Lanes<T> repeat_piece(const T* from) {
  Lanes<T> result;
  // g++ 12 would put the register together in memory.
#if defined(__GNUC__) && defined(__AVX512F__)
  asm("vbroadcastf32x4 %1, %0" : "=v"(result.v) : "m"(*reinterpret_cast<const char(*)[16]>(from)));
#elif defined(__GNUC__) && defined(__AVX__)
  asm("vbroadcastf128 %1, %0" : "=x"(result.v) : "m"(*reinterpret_cast<const char(*)[16]>(from)));
#else
  constexpr Index piece = 16 / static_cast<Index>(sizeof(T));
  for (Index i = 0; i < Lanes<T>::count; ++i) result.v[i] = from[i % piece];
#endif
  return result;
}
/// The lanes `At` of a, behind them those of b. nvcc would hand g++ a builtin whose pack it has lost.
template <std::size_t... At, class T>
M2_INLINE Lanes<T> shuffle_lanes(Lanes<T> a, [[maybe_unused]] Lanes<T> b) {
#if defined(__GNUC__) && !defined(__CUDACC__)
  return {__builtin_shufflevector(a.v, b.v, static_cast<int>(At)...)};
#else
  constexpr std::size_t n = sizeof...(At), from[] = {At...};
  Lanes<T> result = a;
  for (std::size_t i = 0; i < n; ++i) result.v[i] = from[i] < n ? a.v[from[i]] : b.v[from[i] - n];
  return result;
#endif
}
/// Number `At` of every 16 bytes in all places of these 16 bytes.
template <std::size_t At, class T, std::size_t... I>
M2_INLINE Lanes<T> spread_in_pieces(Lanes<T> lanes, std::index_sequence<I...>) {
  constexpr std::size_t piece = 16 / sizeof(T);
  return shuffle_lanes<(I / piece * piece + At)...>(lanes, lanes);
}

/// A complex number as register tiles take it: std::complex has functions that are not always inlined there.
template <class R>
struct ComplexNumber {
  R re, im;
};

/// Complex numbers in two registers, real parts and imaginary parts. In memory the two lie in planes of their own, the
/// imaginary one `plane` numbers behind the real one; real numbers have one plane, and the argument means nothing.
template <class R>
struct Lanes<std::complex<R>> {
  static constexpr Index count = Lanes<R>::count;
  Lanes<R> re, im;

  static M2_INLINE Lanes zero() { return {Lanes<R>::zero(), Lanes<R>::zero()}; }
  friend M2_INLINE Lanes operator+(Lanes a, Lanes b) { return {a.re + b.re, a.im + b.im}; }
  friend M2_INLINE Lanes add_scaled(Lanes c, Lanes a, ComplexNumber<R> s) {
    return {subtract_scaled(add_scaled(c.re, a.re, s.re), a.im, s.im),
            add_scaled(add_scaled(c.im, a.im, s.re), a.re, s.im)};
  }
};

/// How many numbers a T is, and so how many planes an array of it is split into.
template <class T>
inline constexpr Index planes_of = 1;
template <class R>
inline constexpr Index planes_of<std::complex<R>> = 2;

template <class T>
M2_INLINE Lanes<T> load_lanes(const T* from, Index) {
  return Lanes<T>::load(from);
}
template <class T>
M2_INLINE void store_lanes(Lanes<T> lanes, T* to, Index) {
  lanes.store(to);
}
template <class T>
requires(planes_of<T> == 2) M2_INLINE Lanes<T> load_lanes(const typename T::value_type* from, Index plane) {
  return {Lanes<typename T::value_type>::load(from), Lanes<typename T::value_type>::load(from + plane)};
}
template <class T>
requires(planes_of<T> == 2) M2_INLINE void store_lanes(Lanes<T> lanes, typename T::value_type* to, Index plane) {
  lanes.re.store(to);
  lanes.im.store(to + plane);
}

/// A number of an array in planes.
template <class T>
M2_INLINE T load_scalar(const T* from, Index) {
  return *from;
}
template <class T>
requires(planes_of<T> ==
         2) M2_INLINE ComplexNumber<typename T::value_type> load_scalar(const typename T::value_type* from,
                                                                        Index plane) {
  return {*from, from[plane]};
}

/// The compiler must hold these values in registers from here on: it would otherwise read an operand from memory again
/// for each of its products, and loads, not products, would be the limit.
template <class T>
M2_INLINE void keep_in_register([[maybe_unused]] Lanes<T>& lanes) {
#if defined(__GNUC__) && defined(__AVX512F__)
  asm("" : "+v"(lanes.v));
#elif defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
  asm("" : "+x"(lanes.v));
#elif defined(__GNUC__) && defined(__aarch64__)
  asm("" : "+w"(lanes.v));
#endif
}
template <class R>
M2_INLINE void keep_in_register(Lanes<std::complex<R>>& lanes) {
  keep_in_register(lanes.re);
  keep_in_register(lanes.im);
}

/// The compiler must compute addresses from this pointer anew: it would otherwise keep those that it has computed
/// before a loop in vector registers until after it.
template <class T>
M2_INLINE void hide_origin([[maybe_unused]] T*& pointer) {
#if defined(__GNUC__)
  asm("" : "+r"(pointer));
#endif
}

/// The same bytes as floats.
template <class T>
M2_INLINE Lanes<float> as_floats(Lanes<T> lanes) {
  return Lanes<float>::load(reinterpret_cast<const float*>(&lanes));
}

/// Stores a whole register past the caches, where the machine can: for what nobody reads before it would have left
/// them. The address is a multiple of the register's size; finish_streams() comes before another thread may read.
template <class T>
M2_INLINE void stream_lanes(Lanes<T> lanes, T* to) {
#if defined(__clang__)
  __builtin_nontemporal_store(lanes.v, reinterpret_cast<typename Lanes<T>::Vector*>(to));
#elif defined(__GNUC__) && defined(__AVX512F__)
  __builtin_ia32_movntps512(reinterpret_cast<float*>(to), as_floats(lanes).v);
#elif defined(__GNUC__) && defined(__AVX__)
  __builtin_ia32_movntps256(reinterpret_cast<float*>(to), as_floats(lanes).v);
#elif defined(__GNUC__) && defined(__SSE__)
  __builtin_ia32_movntps(reinterpret_cast<float*>(to), as_floats(lanes).v);
#else
  lanes.store(to);
#endif
}
M2_INLINE void finish_streams() {
#if defined(__GNUC__) && defined(__SSE__)
  __builtin_ia32_sfence();
#endif
}

/// Bytes of results from which on they bypass the caches: of a product, and of the gradient of its vectors, beside
/// which twice as much is read.
inline constexpr Index streamed_product = Index{1} << 23, streamed_gradient = Index{1} << 22;

/// True if so many results should bypass the caches: they will not stay there, and are written so many registers side
/// by side that these are whole cache lines: pieces of a line that come one by one go to memory one by one.
template <class T>
bool streams(const T* data, Index stride, Index count, Index registers = 1, Index least = streamed_product) {
  constexpr Index line = 64, size = sizeof(T);
  return registers * register_bytes >= line && count * size >= least &&
         reinterpret_cast<std::uintptr_t>(data) % line == 0 && stride * size % line == 0;
}

/// Asks for the cache line of an address that will be read, or written, soon; any address will do. Inlined always: g++
/// takes a function that only prefetches for one without effect, and drops the call.
M2_INLINE void prefetch_line([[maybe_unused]] const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#endif
}
M2_INLINE void prefetch_for_write([[maybe_unused]] const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address, 1);
#endif
}

/// The same into the second-level cache, for what is read later.
M2_INLINE void prefetch_far([[maybe_unused]] const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address, 0, 2);
#endif
}

}  // namespace m2::detail::inline M2_INSTRUCTION_SET
