#pragma once

#include <array>
#include <sstream>
#include <stdexcept>
#include <string>

#include "m2/core/index.hpp"

namespace m2 {

/// What every check in m2 throws. The message is one sentence: the operation, then what it was given and what it needs.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

template <std::size_t N>
std::ostream& print(std::ostream& out, const std::array<Index, N>& extents) {
  out << '(';
  for (std::size_t d = 0; d < N; ++d) out << (d == 0 ? "" : ", ") << extents[d];
  return out << ')';
}

template <class T>
std::ostream& print(std::ostream& out, const T& value) {
  return out << value;
}

/// Joins its arguments into one string; arrays of extents print as "(2, 3)".
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (print(out, parts), ...);
  return out.str();
}

}  // namespace detail
}  // namespace m2

/// Throws m2::Error made of the remaining arguments when the condition is false. Shapes are checked in every build.
#define M2_REQUIRE(condition, ...)                                          \
  do {                                                                      \
    if (!(condition)) throw ::m2::Error(::m2::detail::concat(__VA_ARGS__)); \
  } while (false)
