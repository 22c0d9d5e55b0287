#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "m2/core/error.hpp"

namespace m2 {

/// The element types of safetensors files that m2 reads and writes.
enum class DataType { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL };

namespace detail {

struct DataTypeInfo {
  DataType type;
  std::string_view name;
  Index bytes;
};
inline constexpr std::array<DataTypeInfo, 13> data_types = {{{DataType::F64, "F64", 8},
                                                             {DataType::F32, "F32", 4},
                                                             {DataType::F16, "F16", 2},
                                                             {DataType::BF16, "BF16", 2},
                                                             {DataType::I64, "I64", 8},
                                                             {DataType::I32, "I32", 4},
                                                             {DataType::I16, "I16", 2},
                                                             {DataType::I8, "I8", 1},
                                                             {DataType::U64, "U64", 8},
                                                             {DataType::U32, "U32", 4},
                                                             {DataType::U16, "U16", 2},
                                                             {DataType::U8, "U8", 1},
                                                             {DataType::BOOL, "BOOL", 1}}};

}  // namespace detail

/// The name in the file: "F32".
inline std::string_view data_type_name(DataType type) {
  return detail::data_types[static_cast<std::size_t>(type)].name;
}
/// Bytes of one element.
inline Index data_type_bytes(DataType type) { return detail::data_types[static_cast<std::size_t>(type)].bytes; }

/// The type of this name, nothing when it is unknown.
inline std::optional<DataType> data_type_of_name(std::string_view name) {
  for (const auto& info : detail::data_types)
    if (info.name == name) return info.type;
  return std::nullopt;
}

/// The DataType that stores a C++ type. F16 and BF16 have none: they are read and written as bytes.
template <class T>
constexpr DataType data_type() {
  if constexpr (std::is_same_v<T, bool>)
    return DataType::BOOL;
  else if constexpr (std::is_same_v<T, double>)
    return DataType::F64;
  else if constexpr (std::is_same_v<T, float>)
    return DataType::F32;
  else {
    static_assert(std::is_integral_v<T>, "m2: safetensors elements are float, double, bool or integers.");
    constexpr bool is_signed = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 8)
      return is_signed ? DataType::I64 : DataType::U64;
    else if constexpr (sizeof(T) == 4)
      return is_signed ? DataType::I32 : DataType::U32;
    else if constexpr (sizeof(T) == 2)
      return is_signed ? DataType::I16 : DataType::U16;
    else
      return is_signed ? DataType::I8 : DataType::U8;
  }
}

/// A shape as it is written in errors: "(2, 3)"; "()" is a single number.
inline std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "(";
  for (std::size_t d = 0; d < shape.size(); ++d) text += (d == 0 ? "" : ", ") + std::to_string(shape[d]);
  return text + ")";
}

/// Bytes of an array, nothing when the number does not fit or an extent is negative.
inline std::optional<std::uint64_t> byte_count(DataType type, const std::vector<Index>& shape) {
  bool empty = false;
  for (const Index extent : shape) {
    if (extent < 0) return std::nullopt;
    empty = empty || extent == 0;
  }
  if (empty) return 0;
  constexpr std::uint64_t limit = std::uint64_t{1} << 62;
  auto count = static_cast<std::uint64_t>(data_type_bytes(type));
  for (const Index extent : shape) {
    if (static_cast<std::uint64_t>(extent) > limit / count) return std::nullopt;
    count *= static_cast<std::uint64_t>(extent);
  }
  return count;
}

}  // namespace m2
