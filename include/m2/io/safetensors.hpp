#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "m2/io/atomic_file.hpp"
#include "m2/io/input_file.hpp"
#include "m2/io/safetensors_header.hpp"

/// The safetensors format: 8 bytes with the length of the header (little-endian), a JSON header with names, types,
/// shapes and offsets, the raw little-endian arrays.
///
/// Source   https://github.com/huggingface/safetensors (format description and the checks of its reader)
namespace m2 {

static_assert(std::endian::native == std::endian::little,
              "m2: safetensors are read and written on little-endian machines.");

/// Headers above this are refused, as other readers do.
inline constexpr std::uint64_t largest_safetensors_header = 100'000'000;

/// A safetensors file open for reading. Opening it reads and checks the header only; arrays are read on demand.
/// Nothing in the file is trusted: no size in it leads to an allocation or a read beyond the size of the file itself.
class SafetensorsFile {
 public:
  /// kind     what errors call the file
  /// Errors   m2::Error if the file cannot be read or is not a well-formed safetensors file
  static SafetensorsFile open(const std::string& path, std::string_view kind = "safetensors file") {
    return SafetensorsFile(path, kind);
  }

  /// The arrays, in the order of their data.
  const std::vector<TensorEntry>& entries() const { return header_.entries; }
  const Metadata& metadata() const { return header_.metadata; }
  /// What errors about this file begin with.
  const std::string& name() const { return file_.name(); }

  /// The array of this name, null when there is none.
  const TensorEntry* find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &header_.entries[found->second];
  }
  /// Errors   m2::Error if there is none
  const TensorEntry& entry(const std::string& name) const {
    const TensorEntry* const found = find(name);
    M2_REQUIRE(found != nullptr, file_.name(), ": there is no tensor ", detail::printable(name));
    return *found;
  }

  /// Reads an array, the last dimension fastest.
  ///
  /// Errors   m2::Error if there is no such array, it has another type, or `out` is not its size
  template <class T>
  void read(const std::string& name, std::span<T> out) const {
    const TensorEntry& found = entry(name);
    M2_REQUIRE(found.type == data_type<T>(), file_.name(), ": tensor ", detail::printable(name), " is ",
               data_type_name(found.type), ", ", data_type_name(data_type<T>()), " is asked for");
    if constexpr (std::is_same_v<T, bool>) {
      std::vector<std::byte> bytes(out.size());
      read_bytes(name, bytes);
      for (std::size_t i = 0; i < out.size(); ++i) {
        M2_REQUIRE(bytes[i] <= std::byte{1}, file_.name(), ": tensor ", detail::printable(name),
                   " has a BOOL of value ", static_cast<int>(bytes[i]));
        out[i] = bytes[i] == std::byte{1};
      }
    } else {
      read_bytes(name, std::as_writable_bytes(out));
    }
  }

  /// Reads an array of any type as it is in the file.
  void read_bytes(const std::string& name, std::span<std::byte> out) const {
    const TensorEntry& found = entry(name);
    M2_REQUIRE(out.size() == found.end - found.begin, file_.name(), ": tensor ", detail::printable(name), " ",
               shape_text(found.shape), " has ", found.end - found.begin, " bytes, there is room for ", out.size());
    file_.read_at(data_ + found.begin, out);
  }

 private:
  SafetensorsFile(const std::string& path, std::string_view kind) : file_(kind, path) {
    M2_REQUIRE(file_.size() >= 8, file_.name(), ": it is no safetensors file, it has ", file_.size(), " bytes");
    std::array<std::byte, 8> length_bytes{};
    file_.read_at(0, length_bytes);
    const auto length = std::bit_cast<std::uint64_t>(length_bytes);
    M2_REQUIRE(length <= largest_safetensors_header && length <= file_.size() - 8, file_.name(),
               ": it is no safetensors file or cut off, its header would have ", length, " bytes and the file has ",
               file_.size());
    std::string text(static_cast<std::size_t>(length), '\0');
    file_.read_at(8, std::as_writable_bytes(std::span(text)));
    data_ = 8 + length;
    header_ = parse_safetensors_header(text, file_.size() - data_, file_.name());
    for (std::size_t i = 0; i < header_.entries.size(); ++i) index_.emplace(header_.entries[i].name, i);
  }

  InputFile file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string, std::size_t> index_;
  std::uint64_t data_ = 0;
};

/// Writes a safetensors file, complete or not at all: first declare every array, then write each once, in any order,
/// then commit. Only one array needs to be in memory at a time.
class SafetensorsWriter {
 public:
  /// Errors   m2::Error if no file can be made there
  explicit SafetensorsWriter(const std::string& path, Metadata metadata = {},
                             std::string_view kind = "safetensors file")
      : name_(detail::concat({kind, ' ', path})), file_(path) {
    header_.metadata = std::move(metadata);
  }

  /// Errors   m2::Error if the name is taken or reserved, or the shape is too large
  void declare(const std::string& name, DataType type, const std::vector<Index>& shape) {
    M2_REQUIRE(data_ == 0, name_, ": tensor ", detail::printable(name), " is declared after the first write");
    M2_REQUIRE(name != "__metadata__", name_, ": a tensor cannot be called __metadata__");
    M2_REQUIRE(byte_count(type, shape), name_, ": tensor ", detail::printable(name), " of shape ", shape_text(shape),
               " is impossible");
    M2_REQUIRE(index_.emplace(name, index_.size()).second, name_, ": tensor ", detail::printable(name),
               " is declared twice");
    header_.entries.push_back({name, type, shape, 0, 0});
  }
  template <class T>
  void declare(const std::string& name, const std::vector<Index>& shape) {
    declare(name, data_type<T>(), shape);
  }

  /// Errors   m2::Error if there is no such declaration, it has another type or size, or it is already written
  template <class T>
  void write(const std::string& name, std::span<const T> values) {
    const auto found = index_.find(name);
    M2_REQUIRE(found == index_.end() || header_entry(found->second).type == data_type<T>(), name_, ": tensor ",
               detail::printable(name), " is declared with another type than it is written with");
    write_bytes(name, std::as_bytes(values));
  }

  /// Writes an array of any type as it shall be in the file.
  void write_bytes(const std::string& name, std::span<const std::byte> bytes) {
    if (data_ == 0) begin_data();
    const auto found = index_.find(name);
    M2_REQUIRE(found != index_.end(), name_, ": tensor ", detail::printable(name), " is not declared");
    const TensorEntry& entry = header_entry(found->second);
    M2_REQUIRE(bytes.size() == entry.end - entry.begin, name_, ": tensor ", detail::printable(name), " ",
               shape_text(entry.shape), " has ", entry.end - entry.begin, " bytes, ", bytes.size(), " are written");
    M2_REQUIRE(!written_[found->second], name_, ": tensor ", detail::printable(name), " is written twice");
    written_[found->second] = true;
    file_.write_at(data_ + entry.begin, bytes);
  }

  /// Makes the file appear.
  ///
  /// Errors   m2::Error if an array is declared but not written, or the disk is full or fails
  void commit() {
    if (data_ == 0) begin_data();
    for (std::size_t i = 0; i < written_.size(); ++i)
      M2_REQUIRE(written_[i], name_, ": tensor ", detail::printable(header_entry(i).name), " was not written");
    file_.commit();
  }

 private:
  const TensorEntry& header_entry(std::size_t declared) const { return header_.entries[declared]; }

  /// Gives each array its place, wide elements first: then all are aligned, which readers that map the file rely on.
  void begin_data() {
    std::uint64_t end = 0;
    for (const Index width : {8, 4, 2, 1})
      for (TensorEntry& entry : header_.entries) {
        if (data_type_bytes(entry.type) != width) continue;
        const std::uint64_t bytes = byte_count(entry.type, entry.shape).value();
        M2_REQUIRE(bytes < (std::uint64_t{1} << 62) - end, name_, ": the tensors are too large together");
        entry.begin = end;
        end = entry.end = end + bytes;
      }
    const std::string text = format_safetensors_header(header_, name_);
    M2_REQUIRE(text.size() <= largest_safetensors_header, name_, ": the header of ", text.size(),
               " bytes is too large");
    const auto length = std::bit_cast<std::array<std::byte, 8>>(std::uint64_t{text.size()});
    file_.write_at(0, length);
    file_.write_at(8, std::as_bytes(std::span(text)));
    data_ = 8 + text.size();
    written_.assign(header_.entries.size(), false);
  }

  std::string name_;
  AtomicFile file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<bool> written_;
  std::uint64_t data_ = 0;
};

}  // namespace m2
