#pragma once

#include <cstdint>
#include <string>

namespace gpt {

/// The text of a UTF-8 file; with an empty path, the sources and documents of m2 itself, one after the other.
///
/// Errors   m2::Error if there is no such file, it is empty or no UTF-8
std::string read_corpus(const std::string& path);

/// A number that changes when the text changes.
std::uint64_t fingerprint(const std::string& text);

}  // namespace gpt
