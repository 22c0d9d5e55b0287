#pragma once

#include <array>
#include <type_traits>

#include "m2/core/math.hpp"
#include "m2/ops/elements.hpp"

namespace m2 {

namespace detail {

struct Gelu {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, T& y) const {
    y = x * math::normal(x).integral;
  }
};

struct GeluVjp {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, const T& dy, T& dx) const {
    const auto normal = math::normal(x);
    dx = dy * (normal.integral + x * normal.density);
  }
};

struct Silu {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, T& y) const {
    y = x * math::sigmoid(x);
  }
};

struct SiluVjp {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, const T& dy, T& dx) const {
    const T s = math::sigmoid(x);
    dx = dy * (s + x * s * (T{1} - s));
  }
};

struct Tanh {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, T& y) const {
    y = math::tanh(x);
  }
};

struct TanhVjp {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& y, const T& dy, T& dx) const {
    dx = dy * (T{1} - y * y);
  }
};

struct Sine {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, T& y) const {
    y = math::sin(x);
  }
};

struct SineVjp {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& x, const T& dy, T& dx) const {
    dx = dy * math::cos(x);
  }
};

struct GatedGelu {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& gate, const T& value, T& y) const {
    y = gate * math::normal(gate).integral * value;
  }
};

struct GatedGeluVjp {
  template <class T>
  M2_HD M2_INLINE void operator()(const T& gate, const T& value, const T& dy, T& dgate, T& dvalue) const {
    const T g = gate, v = value, cotangent = dy;  // read first: the outputs may be the inputs
    const auto normal = math::normal(g);
    dgate = cotangent * v * (normal.integral + g * normal.density);
    dvalue = cotangent * g * normal.integral;
  }
};

template <class T>
struct SineScaled {
  T scale;
  M2_HD M2_INLINE void operator()(const T& frequency, const T& x, T& y) const { y = math::sin(scale * frequency * x); }
};

template <class T>
struct SineScaledVjp {
  T scale;
  M2_HD M2_INLINE void operator()(const T& frequency, const T& x, const T& dy, T& dx) const {
    const T factor = scale * frequency;
    dx = dy * factor * math::cos(factor * x);
  }
};

template <class T>
struct SineScaledFrequency {
  T scale;
  M2_HD M2_INLINE void operator()(Index, const T& frequency, const T& x, const T& dy, T (&sums)[1]) const {
    sums[0] += scale * x * dy * math::cos(scale * frequency * x);
  }
};

/// y = f(x).
template <class F, Scalar T, int R, Backend B>
void map(B& be, const char* op, F f, Input<T, R, B> x, View<T, R, B> y) {
  M2_REQUIRE(x.extents() == y.extents(), op, ": x is ", x.extents(), ", y is ", y.extents());
  for_elements(be, f, x, y);
}

/// dx = f(saved, dy).
template <class F, Scalar T, int R, Backend B>
void map_vjp(B& be, const char* op, F f, const char* saved_name, Input<T, R, B> saved, Input<T, R, B> dy,
             View<T, R, B> dx) {
  M2_REQUIRE(saved.extents() == dx.extents() && dy.extents() == dx.extents(), op, ": ", saved_name, " is ",
             saved.extents(), ", dy is ", dy.extents(), ", dx is ", dx.extents());
  for_elements(be, f, saved, dy, dx);
}

}  // namespace detail

/// y = x Phi(x), Phi the normal distribution: the exact form with the error function, not the tanh approximation.
///
/// Shapes   x, y (...), equal
/// Writes   y (overwritten; may be x)
/// Errors   m2::Error if the shapes differ
/// Source   Hendrycks, Gimpel 2016 (arXiv:1606.08415)
template <Scalar T, int R, Backend B>
void gelu(B& be, Input<T, R, B> x, View<T, R, B> y) {
  detail::map(be, "gelu", detail::Gelu{}, x, y);
}

/// VJP of gelu: dx = dy (Phi(x) + x Phi'(x)).
///
/// Shapes   x, dy, dx (...), equal
/// Writes   dx (overwritten; may be dy)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void gelu_vjp(B& be, Input<T, R, B> x, Input<T, R, B> dy, View<T, R, B> dx) {
  detail::map_vjp(be, "gelu_vjp", detail::GeluVjp{}, "x", x, dy, dx);
}

/// y = x / (1 + e^-x).
///
/// Shapes   x, y (...), equal
/// Writes   y (overwritten; may be x)
/// Errors   m2::Error if the shapes differ
/// Source   Elfwing, Uchibe, Doya 2017 (arXiv:1702.03118)
template <Scalar T, int R, Backend B>
void silu(B& be, Input<T, R, B> x, View<T, R, B> y) {
  detail::map(be, "silu", detail::Silu{}, x, y);
}

/// VJP of silu: dx = dy s (1 + x (1 - s)), s = 1 / (1 + e^-x).
///
/// Shapes   x, dy, dx (...), equal
/// Writes   dx (overwritten; may be dy)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void silu_vjp(B& be, Input<T, R, B> x, Input<T, R, B> dy, View<T, R, B> dx) {
  detail::map_vjp(be, "silu_vjp", detail::SiluVjp{}, "x", x, dy, dx);
}

/// y = tanh x.
///
/// Shapes   x, y (...), equal
/// Writes   y (overwritten; may be x)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void tanh(B& be, Input<T, R, B> x, View<T, R, B> y) {
  detail::map(be, "tanh", detail::Tanh{}, x, y);
}

/// VJP of tanh: dx = dy (1 - y^2), from the output y.
///
/// Shapes   y, dy, dx (...), equal
/// Writes   dx (overwritten; may be dy)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void tanh_vjp(B& be, Input<T, R, B> y, Input<T, R, B> dy, View<T, R, B> dx) {
  detail::map_vjp(be, "tanh_vjp", detail::TanhVjp{}, "y", y, dy, dx);
}

/// y = sin x.
///
/// Shapes   x, y (...), equal
/// Writes   y (overwritten; may be x)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void sine(B& be, Input<T, R, B> x, View<T, R, B> y) {
  detail::map(be, "sine", detail::Sine{}, x, y);
}

/// VJP of sine: dx = dy cos x.
///
/// Shapes   x, dy, dx (...), equal
/// Writes   dx (overwritten; may be dy)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void sine_vjp(B& be, Input<T, R, B> x, Input<T, R, B> dy, View<T, R, B> dx) {
  detail::map_vjp(be, "sine_vjp", detail::SineVjp{}, "x", x, dy, dx);
}

/// y = gelu(gate) * value, the gated linear unit of M2-BERT's MLP.
///
/// Shapes   gate, value, y (...), equal
/// Writes   y (overwritten; may be gate or value)
/// Errors   m2::Error if the shapes differ
/// Source   Shazeer 2020 (arXiv:2002.05202); Fu et al. 2023 (arXiv:2310.12109)
template <Scalar T, int R, Backend B>
void gated_gelu(B& be, Input<T, R, B> gate, Input<T, R, B> value, View<T, R, B> y) {
  M2_REQUIRE(gate.extents() == y.extents() && value.extents() == y.extents(), "gated_gelu: gate is ", gate.extents(),
             ", value is ", value.extents(), ", y is ", y.extents());
  detail::for_elements(be, detail::GatedGelu{}, gate, value, y);
}

/// VJP of gated_gelu: dgate = dy value (Phi(gate) + gate Phi'(gate)), dvalue = dy gelu(gate).
///
/// Shapes   gate, value, dy, dgate, dvalue (...), equal
/// Writes   dgate, dvalue (overwritten; each may be one of gate, value, dy)
/// Errors   m2::Error if the shapes differ
template <Scalar T, int R, Backend B>
void gated_gelu_vjp(B& be, Input<T, R, B> gate, Input<T, R, B> value, Input<T, R, B> dy, View<T, R, B> dgate,
                    View<T, R, B> dvalue) {
  M2_REQUIRE(gate.extents() == dgate.extents() && value.extents() == dgate.extents() &&
                 dy.extents() == dgate.extents() && dvalue.extents() == dgate.extents(),
             "gated_gelu_vjp: gate is ", gate.extents(), ", value is ", value.extents(), ", dy is ", dy.extents(),
             ", dgate is ", dgate.extents(), ", dvalue is ", dvalue.extents());
  detail::for_elements(be, detail::GatedGeluVjp{}, gate, value, dy, dgate, dvalue);
}

/// y(..., c) = sin(scale frequency(c) x(..., c)), the activation of implicit filters.
///
/// Shapes   frequency (channels), x, y (..., channels)
/// Writes   y (overwritten; may be x)
/// Errors   m2::Error if the shapes do not fit
/// Source   Poli et al. 2023 (arXiv:2302.10866) Sec. 3.3; Sitzmann et al. 2020 (arXiv:2006.09661)
template <Scalar T, int R, Backend B>
void sine_scaled(B& be, Input<T, 1, B> frequency, std::type_identity_t<T> scale, Input<T, R, B> x, View<T, R, B> y) {
  M2_REQUIRE(x.extents() == y.extents() && frequency.extent(0) == y.extent(R - 1), "sine_scaled: frequency is ",
             frequency.extents(), ", x is ", x.extents(), ", y is ", y.extents());
  detail::for_elements(be, detail::SineScaled<T>{scale}, detail::repeat_rows<R>(frequency, x.extents()), x, y);
}

/// VJP of sine_scaled: with a = scale frequency(c) x, dx = dy scale frequency(c) cos a and
/// dfrequency(c) += sum of dy scale x cos a.
///
/// Shapes   frequency, dfrequency (channels), x, dy, dx (..., channels)
/// Writes   dx (overwritten; may be dy), dfrequency (accumulated, in a fixed order)
/// Errors   m2::Error if the shapes do not fit
template <Scalar T, int R, Backend B>
void sine_scaled_vjp(B& be, Input<T, 1, B> frequency, std::type_identity_t<T> scale, Input<T, R, B> x,
                     Input<T, R, B> dy, View<T, R, B> dx, View<T, 1, B> dfrequency) {
  M2_REQUIRE(x.extents() == dx.extents() && dy.extents() == dx.extents() && frequency.extent(0) == dx.extent(R - 1) &&
                 dfrequency.extent(0) == dx.extent(R - 1),
             "sine_scaled_vjp: frequency is ", frequency.extents(), ", x is ", x.extents(), ", dy is ", dy.extents(),
             ", dx is ", dx.extents(), ", dfrequency is ", dfrequency.extents());
  const View<const T, R, B> frequencies = detail::repeat_rows<R>(frequency, x.extents());
  detail::sum_columns(be, detail::SineScaledFrequency<T>{scale}, std::array{dfrequency}, frequencies, x, dy);
  detail::for_elements(be, detail::SineScaledVjp<T>{scale}, frequencies, x, dy, dx);
}

}  // namespace m2
