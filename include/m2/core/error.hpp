#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "m2/core/index.hpp"

namespace m2 {

/// What every check in m2 throws. The message is one sentence: the operation, then what it was given and what it needs.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What is thrown where memory ends: a std::bad_alloc that says how much was asked for.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::size_t bytes) noexcept {
    std::snprintf(message_, sizeof(message_), "allocate: there is no memory for %zu bytes", bytes);
  }
  const char* what() const noexcept override { return message_; }

 private:
  char message_[80];
};

namespace detail {

/// One part of a message: text, a number, extents, or whatever prints itself. How it prints is known to a function
/// alone, so that one function makes all messages, whatever their parts are: checks are everywhere, and code for each
/// combination of parts was an eighth of that of a multiply. Numbers are held by value: a variable whose address
/// a message took would live in memory in the loops around it.
class MessagePart {
 public:
  MessagePart(const char* text) : object_(text), print_(print_text) {}  // NOLINT: implicit, as all parts
  template <class T>
  MessagePart(const T& value) : print_(print_part<T>) {
    if constexpr (by_value<T>) {
      std::memcpy(number_, &value, sizeof(value));
    } else {
      object_ = &value;
    }
  }

  friend std::ostream& operator<<(std::ostream& out, const MessagePart& part) {
    part.print_(out, part);
    return out;
  }

 private:
  template <class T>
  static constexpr bool by_value = std::is_arithmetic_v<T> && sizeof(T) <= sizeof(double);

  static void print_text(std::ostream& out, const MessagePart& part) { out << static_cast<const char*>(part.object_); }

  template <class T>
  static void print_part(std::ostream& out, const MessagePart& part) {
    if constexpr (by_value<T>) {
      T value;
      std::memcpy(&value, part.number_, sizeof(value));
      out << value;
    } else {
      print(out, *static_cast<const T*>(part.object_));
    }
  }

  template <class T>
  static void print(std::ostream& out, const T& value) {
    out << value;
  }
  template <std::size_t N>
  static void print(std::ostream& out, const std::array<Index, N>& extents) {
    out << '(';
    for (std::size_t d = 0; d < N; ++d) out << (d == 0 ? "" : ", ") << extents[d];
    out << ')';
  }

  union {
    const void* object_;
    std::byte number_[sizeof(double)];
  };
  void (*print_)(std::ostream&, const MessagePart&);
};

/// Joins parts into one string; arrays of extents print as "(2, 3)".
M2_COLD inline std::string concat(std::initializer_list<MessagePart> parts) {
  std::ostringstream out;
  for (const MessagePart& part : parts) out << part;
  return out.str();
}

[[noreturn]] M2_COLD inline void throw_error(std::initializer_list<MessagePart> parts) { throw Error(concat(parts)); }

}  // namespace detail
}  // namespace m2

/// Throws m2::Error made of the remaining arguments when the condition is false. Shapes are checked in every build.
/// The list has its type written out for nvcc, which loses a bare one in templates.
#define M2_REQUIRE(condition, ...)                                                                              \
  do {                                                                                                          \
    if (!(condition)) ::m2::detail::throw_error(std::initializer_list<::m2::detail::MessagePart>{__VA_ARGS__}); \
  } while (false)
