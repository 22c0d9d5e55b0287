#pragma once

#include <algorithm>
#include <vector>

#include "m2/backend/concept.hpp"

namespace m2::test {

/// The smallest backend there can be: plain loops on the host. Tests run every op on it beside Cpu, and nvcc compiles
/// every op for it, so that no op depends on anything outside the Backend concept.
class Serial {
 public:
  template <class T>
  class Buffer {
   public:
    Buffer() = default;
    explicit Buffer(Index n) : elements_(static_cast<std::size_t>(n)) {}
    T* data() { return elements_.data(); }
    const T* data() const { return elements_.data(); }

   private:
    std::vector<T> elements_;
  };

  struct Team {
    Index width;
    template <class F>
    M2_HD void each(F f) const {
      for (Index j = 0; j < width; ++j) f(j);
    }
    template <class F>
    M2_HD auto sum(F f) const {
      decltype(f(Index{})) total = 0;
      for (Index j = 0; j < width; ++j) total += f(j);
      return total;
    }
    template <class F>
    M2_HD auto max(F f) const {
      auto best = f(Index{0});
      for (Index j = 1; j < width; ++j) best = f(j) > best ? f(j) : best;
      return best;
    }
  };

  template <class T>
  Buffer<T> allocate(Index n) const {
    m2::detail::checked_bytes("allocate", n, sizeof(T));
    return Buffer<T>(n);
  }
  template <class T>
  void upload(const T* host, T* device, Index n) const {
    std::copy_n(host, n, device);
  }
  template <class T>
  void download(const T* device, T* host, Index n) const {
    std::copy_n(device, n, host);
  }
  void synchronize() const {}

  template <class F>
  void for_each(Index n, F f) const {
    for (Index i = n - 1; i >= 0; --i) f(i);  // backwards: ops must not depend on the order
  }
  template <class F>
  void for_rows(Index rows, Index width, F f) const {
    const Team team{width};
    for (Index row = rows - 1; row >= 0; --row) f(row, team);
  }
  template <class F>
  double sum(Index n, F f) const {
    double total = 0;
    for (Index i = 0; i < n; ++i) total += static_cast<double>(f(i));
    return total;
  }
  template <Element T>
  void gemm(Input<T, 4, Serial> a, Input<T, 4, Serial> b, View<T, 4, Serial> c, bool accumulate) const {
    M2_REQUIRE(a.extent(3) == b.extent(2) && a.extent(2) == c.extent(2) && b.extent(3) == c.extent(3) &&
                   a.extent(0) == c.extent(0) && b.extent(0) == c.extent(0) && a.extent(1) == c.extent(1) &&
                   b.extent(1) == c.extent(1),
               "gemm: a is ", a.extents(), ", b is ", b.extents(), ", c is ", c.extents());
    for (Index g = 0; g < c.extent(0); ++g)
      for (Index h = 0; h < c.extent(1); ++h)
        for (Index i = 0; i < c.extent(2); ++i)
          for (Index j = 0; j < c.extent(3); ++j) {
            WideOf<T> total = accumulate ? element_cast<WideOf<T>>(c(g, h, i, j)) : WideOf<T>(0);
            for (Index k = 0; k < a.extent(3); ++k)
              total += element_cast<WideOf<T>>(a(g, h, i, k)) * element_cast<WideOf<T>>(b(g, h, k, j));
            c(g, h, i, j) = element_cast<T>(total);
          }
  }
  template <Scalar T>
  void scatter_add_rows(View<const std::int32_t, 1, Serial> ids, Input<T, 2, Serial> rows,
                        View<T, 2, Serial> table) const {
    for (Index r = 0; r < rows.extent(0); ++r)
      for (Index j = 0; j < table.extent(1); ++j) table(ids(r), j) += rows(r, j);
  }
};

static_assert(Backend<Serial>);

}  // namespace m2::test
