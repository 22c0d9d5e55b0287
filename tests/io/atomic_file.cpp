#include "m2/io/atomic_file.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/io/temporary_folder.hpp"
#include "tests/support.hpp"

namespace m2::test {

TEST_CASE("An atomic file appears on commit and replaces the one before", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder / "file.txt";
  write_text_file(path, "first");
  REQUIRE(read_raw(path) == "first");
  {
    AtomicFile file(path);
    file.append("sec");
    file.append("ond");
    file.write_at(0, std::as_bytes(std::span(std::string_view("S"))));
    REQUIRE(read_raw(path) == "first");  // until it is complete
    file.commit();
    REQUIRE(read_raw(path) == "Second");
    require_error([&] { file.append("more"); }, {"file.txt", "already complete"});
    require_error([&] { file.commit(); }, {"file.txt", "already complete"});
  }
  write_text_file(path, "");
  REQUIRE(read_raw(path).empty());
  REQUIRE(folder.count() == 1);
}

TEST_CASE("An atomic file that is given up leaves nothing", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder / "file.txt";
  write_text_file(path, "before");
  { AtomicFile(path).append("half of"); }
  REQUIRE(read_raw(path) == "before");
  REQUIRE(folder.count() == 1);
}

TEST_CASE("A process killed before commit leaves the file from before, and the next one writes it", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder / "file.txt";
  write_text_file(path, "before");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    AtomicFile file(path);
    file.append("half of");
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(read_raw(path) == "before");
  REQUIRE(folder.count() == 2);  // what the killed process could not remove
  write_text_file(path, "after");
  REQUIRE(read_raw(path) == "after");
}

TEST_CASE("A write that fails gives one error and leaves the file from before", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder / "file.txt";
  write_text_file(path, "before");
  // A limit on file sizes stands for a full disk: the same call fails at the same place.
  struct rlimit limit {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const struct rlimit small { 1000, limit.rlim_max };
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    write_text_file(path, std::string(5000, 'x'));
  } catch (const Error& error) {
    message = error.what();
  }
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, handler);
  INFO(message);
  REQUIRE(message.find("file.txt: it cannot be written (") != std::string::npos);
  REQUIRE(read_raw(path) == "before");
  REQUIRE(folder.count() == 1);
}

TEST_CASE("Places where no file can be are named with the reason", "[io]") {
  const TemporaryFolder folder;
  write_raw(folder / "plain", "x");
  require_error([&] { AtomicFile(folder / "missing/file"); }, {"missing/file", "folder", "No such file or directory"});
  require_error([&] { AtomicFile(folder / "plain/file"); }, {"plain/file", "Not a directory"});
  require_error([&] { AtomicFile(folder / ""); }, {"name is that of a folder"});
  require_error([&] { AtomicFile(""); }, {"name is that of a folder"});
  std::filesystem::create_directory(folder / "sub");
  require_error([&] { AtomicFile(folder / "sub"); }, {"sub", "name is that of a folder"});
  std::filesystem::permissions(folder / "sub", std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  if (::geteuid() != 0)  // root may write everywhere
    require_error([&] { AtomicFile(folder / "sub/file"); }, {"sub/file", "Permission denied"});
  require_error([&] { AtomicFile("/proc/m2"); }, {"/proc/m2"});  // not even for root
}

TEST_CASE("The file behind a link is replaced, the link stays", "[io]") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "disk");
  write_raw(folder / "disk/real", "before");
  std::filesystem::create_symlink("disk/real", folder / "link");
  write_text_file(folder / "link", "after");
  REQUIRE(read_raw(folder / "disk/real") == "after");
  REQUIRE(std::filesystem::is_symlink(folder / "link"));
}

}  // namespace m2::test
