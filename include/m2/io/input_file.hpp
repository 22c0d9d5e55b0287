#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "m2/core/error.hpp"

namespace m2 {

/// A regular file open for reading at any place. Errors are sentences that begin with what the file is for: "text file
/// x: ...".
class InputFile {
 public:
  /// Errors   m2::Error if there is no such file, it is a folder or another thing that is no file, or it cannot be read
  InputFile(std::string_view kind, const std::string& path) : name_(std::string(kind) + " " + path) {
    // O_NONBLOCK: opening a pipe must report that it is no file, not wait for a writer
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const int error = errno;
    M2_REQUIRE(descriptor_ >= 0 || error != ENOENT, name_, ": there is no such file");
    M2_REQUIRE(descriptor_ >= 0, name_, ": it cannot be read (", std::strerror(error), ")");
    struct stat status {};
    const bool known = ::fstat(descriptor_, &status) == 0;
    const char* problem = nullptr;
    if (!known)
      problem = ": it cannot be read";
    else if (S_ISDIR(status.st_mode))
      problem = ": it is a folder, not a file";
    else if (!S_ISREG(status.st_mode))
      problem = ": it is not a regular file";
    if (problem != nullptr) {
      close();
      throw Error(name_ + problem);
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  InputFile(InputFile&& other) noexcept
      : name_(std::move(other.name_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}
  InputFile& operator=(InputFile&& other) noexcept {
    std::swap(name_, other.name_), std::swap(descriptor_, other.descriptor_), std::swap(size_, other.size_);
    return *this;
  }
  ~InputFile() { close(); }

  /// Kind and path, as errors begin.
  const std::string& name() const { return name_; }
  /// Bytes in the file when it was opened.
  std::uint64_t size() const { return size_; }

  /// Fills `out` with the bytes from `offset` on.
  ///
  /// Errors   m2::Error if the file ends before, or on an input error
  void read_at(std::uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      M2_REQUIRE(got >= 0, name_, ": it cannot be read (", std::strerror(errno), ")");
      M2_REQUIRE(got > 0, name_, ": it ends at byte ", offset, ", ", out.size(), " bytes more are needed");
      out = out.subspan(static_cast<std::size_t>(got));
      offset += static_cast<std::uint64_t>(got);
    }
  }

 private:
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace m2
