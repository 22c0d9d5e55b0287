#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "m2/monarch/hierarchical_causal_shape.hpp"
#include "m2/monarch/linear_map.hpp"
#include "m2/monarch/lower_triangle.hpp"
#include "m2/monarch/multiply.hpp"
#include "m2/ops/elementwise.hpp"

namespace m2 {

/// A causal matrix without transforms: y = T u, T = T_0 + .. + T_{p-1}, real, and nothing is padded.
///
///   T_l[i, j] = triangle_l[i_a, j_a] (dense_l)[i, j]   for positions that agree in the digits above a = p - 1 - l,
///               with i_a > j_a (level 0: i_a >= j_a), and 0 for all others;
///
/// dense_l an order-l Monarch matrix on the digits below a, triangle_l with one matrix for every value of the digits
/// above and below a. The most significant digit in which j < i differ decides the one level that connects them: T has
/// all pairs j <= i, and no other. What is masked is skipped, so that y[i] does not depend on u[j], j > i, by one bit,
/// be it an infinity or NaN. T is no convolution: each position has weights of its own, shared by all channels.
///
/// An object is a plan: it owns workspace, for one thread at a time, and no weights. Move-only.
///
/// Order  number of levels, at least 1 (1: a dense triangle)
/// T      float or double
///
/// Source   math.md D7; the idea of levels as in hierarchical matrices
template <int Order, Scalar T, Backend B>
class HierarchicalCausal {
 public:
  using Shape = HierarchicalCausalShape<Order>;

  /// For sequences of up to `channels` channels.
  ///
  /// Errors   m2::Error if channels < 0
  HierarchicalCausal(B& be, const Shape& shape, Index channels) : shape_(shape), channels_(channels) {
    M2_REQUIRE(channels >= 0, "hierarchical_causal: ", channels, " channels are none");
    Index widest = 0;  // the triangles of a level, unpacked
    for (int l = 0; l < Order; ++l)
      widest = std::max(widest, detail::checked_product("hierarchical_causal", shape.size(), shape.level(l).radix));
    triangles_ = Tensor<T, 1, B>(be, {widest});
    dtriangles_ = Tensor<T, 1, B>(be, {widest});
    for (Tensor<T, 2, B>* tensor : {&in_, &z_, &dz_})
      *tensor = Tensor<T, 2, B>(be, {Order == 1 ? 0 : shape.size(), channels});
  }

  const Shape& shape() const { return shape_; }

  /// y = T u along the sequence, T's first rows and columns if it is shorter than shape().length().
  ///
  /// Shapes   u, y (batch, length, channels), length and channels at most the plan's; or (batch, features), each vector
  ///          a sequence, batch at most the plan's channels; any strides. weights (shape().parameter_count())
  /// Writes   y (overwritten); must not overlap u
  /// Errors   m2::Error if a shape does not fit
  /// Cost     2 batch channels parameter_count flops at full length, O(p^2 N^(1 + 1/p)) a sequence
  void forward(B& be, Input<T, 3, B> u, Input<T, 1, B> weights, View<T, 3, B> y) {
    check("hierarchical_causal", u.extents(), weights);
    M2_REQUIRE(y.extents() == u.extents(), "hierarchical_causal: u is ", u.extents(), ", y is ", y.extents());
    if (u.size() == 0) return;
    fill(be, T{0}, y);
    for_each_level([&](auto level) { add_level<level()>(be, u, weights, y); });
  }
  void forward(B& be, Input<T, 2, B> u, Input<T, 1, B> weights, View<T, 2, B> y) {
    forward(be, as_sequence(u), weights, as_sequence(y));
  }

  /// The gradients of forward, from its inputs and dy: du = T^T dy. It needs no forward call before.
  ///
  /// Shapes   dy, du like u; dweights like weights
  /// Writes   du (overwritten; must not overlap u or dy), dweights (accumulated)
  /// Errors   m2::Error if a shape does not fit
  /// Cost     three times the flops of forward and those of its dense factors, which are computed again
  void backward(B& be, Input<T, 3, B> u, Input<T, 1, B> weights, Input<T, 3, B> dy, View<T, 3, B> du,
                View<T, 1, B> dweights) {
    check("hierarchical_causal_vjp", u.extents(), weights);
    M2_REQUIRE(dy.extents() == u.extents() && du.extents() == u.extents(), "hierarchical_causal_vjp: u is ",
               u.extents(), ", dy is ", dy.extents(), ", du is ", du.extents());
    M2_REQUIRE(dweights.extents() == weights.extents() && dweights.is_contiguous(),
               "hierarchical_causal_vjp: ", weights.extent(0), " weights, their gradient is ", dweights.extents());
    if (u.size() == 0) return;
    fill(be, T{0}, du);
    for_each_level([&](auto level) { add_level_vjp<level()>(be, u, weights, dy, du, dweights); });
  }
  void backward(B& be, Input<T, 2, B> u, Input<T, 1, B> weights, Input<T, 2, B> dy, View<T, 2, B> du,
                View<T, 1, B> dweights) {
    backward(be, as_sequence(u), weights, as_sequence(dy), as_sequence(du), dweights);
  }

  /// T as a dense array.  // (length, length)
  static Tensor<T, 2, B> to_dense(B& be, const Shape& shape, Input<T, 1, B> weights) {
    const Index n = shape.length();
    HierarchicalCausal plan(be, shape, n);
    return detail::dense_form<T>(be, n, n,
                                 [&](View<const T, 2, B> x, View<T, 2, B> y) { plan.forward(be, x, weights, y); });
  }

 private:
  using Level = typename Shape::Level;

  /// Rows of triangles that are there in full: `groups` of them from `group` on, for the first `contexts` values of the
  /// lower digits, `positions` of each group.
  struct Part {
    Index group, groups, positions, contexts;
    detail::RowRange rows;
  };

  template <class F>
  static void for_each_level(F&& f) {
    [&]<int... L>(std::integer_sequence<int, L...>) { (f(std::integral_constant<int, L>{}), ...); }
    (std::make_integer_sequence<int, Order>{});
  }

  /// Calls f(group, groups, positions of each) for the groups of a level that `length` positions fill, and for the one
  /// that they fill in part.
  template <class F>
  static void for_groups(const Level& level, Index length, F&& f) {
    const Index span = level.radix * level.weight, whole = length / span;
    if (whole > 0) f(Index{0}, whole, span);
    if (whole * span < length) f(whole, Index{1}, length - whole * span);
  }

  /// Calls f(part): for a group that ends in a row, one part is that row.
  template <class F>
  static void for_parts(const Level& level, Index group, Index groups, Index positions, F&& f) {
    const Index rows = positions / level.weight, rest = positions - rows * level.weight;
    if (rows > 0) f(Part{group, groups, positions, level.weight, {0, rows}});
    if (rest > 0) f(Part{group, groups, positions, rest, {rows, rows + 1}});
  }

  /// x, which holds `positions` positions of each group, as (groups, contexts, digit, channels) of a part.
  template <class U>
  static View<U, 4, B> digits(const Level& level, const Part& part, Index positions, View<U, 2, B> x) {
    const Index step = x.stride(0), rows = detail::ceil_divide(positions, level.weight);
    return {x.data(),
            {part.groups, part.contexts, std::min(rows, part.rows.end), x.extent(1)},
            {positions * step, step, level.weight * step, x.stride(1)}};
  }
  /// The blocks of a part in the memory of a level's triangles.
  template <class U>
  static View<U, 4, B> blocks(const Level& level, const Part& part, U* triangles) {
    const Index n = level.radix;
    return {triangles + part.group * level.weight * n * n,
            {part.groups, part.contexts, n, n},
            {level.weight * n * n, n * n, n, 1}};
  }

  /// The dense factors of level L, for the first `values` values of its digit in each of some groups.
  template <int L, class U>
  MonarchView<L, U, B> dense(Index group, Index groups, Index values, View<U, 1, B> weights) const {
    const Level& level = shape_.level(L);
    MonarchView<L, U, B> m{shape_.template dense<L>(groups * values), {}};
    for (int f = 0; f < L; ++f) {
      const Index of_group = (level.radix - 1) * level.weight * m.shape.factor(f).in;
      m.factors[static_cast<std::size_t>(f)] =
          weights.data() + level.factors[static_cast<std::size_t>(f)] + group * of_group;
    }
    return m;
  }

  /// The first `inputs` of every `positions` positions of x, without a copy where they are one run.
  template <class U>
  static View<U, 3, B> first_inputs(View<U, 2, B> x, Index groups, Index positions, Index inputs) {
    return x.slice(0, 0, groups * positions).split(0, positions).slice(1, 0, inputs);
  }

  static constexpr detail::Diagonal diagonal_of(int level) {
    return level == 0 ? detail::Diagonal::included : detail::Diagonal::excluded;
  }
  template <class U>
  static View<U, 2, B> triangles_of(const Level& level, View<U, 1, B> weights) {
    return {weights.data() + level.triangles, {level.groups * level.weight, level.triangle}};
  }
  template <int L>
  void unpack(B& be, View<const T, 1, B> weights) {
    const Level& level = shape_.level(L);
    detail::unpack_triangles<T, B>(be, 1, level.radix, diagonal_of(L), triangles_of(level, weights), triangles_.data());
  }

  template <int L>
  void add_level(B& be, View<const T, 3, B> u, View<const T, 1, B> weights, View<T, 3, B> y) {
    const Level& level = shape_.level(L);
    constexpr auto diagonal = diagonal_of(L);
    unpack<L>(be, weights);
    for (Index sample = 0; sample < u.extent(0); ++sample)
      for_groups(level, u.extent(1), [&](Index group, Index groups, Index positions) {
        const View<const T, 2, B> x = from_group(level, group, u.select(0, sample));
        const View<T, 2, B> out = from_group(level, group, y.select(0, sample));
        const Index values = L == 0 ? positions : (positions - 1) / level.weight, inputs = values * level.weight;
        if (inputs == 0) return;
        const View<const T, 2, B> z = transformed<L>(be, group, groups, positions, values, x, weights);
        for_parts(level, group, groups, positions, [&](const Part& part) {
          detail::add_triangle_product<T, B>(be, part.rows, diagonal, blocks<const T>(level, part, triangles_.data()),
                                             digits(level, part, inputs, z), digits(level, part, positions, out));
        });
      });
  }

  template <int L>
  void add_level_vjp(B& be, View<const T, 3, B> u, View<const T, 1, B> weights, View<const T, 3, B> dy,
                     View<T, 3, B> du, View<T, 1, B> dweights) {
    const Level& level = shape_.level(L);
    constexpr auto diagonal = diagonal_of(L);
    unpack<L>(be, weights);
    fill(be, T{0}, dtriangles_.view());
    for (Index sample = 0; sample < u.extent(0); ++sample)
      for_groups(level, u.extent(1), [&](Index group, Index groups, Index positions) {
        const View<const T, 2, B> x = from_group(level, group, u.select(0, sample));
        const View<const T, 2, B> dout = from_group(level, group, dy.select(0, sample));
        const View<T, 2, B> dx = from_group(level, group, du.select(0, sample));
        const Index values = L == 0 ? positions : (positions - 1) / level.weight, inputs = values * level.weight;
        if (inputs == 0) return;
        const View<const T, 2, B> z = transformed<L>(be, group, groups, positions, values, x, weights);
        const View<T, 2, B> dz = L == 0 ? dx : scratch(dz_, groups * inputs, x.extent(1));
        if (L > 0) fill(be, T{0}, dz);
        for_parts(level, group, groups, positions, [&](const Part& part) {
          detail::add_triangle_product_vjp<T, B>(
              be, part.rows, diagonal, blocks<const T>(level, part, triangles_.data()), digits(level, part, inputs, z),
              digits(level, part, positions, dout), digits(level, part, inputs, dz),
              blocks<T>(level, part, dtriangles_.data()));
        });
        if constexpr (L > 0) {
          const View<const T, 2, B> in = gathered(x, groups, inputs);
          const View<T, 2, B> din = scratch(z_, groups * inputs, x.extent(1));  // z has been read
          monarch_multiply_vjp(be, dense<L>(group, groups, values, weights), columns(in), columns(dz), columns(din),
                               dense<L>(group, groups, values, dweights));
          accumulate(be, din.split(0, inputs), first_inputs(dx, groups, positions, inputs));
        }
      });
    detail::accumulate_triangles<T, B>(be, 1, level.radix, diagonal, dtriangles_.data(), triangles_of(level, dweights));
  }

  /// What the triangles of some groups read: x after the dense factors; x itself at level 0.
  template <int L>
  View<const T, 2, B> transformed(B& be, Index group, Index groups, Index positions, Index values,
                                  View<const T, 2, B> x, View<const T, 1, B> weights) {
    if constexpr (L == 0) {
      return x;
    } else {
      const Index inputs = values * shape_.level(L).weight;
      if (groups > 1)
        copy(be, first_inputs(x, groups, positions, inputs),
             scratch(in_, groups * inputs, x.extent(1)).split(0, inputs));
      const View<T, 2, B> z = scratch(z_, groups * inputs, x.extent(1));
      monarch_multiply(be, dense<L>(group, groups, values, weights), columns(gathered(x, groups, inputs)), columns(z));
      return z;
    }
  }
  /// The inputs of the dense factors as one run of positions: those of several groups have been copied.
  View<const T, 2, B> gathered(View<const T, 2, B> x, Index groups, Index inputs) {
    if (groups > 1) return scratch(in_, groups * inputs, x.extent(1));
    return x.slice(0, 0, inputs);
  }
  template <class U>
  static View<U, 2, B> from_group(const Level& level, Index group, View<U, 2, B> x) {
    const Index begin = group * level.radix * level.weight;
    return x.slice(0, begin, x.extent(0) - begin);
  }
  static View<T, 2, B> scratch(Tensor<T, 2, B>& memory, Index positions, Index channels) {
    return {memory.data(), {positions, channels}};
  }
  /// Positions of one sample as features, its channels as the batch: the batch-contiguous layout.
  template <class U>
  static View<U, 2, B> columns(View<U, 2, B> x) {
    return x.transpose(0, 1);
  }
  template <class U>
  static View<U, 3, B> as_sequence(View<U, 2, B> x) {
    return {x.data(), {1, x.extent(1), x.extent(0)}, {0, x.stride(1), x.stride(0)}};
  }

  void check(const char* op, const Extents<3>& u, View<const T, 1, B> weights) const {
    M2_REQUIRE(u[1] <= shape_.length() && u[2] <= channels_, op, ": u is ", u,
               ", the plan is for (batch, <= ", shape_.length(), ", <= ", channels_, ")");
    M2_REQUIRE(weights.extent(0) == shape_.parameter_count() && weights.is_contiguous(), op, ": ", weights.extent(0),
               " weights with stride ", weights.stride(0), ", ", shape_.parameter_count(),
               " contiguous ones are needed");
  }

  Shape shape_;
  Index channels_ = 0;
  Tensor<T, 1, B> triangles_, dtriangles_;  // of one level, as square blocks
  Tensor<T, 2, B> in_, z_, dz_;             // of the groups at work: input and output of the dense factors
};

}  // namespace m2
