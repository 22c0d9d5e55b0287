#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "m2/io/input_file.hpp"

namespace m2 {

/// The offset of the first byte that is not part of well-formed UTF-8, nothing when all are. Overlong forms, surrogates
/// and numbers above U+10FFFF are not well-formed; a sequence that is cut off is reported at its first byte.
///
/// Source   The Unicode Standard 15.0, table 3-7
inline std::optional<std::size_t> invalid_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xC2 && lead <= 0xDF ? 2 : lead >= 0xE0 && lead <= 0xEF ? 3 : 4;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i < length) return i;
    // The second byte's range depends on the first: this is what excludes overlong forms, surrogates and > U+10FFFF.
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(i + 1) < low || byte(i + 1) > high) return i;
    for (std::size_t j = 2; j < length; ++j)
      if (byte(i + j) < 0x80 || byte(i + j) > 0xBF) return i;
    i += length;
  }
  return std::nullopt;
}

/// A whole text file, byte for byte.
///
/// Errors   m2::Error if it is missing, a folder, unreadable, empty, or not UTF-8 (with the offset of the first
///          bad byte)
inline std::string read_text_file(const std::string& path) {
  const InputFile file("text file", path);
  M2_REQUIRE(file.size() > 0, file.name(), ": it is empty");
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  const auto invalid = invalid_utf8(text);
  M2_REQUIRE(!invalid, file.name(), ": it is not UTF-8 text, byte ", *invalid, " is not valid");
  return text;
}

}  // namespace m2
