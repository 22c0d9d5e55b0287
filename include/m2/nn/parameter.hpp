#pragma once

#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "m2/backend/concept.hpp"
#include "m2/ops/random.hpp"

namespace m2 {

/// What the optimizer should know of a parameter.
struct ParameterOptions {
  bool weight_decay = true;          ///< false for biases, norms and frequencies
  double learning_rate_scale = 1.0;  ///< times the schedule's learning rate
  bool random_start = true;          ///< false: takes no random sequence; the others start as they would without it
};

/// How a parameter starts: fills host memory from a random sequence of its own.
template <Scalar T>
using Initializer = std::function<void(std::span<T>, Rng&)>;

template <Scalar T>
Initializer<T> constant(double value) {
  return [value](std::span<T> out, Rng&) {
    for (T& x : out) x = static_cast<T>(value);
  };
}

/// Uniform in [-bound, bound).
template <Scalar T>
Initializer<T> uniform(double bound) {
  return [bound](std::span<T> out, Rng& rng) {
    for (T& x : out) x = rng.uniform(static_cast<T>(-bound), static_cast<T>(bound));
  };
}

/// Normal with mean 0.
template <Scalar T>
Initializer<T> normal(double deviation) {
  return [deviation](std::span<T> out, Rng& rng) {
    for (T& x : out) x = rng.normal(T{0}, static_cast<T>(deviation));
  };
}

/// A named, trainable array of a module. It owns nothing: a ParameterStore gives it memory for value and gradient.
template <Scalar T, class B>
class Parameter {
 public:
  Parameter() = default;
  Parameter(std::vector<Index> shape, Initializer<T> initializer, ParameterOptions options = {})
      : shape_(std::move(shape)), initializer_(std::move(initializer)), options_(options) {
    for (const Index extent : shape_) {
      M2_REQUIRE(extent >= 1, "parameter: an extent is ", extent, ", at least 1 is needed");
      M2_REQUIRE(extent <= largest_size / size_, "parameter: ", size_, " x ", extent, " numbers are too many");
      size_ *= extent;
    }
  }

  const std::vector<Index>& shape() const { return shape_; }
  Index size() const { return size_; }
  const ParameterOptions& options() const { return options_; }
  const Initializer<T>& initializer() const { return initializer_; }
  bool bound() const { return value_ != nullptr; }

  /// The value as an array of the given rank, which must be the rank it was declared with.
  template <int Rank>
  View<const T, Rank, B> value() const {
    return {checked(value_), extents<Rank>()};
  }
  template <int Rank>
  View<T, Rank, B> mutable_value() {
    return {checked(value_), extents<Rank>()};
  }
  template <int Rank>
  View<T, Rank, B> gradient() const {
    return {checked(gradient_), extents<Rank>()};
  }
  View<T, 1, B> flat_value() const { return {checked(value_), {size_}}; }
  View<T, 1, B> flat_gradient() const { return {checked(gradient_), {size_}}; }

  void bind(T* value, T* gradient) { value_ = value, gradient_ = gradient; }

 private:
  template <int Rank>
  Extents<Rank> extents() const {
    M2_REQUIRE(shape_.size() == Rank, "parameter: asked for rank ", Rank, " of a parameter of rank ", shape_.size());
    Extents<Rank> result{};
    for (std::size_t d = 0; d < shape_.size(); ++d) result[d] = shape_[d];
    return result;
  }
  T* checked(T* pointer) const {
    M2_REQUIRE(pointer != nullptr, "parameter: it has no memory yet; make a ParameterStore of the module first");
    return pointer;
  }

  static constexpr Index largest_size = Index{1} << 48;  // far above any memory; sums of sizes do not overflow

  std::vector<Index> shape_;
  Initializer<T> initializer_;
  ParameterOptions options_;
  Index size_ = 1;
  T* value_ = nullptr;
  T* gradient_ = nullptr;
};

/// Random bits that a module draws during training (dropout). Masks are a pure function of (key, element), so that the
/// backward pass and a resumed run see the same ones.
struct RandomSite {
  bool training = false;
  std::uint64_t key = 0;
};

namespace detail {

/// Stands for any visitor in a concept (nvcc 13 finds no lambda callable there).
struct VisitProbe {
  template <class Member>
  void operator()(const std::string&, Member&) const {}
};

}  // namespace detail

/// Modules call visitor(name, member) for each parameter, child module and random site; names join with dots. A visitor
/// that takes (name, Parameter&) sees parameters; one that takes (name, RandomSite&) sees random sites; children are
/// entered.
template <class Visitor, class Member>
void visit_member(Visitor& visitor, const std::string& prefix, const std::string& name, Member& member) {
  const std::string full = prefix.empty() ? name : (name.empty() ? prefix : prefix + '.' + name);
  if constexpr (requires { visitor(full, member); }) {
    visitor(full, member);
  } else if constexpr (requires { member.visit(detail::VisitProbe{}); }) {
    member.visit([&](const std::string& child_name, auto& child) { visit_member(visitor, full, child_name, child); });
  }
}

/// Calls f(name, parameter) for every parameter of a module, in declaration order.
template <Scalar T, class B, class M, class F>
void for_each_parameter(M& module, F&& f) {
  auto visitor = [&](const std::string& name, Parameter<T, B>& parameter) { f(name, parameter); };
  visit_member(visitor, "", "", module);
}

/// One flat array for the values and one for the gradients of all parameters of a module, bound on construction.
/// The store must outlive every use of the module; parameter i of those with a random start draws from stream i of the
/// seed.
template <Scalar T, class B>
class ParameterStore {
 public:
  template <class M>
  ParameterStore(B& be, M& module, std::uint64_t seed) {
    for_each_parameter<T, B>(module, [&](const std::string& name, Parameter<T, B>& parameter) {
      entries_.push_back({name, offset_, parameter.size(), parameter.shape(), parameter.options()});
      offset_ = detail::checked_sum("parameter store", offset_, padded(parameter.size()));
    });
    values_ = Tensor<T, 1, B>(be, {offset_});
    gradients_ = Tensor<T, 1, B>(be, {offset_});
    std::size_t i = 0;
    std::uint64_t stream = 0;
    std::vector<T> host;
    for_each_parameter<T, B>(module, [&](const std::string&, Parameter<T, B>& parameter) {
      const Entry& entry = entries_[i++];
      parameter.bind(values_.data() + entry.offset, gradients_.data() + entry.offset);
      Rng rng = Rng(seed).split(stream);
      if (entry.options.random_start) ++stream;
      host.assign(static_cast<std::size_t>(entry.size), T{});
      parameter.initializer()(std::span<T>(host), rng);
      be.upload(host.data(), parameter.flat_value().data(), entry.size);
    });
    be.synchronize();
  }

  struct Entry {
    std::string name;
    Index offset;  ///< first element in values() and gradients()
    Index size;
    std::vector<Index> shape;
    ParameterOptions options;
  };

  const std::vector<Entry>& entries() const { return entries_; }
  View<T, 1, B> values() { return values_.view(); }
  View<T, 1, B> gradients() { return gradients_.view(); }
  /// The number of trainable numbers, without the gaps that align each parameter to 64 bytes.
  Index parameter_count() const {
    Index count = 0;
    for (const Entry& entry : entries_) count += entry.size;
    return count;
  }
  void zero_gradients(B& be) {
    T* gradients = gradients_.data();
    be.for_each(offset_, [=] M2_HD(Index i) { gradients[i] = T{0}; });
  }

 private:
  static Index padded(Index size) {
    constexpr Index alignment = 64 / static_cast<Index>(sizeof(T));
    return (size + alignment - 1) / alignment * alignment;
  }

  std::vector<Entry> entries_;
  Index offset_ = 0;
  Tensor<T, 1, B> values_, gradients_;
};

}  // namespace m2
