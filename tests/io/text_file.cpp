#include "m2/io/text_file.hpp"

#include "tests/io/temporary_folder.hpp"
#include "tests/support.hpp"

namespace m2::test {

TEST_CASE("A text file is read byte for byte", "[io]") {
  const TemporaryFolder folder;
  const std::string text =
      std::string("line\r\n\xEF\xBB\xBF tab\t \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80") + '\0' + "end";
  write_raw(folder / "text", text);
  REQUIRE(read_text_file(folder / "text") == text);
}

TEST_CASE("Files that cannot be a text are named with the reason", "[io]") {
  const TemporaryFolder folder;
  require_error([&] { read_text_file(folder / "missing.txt"); }, {"text file ", "missing.txt: there is no such file"});
  require_error([&] { read_text_file(folder / ""); }, {"it is a folder, not a file"});
  require_error([&] { read_text_file("/dev/null"); }, {"text file /dev/null: it is not a regular file"});
  write_raw(folder / "empty.txt", "");
  require_error([&] { read_text_file(folder / "empty.txt"); }, {"empty.txt: it is empty"});
  write_raw(folder / "text", "a");
  require_error([&] { read_text_file(folder / "text/below"); }, {"text/below: it cannot be read (Not a directory)"});
  std::filesystem::permissions(folder / "text", std::filesystem::perms::none);
  if (::geteuid() != 0)  // root may read everything
    require_error([&] { read_text_file(folder / "text"); }, {"it cannot be read (Permission denied)"});
  std::string binary(1000, 'x');  // not in one expression: g++ 12 sees a copy out of bounds in it (GCC bug 105651)
  binary += "\xFF\xFE";
  write_raw(folder / "binary", binary);
  require_error([&] { read_text_file(folder / "binary"); }, {"binary: it is not UTF-8 text, byte 1000 is not valid"});
}

TEST_CASE("UTF-8 is checked strictly", "[io]") {
  // Every code point but the surrogates, encoded by the definition.
  std::string all;
  for (std::uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    const auto put = [&](std::uint32_t byte) { all += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
    } else {
      put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
    }
  }
  REQUIRE(!invalid_utf8(all));
  REQUIRE(!invalid_utf8(""));
  const std::vector<std::string> wrong = {
      "\x80",              // continuation without a lead
      "\xC0\x80",          // overlong NUL
      "\xC1\xBF",          // overlong
      "\xE0\x9F\xBF",      // overlong
      "\xF0\x8F\xBF\xBF",  // overlong
      "\xED\xA0\x80",      // surrogate
      "\xED\xBF\xBF",      // surrogate
      "\xF4\x90\x80\x80",  // above U+10FFFF
      "\xF5\x80\x80\x80",  // above U+10FFFF
      "\xFF",              // never
      "\xC3",              // cut off
      "\xE2\x82",          // cut off
      "\xF0\x9F\x98",      // cut off
      "\xE2\x28\xA1",      // no continuation
      "\xF0\x9F\x28\x80",  // no continuation
      "\xF0\x9F\x98\x28",  // no continuation
  };
  for (const std::string& bytes : wrong) {
    REQUIRE(invalid_utf8("ok" + bytes) == std::size_t{2});
    REQUIRE(invalid_utf8("\xC3\xA9" + bytes + "more") == std::size_t{2});
  }
}

}  // namespace m2::test
