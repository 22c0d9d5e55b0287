#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "m2/core/error.hpp"

namespace m2 {

/// A file that appears complete or not at all: bytes go to a temporary file in the same folder, commit() brings them to
/// the disk and gives it the real name in one step. Without commit() the temporary file is removed and a file of that
/// name from before stays as it was. A process that is killed leaves at most a file "name.<process>-<number>.tmp".
class AtomicFile {
 public:
  /// Errors   m2::Error if the path is a folder, or no file can be made in its folder
  explicit AtomicFile(const std::string& path) : name_(path), target_(path) {
    std::error_code ignored;
    if (std::filesystem::is_symlink(target_, ignored)) {  // the file behind a link is replaced, not the link
      const std::filesystem::path real = std::filesystem::canonical(target_, ignored);
      if (!ignored) target_ = real;
    }
    M2_REQUIRE(!target_.filename().empty() && !std::filesystem::is_directory(target_, ignored), "file ", name_,
               ": it cannot be written, the name is that of a folder");
    folder_ = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
    static std::atomic<unsigned> serial{0};
    do {
      temporary_ = target_;
      temporary_ += detail::concat({'.', ::getpid(), '-', serial++, ".tmp"});
      descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (descriptor_ < 0 && errno == EEXIST);
    M2_REQUIRE(descriptor_ >= 0, "file ", name_, ": it cannot be written in folder ", folder_.string(), " (",
               std::strerror(errno), ")");
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { discard(); }

  /// Writes the bytes from `offset` on.
  ///
  /// Errors   m2::Error when the disk is full or fails; the temporary file is gone then
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    M2_REQUIRE(descriptor_ >= 0, "file ", name_, ": it is already complete or given up");
    while (!bytes.empty()) {
      const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) fail("it cannot be written", put < 0 ? errno : ENOSPC);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
      offset += static_cast<std::uint64_t>(put);
    }
    end_ = offset > end_ ? offset : end_;
  }

  /// Writes text behind everything written so far.
  void append(std::string_view text) { write_at(end_, std::as_bytes(std::span(text))); }

  /// Makes the file appear under its name, replacing the one from before.
  ///
  /// Errors   m2::Error when the disk is full or fails; the file from before is still there then
  void commit() {
    M2_REQUIRE(descriptor_ >= 0, "file ", name_, ": it is already complete or given up");
    if (::fsync(descriptor_) != 0) fail("it cannot be brought to the disk", errno);
    const int closed = ::close(descriptor_);
    descriptor_ = -1;
    if (closed != 0) fail("it cannot be brought to the disk", errno);
    if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail("it cannot be given its name", errno);
    temporary_.clear();
    // The new name itself is on the disk after this; some file systems refuse it for folders, which costs only that.
    const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      (void)::fsync(folder);
      ::close(folder);
    }
  }

 private:
  [[noreturn]] void fail(const char* what, int error) {
    discard();
    detail::throw_error({"file ", name_, ": ", what, " (", std::strerror(error), ")"});
  }
  void discard() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
  }

  std::string name_;
  std::filesystem::path target_, folder_, temporary_;
  int descriptor_ = -1;
  std::uint64_t end_ = 0;
};

/// Writes a whole text file, complete or not at all.
///
/// Errors   m2::Error if it cannot be written; a file from before is untouched then
inline void write_text_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.append(text);
  file.commit();
}

}  // namespace m2
