#include "corpus.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <vector>

#include "m2/core/error.hpp"
#include "m2/io/text_file.hpp"

namespace gpt {

namespace {

namespace fs = std::filesystem;

bool is_source(const fs::path& path) {
  constexpr std::array endings{".hpp", ".cpp", ".cmake", ".md", ".txt"};
  return std::find(endings.begin(), endings.end(), path.extension()) != endings.end();
}

std::string own_sources() {
  const fs::path root = M2_SOURCE_DIR;
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root, error))
    if (entry.is_regular_file(error) && is_source(entry.path())) files.push_back(entry.path());
  for (const char* folder : {"include", "tests", "bench", "examples", "cmake"}) {
    for (fs::recursive_directory_iterator it(root / folder, error), end; !error && it != end; it.increment(error))
      if (it->is_regular_file(error) && is_source(it->path())) files.push_back(it->path());
  }
  M2_REQUIRE(!files.empty(), "no --data was given, and the sources of m2 are not in ", root.string(), " any more");
  std::sort(files.begin(), files.end());
  std::string text;
  for (const fs::path& file : files)
    if (fs::file_size(file, error) > 0 && !error) text += m2::read_text_file(file.string()) + '\n';
  return text;
}

}  // namespace

std::string read_corpus(const std::string& path) { return path.empty() ? own_sources() : m2::read_text_file(path); }

std::uint64_t fingerprint(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a, 64 bits
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

}  // namespace gpt
