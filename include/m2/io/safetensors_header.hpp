#pragma once

#if !__has_include(<nlohmann/json.hpp>)
#error "m2/io.hpp needs JSON for Modern C++ (nlohmann/json.hpp): apt-get install nlohmann-json3-dev"
#include <nlohmann-json3-dev is not installed>  // ends the compilation: all further errors would follow from this one
#endif
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "m2/io/data_type.hpp"

namespace m2 {

/// One array in a safetensors file.
struct TensorEntry {
  std::string name;
  DataType type = DataType::F32;
  std::vector<Index> shape;          ///< empty for a single number
  std::uint64_t begin = 0, end = 0;  ///< bytes, counted from the end of the header
};

/// Free text in a safetensors file.
using Metadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  ///< by offset
  Metadata metadata;
};

namespace detail {

/// A name out of a file, fit for a message: no control characters, not endless.
inline std::string printable(std::string_view name) {
  std::string result;
  for (const char c : name.substr(0, 120)) result += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  return name.size() > 120 ? result + "..." : result;
}

/// Reads the JSON of a header as a stream of events that allows exactly the format and builds nothing else, so that
/// what is allocated is bounded by the size of the header, however it is nested. The first problem is kept in
/// `problem`.
class HeaderReader {
 public:
  using json = nlohmann::json;

  SafetensorsHeader header;
  std::string problem;

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("true or false"); }
  bool number_integer(json::number_integer_t) { return refuse("a negative number"); }
  bool number_float(json::number_float_t, const json::string_t&) {
    return refuse("a number that is not whole or too large");
  }
  bool binary(json::binary_t&) { return unexpected("binary data"); }

  bool number_unsigned(json::number_unsigned_t value) {
    if (place_ == Place::offsets) {
      if (offsets_ == 2) return refuse("more than two data_offsets");
      (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
      return true;
    }
    if (place_ != Place::shape) return unexpected("a number");
    if (value > static_cast<std::uint64_t>(std::numeric_limits<Index>::max()))
      return refuse("a shape that is too large");
    entry_.shape.push_back(static_cast<Index>(value));
    return true;
  }

  bool string(json::string_t& value) {
    if (place_ == Place::metadata_value) {
      header.metadata[key_] = std::move(value);
      place_ = Place::metadata;
      return true;
    }
    if (place_ != Place::type) return unexpected("a string");
    const auto type = data_type_of_name(value);
    if (!type) return refuse("the unknown dtype " + printable(value));
    entry_.type = *type;
    place_ = Place::tensor;
    return true;
  }

  bool start_object(std::size_t) {
    if (place_ == Place::begin)
      place_ = Place::top;
    else if (place_ == Place::metadata_begin)
      place_ = Place::metadata;
    else if (place_ == Place::tensor_begin)
      place_ = Place::tensor;
    else
      return unexpected("an object");
    return true;
  }

  bool key(json::string_t& name) {
    if (place_ == Place::top) {
      if (!names_.insert(name).second) return fail("the name " + printable(name) + " is there twice");
      place_ = name == "__metadata__" ? Place::metadata_begin : Place::tensor_begin;
      entry_ = TensorEntry{std::move(name), DataType::F32, {}, 0, 0};
      has_type_ = has_shape_ = has_offsets_ = false;
      offsets_ = 0;
      return true;
    }
    if (place_ == Place::metadata) {
      if (header.metadata.contains(name)) return fail("the metadata key " + printable(name) + " is there twice");
      key_ = std::move(name);
      place_ = Place::metadata_value;
      return true;
    }
    if (name == "dtype") return begin_field(has_type_, Place::type, name);
    if (name == "shape") return begin_field(has_shape_, Place::shape_begin, name);
    if (name == "data_offsets") return begin_field(has_offsets_, Place::offsets_begin, name);
    return refuse("the unknown field " + printable(name));
  }

  bool end_object() {
    if (place_ == Place::metadata) {
      place_ = Place::top;
    } else if (place_ == Place::tensor) {
      if (!has_type_ || !has_shape_ || !has_offsets_) return refuse("no dtype, shape or data_offsets");
      header.entries.push_back(std::move(entry_));
      place_ = Place::top;
    } else {
      place_ = Place::end;
    }
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ == Place::shape_begin)
      place_ = Place::shape;
    else if (place_ == Place::offsets_begin)
      place_ = Place::offsets;
    else
      return unexpected("a list");
    return true;
  }

  bool end_array() {
    if (place_ == Place::offsets && offsets_ != 2) return refuse("fewer than two data_offsets");
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    return fail("the header is not JSON, it goes wrong at its byte " + std::to_string(position));
  }

 private:
  enum class Place {
    begin,
    top,
    end,
    metadata_begin,
    metadata,
    metadata_value,
    tensor_begin,
    tensor,
    type,
    shape_begin,
    shape,
    offsets_begin,
    offsets
  };

  bool begin_field(bool& seen, Place place, const std::string& name) {
    if (std::exchange(seen, true)) return refuse(name + " twice");
    place_ = place;
    return true;
  }
  bool fail(std::string text) {
    problem = std::move(text);
    return false;
  }
  bool refuse(const std::string& what) {
    return place_ == Place::begin || place_ == Place::top || place_ == Place::metadata_begin ||
                   place_ == Place::metadata || place_ == Place::metadata_value
               ? unexpected(what)
               : fail("tensor " + printable(entry_.name) + " has " + what);
  }
  bool unexpected(const std::string& what) {
    switch (place_) {
      case Place::begin:
        return fail("the header is " + what + ", not an object");
      case Place::metadata_begin:
        return fail("__metadata__ is " + what + ", not an object");
      case Place::metadata_value:
        return fail("the metadata of key " + printable(key_) + " is " + what + ", not a string");
      default:
        return fail("tensor " + printable(entry_.name) + " has " + what + " in an unexpected place");
    }
  }

  Place place_ = Place::begin;
  std::unordered_set<std::string> names_;
  std::string key_;
  TensorEntry entry_;
  bool has_type_ = false, has_shape_ = false, has_offsets_ = false;
  int offsets_ = 0;
};

}  // namespace detail

/// Reads and checks the JSON header of a safetensors file: known types, no name twice, every array of the size that its
/// shape says, the arrays covering the data without a gap or an overlap.
///
/// text         the header, without its length
/// data_bytes   bytes behind the header
/// file         what errors begin with
/// Errors       m2::Error for the first thing that is not as above
/// Cost         memory proportional to the header
inline SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                                  const std::string& file) {
  M2_REQUIRE(!text.empty() && text.front() == '{', file,
             ": it is no safetensors file, its header is not a JSON object");
  detail::HeaderReader reader;
  const bool read = nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  M2_REQUIRE(read, file, ": ", reader.problem);

  auto& entries = reader.header.entries;
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end != b.end ? a.end < b.end : a.name < b.name;
  });
  std::uint64_t covered = 0;
  for (const TensorEntry& entry : entries) {
    const auto needed = byte_count(entry.type, entry.shape);
    const auto problem = [&](const auto&... parts) {
      return Error(detail::concat({file, ": tensor ", detail::printable(entry.name), " ", parts...}));
    };
    if (!needed) throw problem("is too large");
    if (entry.begin > entry.end || entry.end > data_bytes)
      throw problem("is said to be in bytes ", entry.begin, " to ", entry.end, " of ", data_bytes);
    if (entry.end - entry.begin != *needed)
      throw problem("of ", needed.value(), " bytes is given ", entry.end - entry.begin);
    if (entry.begin != covered)
      throw problem("begins at byte ", entry.begin, " of the data, where the tensor before ends at ", covered);
    covered = entry.end;
  }
  M2_REQUIRE(covered == data_bytes, file, ": ", data_bytes, " bytes of data are there, ", covered,
             " belong to tensors");
  return std::move(reader.header);
}

/// The JSON header of these arrays and metadata, padded with spaces so that the data behind it and the 8 bytes of its
/// length starts on a multiple of 8.
///
/// Errors   m2::Error if a name is not UTF-8 (`file` begins the message)
inline std::string format_safetensors_header(const SafetensorsHeader& header, const std::string& file) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!header.metadata.empty()) json["__metadata__"] = header.metadata;
  std::string text;
  try {
    for (const TensorEntry& entry : header.entries)
      json[entry.name] = {
          {"dtype", data_type_name(entry.type)}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}};
    text = json.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(file + ": a tensor name or metadata text is not UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace m2
