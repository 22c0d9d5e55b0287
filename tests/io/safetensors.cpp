#include "m2/io/safetensors.hpp"

#include <cstring>

#include "tests/io/temporary_folder.hpp"
#include "tests/support.hpp"

namespace m2::test {
namespace {

/// A safetensors file put together by hand.
std::string raw_file(const std::string& header, const std::string& data, std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}
std::string raw_file(const std::string& header, const std::string& data) {
  return raw_file(header, data, header.size());
}

template <class T>
std::vector<T> some_values(Index count) {
  Rng rng(static_cast<std::uint64_t>(count));
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) {
    const auto bits = rng.bits();
    std::memcpy(&value, bits.data(), sizeof(T));  // NaN payloads must survive, too
  }
  return values;
}

/// Reads everything that a file says it has.
std::string read_all(const SafetensorsFile& file) {
  std::string all;
  for (const auto& [key, text] : file.metadata()) all += key + '=' + text + '\n';
  for (const TensorEntry& entry : file.entries()) {
    std::string bytes(static_cast<std::size_t>(entry.end - entry.begin), '\0');
    file.read_bytes(entry.name, std::as_writable_bytes(std::span(bytes)));
    all += entry.name + ' ' + std::string(data_type_name(entry.type)) + shape_text(entry.shape) + bytes + '\n';
  }
  return all;
}

}  // namespace

TEMPLATE_TEST_CASE("Arrays of every C++ element type come back bit for bit", "[io]", double, float, std::int64_t,
                   std::int32_t, std::int16_t, std::int8_t, std::uint64_t, std::uint32_t, std::uint16_t, std::uint8_t) {
  using T = TestType;
  const TemporaryFolder folder;
  const auto matrix = some_values<T>(15), number = some_values<T>(1);
  {
    SafetensorsWriter writer(folder / "file", {{"note", "free text \"quoted\" \xC3\xA9"}});
    writer.declare<std::uint8_t>("first", {3});  // would leave what follows it unaligned
    writer.declare<T>("matrix", {3, 5});
    writer.declare<T>("number", {});
    writer.declare<T>("empty", {4, 0, 2});
    writer.write("number", std::span<const T>(number));
    writer.write("matrix", std::span<const T>(matrix));
    writer.write("empty", std::span<const T>());
    writer.write("first", std::span<const std::uint8_t>(some_values<std::uint8_t>(3)));
    writer.commit();
  }
  const auto file = SafetensorsFile::open(folder / "file");
  REQUIRE(file.metadata() == Metadata{{"note", "free text \"quoted\" \xC3\xA9"}});
  REQUIRE(file.entries().size() == 4);
  REQUIRE(file.entry("matrix").shape == std::vector<Index>{3, 5});
  REQUIRE(file.entry("number").shape.empty());
  REQUIRE(file.entry("empty").shape == std::vector<Index>{4, 0, 2});
  for (const TensorEntry& entry : file.entries())
    REQUIRE(entry.begin % static_cast<std::uint64_t>(data_type_bytes(entry.type)) == 0);
  std::vector<T> matrix_back(15), number_back(1), empty_back;
  file.read("matrix", std::span<T>(matrix_back));
  file.read("number", std::span<T>(number_back));
  file.read("empty", std::span<T>(empty_back));
  REQUIRE(std::memcmp(matrix_back.data(), matrix.data(), 15 * sizeof(T)) == 0);
  REQUIRE(std::memcmp(number_back.data(), number.data(), sizeof(T)) == 0);
}

TEST_CASE("Half precision and truth values are stored, too", "[io]") {
  const TemporaryFolder folder;
  const bool truths[] = {true, false, true};
  const auto halves = some_values<std::uint16_t>(4);
  {
    SafetensorsWriter writer(folder / "file");
    writer.declare("half", DataType::F16, {4});
    writer.declare("brain", DataType::BF16, {2, 2});
    writer.declare<bool>("truths", {3});
    writer.write_bytes("half", std::as_bytes(std::span(halves)));
    writer.write_bytes("brain", std::as_bytes(std::span(halves)));
    writer.write("truths", std::span<const bool>(truths));
    writer.commit();
  }
  const auto file = SafetensorsFile::open(folder / "file");
  REQUIRE(file.entry("half").type == DataType::F16);
  REQUIRE(file.entry("brain").type == DataType::BF16);
  std::vector<std::uint16_t> back(4);
  file.read_bytes("brain", std::as_writable_bytes(std::span(back)));
  REQUIRE(back == halves);
  bool truths_back[3] = {};
  file.read("truths", std::span<bool>(truths_back));
  REQUIRE((truths_back[0] && !truths_back[1] && truths_back[2]));

  write_raw(folder / "two", raw_file(R"({"t":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", "\x01\x02"));
  const auto two = SafetensorsFile::open(folder / "two");
  require_error([&] { two.read("t", std::span<bool>(truths_back, 2)); }, {"tensor t", "BOOL of value 2"});
}

TEST_CASE("A file without arrays is a file", "[io]") {
  const TemporaryFolder folder;
  SafetensorsWriter(folder / "file").commit();
  REQUIRE(SafetensorsFile::open(folder / "file").entries().empty());
  write_raw(folder / "short", raw_file("{}", ""));
  REQUIRE(SafetensorsFile::open(folder / "short").entries().empty());
}

TEST_CASE("Reading asks for the right name, type and size", "[io]") {
  const TemporaryFolder folder;
  write_raw(folder / "file", raw_file(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )", "12345678"));
  const auto file = SafetensorsFile::open(folder / "file");
  std::vector<float> values(3);
  std::vector<double> wide(2);
  require_error([&] { file.read("u", std::span(values)); }, {"safetensors file ", "file: there is no tensor u"});
  require_error([&] { file.read("t", std::span(wide)); }, {"tensor t is F32, F64 is asked for"});
  require_error([&] { file.read("t", std::span(values)); }, {"tensor t (2) has 8 bytes, there is room for 12"});
  std::filesystem::resize_file(folder / "file", 70);
  require_error([&] { file.read("t", std::span(values).first(2)); }, {"file: it ends at byte 70"});
}

TEST_CASE("Writing wants every declared array once, of its type and size", "[io]") {
  const TemporaryFolder folder;
  const std::vector<float> values(6);
  const std::span<const float> six(values);
  const std::string path = folder / "file";
  {
    SafetensorsWriter writer(path);
    writer.declare<float>("t", {2, 3});
    require_error([&] { writer.declare<float>("t", {1}); }, {"tensor t is declared twice"});
    require_error([&] { writer.declare<float>("__metadata__", {1}); }, {"cannot be called __metadata__"});
    require_error([&] { writer.declare<float>("u", {Index{1} << 40, Index{1} << 40}); }, {"tensor u", "impossible"});
    require_error([&] { writer.declare<float>("u", {-1}); }, {"tensor u", "(-1)", "impossible"});
    require_error([&] { writer.write("u", six); }, {"tensor u is not declared"});
    require_error([&] { writer.write("t", std::span<const double>()); }, {"tensor t", "another type"});
    require_error([&] { writer.write("t", six.first(5)); }, {"tensor t (2, 3) has 24 bytes, 20 are written"});
    require_error([&] { writer.declare<float>("u", {1}); }, {"tensor u is declared after the first write"});
    require_error([&] { writer.commit(); }, {"tensor t was not written"});
    writer.write("t", six);
    require_error([&] { writer.write("t", six); }, {"tensor t is written twice"});
  }
  REQUIRE(folder.count() == 0);  // never committed
  SafetensorsWriter writer(path);
  writer.declare<float>("\xFF", {});
  require_error([&] { writer.commit(); }, {"not UTF-8"});
}

TEST_CASE("Every way to break the format is one sentence", "[io]") {
  const TemporaryFolder folder;
  const auto entry = [](const std::string& name, const std::string& rest) { return '"' + name + "\":{" + rest + '}'; };
  const std::string f32 = R"("dtype":"F32",)";
  const std::string good = entry("a", f32 + R"("shape":[1],"data_offsets":[0,4])");
  struct Case {
    std::string header, data;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {"", "", {"not a JSON object"}},
      {"[]", "", {"not a JSON object"}},
      {" {}", "", {"not a JSON object"}},
      {"{", "", {"not JSON", "byte"}},
      {"{}x", "", {"not JSON"}},
      {"{\"a\xFF\":1}", "", {"not JSON"}},
      {"{" + good + "}", "123", {"tensor a", "bytes 0 to 4 of 3"}},
      {"{" + good + "}", "12345", {"5 bytes of data are there, 4 belong to tensors"}},
      {"{" + good + "," + good + "}", "1234", {"name a is there twice"}},
      {R"({"__metadata__":{},"__metadata__":{}})", "", {"__metadata__ is there twice"}},
      {R"({"__metadata__":{"k":"1","k":"2"}})", "", {"metadata key k is there twice"}},
      {R"({"__metadata__":[]})", "", {"__metadata__ is a list"}},
      {R"({"__metadata__":{"k":1}})", "", {"metadata of key k is a number"}},
      {R"({"__metadata__":{"k":-1}})", "", {"metadata of key k is a negative number"}},
      {R"({"__metadata__":{"k":{"l":"1"}}})", "", {"metadata of key k is an object"}},
      {R"({"a":1})", "", {"tensor a has a number"}},
      {R"({"a":null})", "", {"tensor a has null"}},
      {R"({"a":[[[[)", "", {"tensor a has a list in an unexpected place"}},
      {R"({"a":{"a":{"a":{)", "", {"tensor a has the unknown field a"}},
      {"{" + entry("a", R"("shape":[1],"data_offsets":[0,4])") + "}", "1234", {"tensor a has no dtype"}},
      {"{" + entry("a", f32 + R"("shape":[1])") + "}", "", {"tensor a has no dtype, shape or data_offsets"}},
      {"{" + entry("a", f32 + R"("data_offsets":[0,4])") + "}", "1234", {"tensor a has no dtype, shape"}},
      {"{" + entry("a", f32 + f32 + R"("shape":[1])") + "}", "", {"tensor a has dtype twice"}},
      {"{" + entry("a", R"("dtype":"F33")") + "}", "", {"tensor a has the unknown dtype F33"}},
      {"{" + entry("a", R"("dtype":3)") + "}", "", {"tensor a has a number"}},
      {"{" + entry("a", R"("shape":["1"])") + "}", "", {"tensor a has a string"}},
      {"{" + entry("a", R"("shape":[-1])") + "}", "", {"tensor a has a negative number"}},
      {"{" + entry("a", R"("shape":[1.5])") + "}", "", {"tensor a has a number that is not whole"}},
      {"{" + entry("a", R"("shape":[1e3])") + "}", "", {"tensor a has a number that is not whole"}},
      {"{" + entry("a", R"("shape":[99999999999999999999])") + "}", "", {"tensor a", "too large"}},
      {"{" + entry("a", R"("shape":[18446744073709551615])") + "}", "", {"tensor a", "too large"}},
      {"{" + entry("a", R"("shape":[true])") + "}", "", {"tensor a has true or false"}},
      {"{" + entry("a", f32 + R"("shape":[1],"data_offsets":[0])") + "}", "1234", {"fewer than two data_offsets"}},
      {"{" + entry("a", f32 + R"("shape":[1],"data_offsets":[0,4,8])") + "}", "1234", {"more than two data_offsets"}},
      {"{" + entry("a", f32 + R"("shape":[1],"data_offsets":[4,0])") + "}", "1234", {"tensor a", "bytes 4 to 0"}},
      {"{" + entry("a", f32 + R"("shape":[2],"data_offsets":[0,4])") + "}", "1234", {"tensor a of 8 bytes is given 4"}},
      {"{" + entry("a", f32 + R"("shape":[4294967296,4294967296],"data_offsets":[0,0])") + "}",
       "",
       {"tensor a is too large"}},
      {"{" + entry("a", f32 + R"("shape":[4294967296,2147483648,0,4],"data_offsets":[0,4])") + "}",
       "1234",
       {"tensor a of 0 bytes is given 4"}},
      {"{" + good + "," + entry("b", f32 + R"("shape":[1],"data_offsets":[8,12])") + "}",
       "123456781234",
       {"tensor b begins at byte 8", "ends at 4"}},
      {"{" + good + "," + entry("b", f32 + R"("shape":[1],"data_offsets":[2,6])") + "}",
       "123456",
       {"tensor b begins at byte 2", "ends at 4"}},
      {"{" + good + "," + entry("b", f32 + R"("shape":[1],"data_offsets":[0,4])") + "}",
       "1234",
       {"tensor b begins at byte 0"}},
  };
  for (const Case& c : cases) {
    INFO("header " << c.header);
    write_raw(folder / "broken", raw_file(c.header, c.data));
    std::string message = "no error at all";
    try {
      SafetensorsFile::open(folder / "broken");
    } catch (const Error& error) {
      message = error.what();
    }
    INFO("message " << message);
    REQUIRE(message.find("safetensors file " + (folder / "broken") + ": ") == 0);
    for (const std::string& part : c.parts) REQUIRE(message.find(part) != std::string::npos);
  }
  write_raw(folder / "broken", "1234567");
  require_error([&] { SafetensorsFile::open(folder / "broken"); }, {"no safetensors file", "7 bytes"});
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{100'000'001}, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    write_raw(folder / "broken", raw_file("{}", "", length));
    require_error([&] { SafetensorsFile::open(folder / "broken"); }, {"cut off", std::to_string(length), "10"});
  }
  // Control characters of a hostile name do not reach the terminal, and the message stays short.
  write_raw(folder / "broken", raw_file("{\"\\u001b[2J" + std::string(5000, 'x') + "\":1}", ""));
  require_error([&] { SafetensorsFile::open(folder / "broken"); }, {"tensor ?[2Jxxx", "xxx..."});
}

TEST_CASE("Names may be in any order, and zero-size arrays anywhere", "[io]") {
  const TemporaryFolder folder;
  write_raw(folder / "file", raw_file(R"({"b":{"data_offsets":[4,6],"shape":[2],"dtype":"I8"},)"
                                      R"("z":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},)"
                                      R"("a":{"shape":[],"dtype":"F32","data_offsets":[0,4]}})",
                                      "123456"));
  const auto file = SafetensorsFile::open(folder / "file");
  REQUIRE(file.entries().size() == 3);
  REQUIRE(file.entries()[0].name == "a");
  REQUIRE(file.entries()[1].name == "z");
  REQUIRE(file.entries()[2].name == "b");
}

TEST_CASE("Thousands of broken files are read as they are or refused", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  {
    SafetensorsWriter writer(path, {{"model", R"({"channels": 8})"}});
    const auto f = some_values<float>(6);
    const auto d = some_values<double>(2);
    const auto b = some_values<std::uint8_t>(5);
    writer.declare<float>("layer.0.weight", {2, 3});
    writer.declare<double>("layer.0.bias", {2});
    writer.declare<std::uint8_t>("bytes", {5});
    writer.declare<float>("none", {0, 3});
    writer.write("layer.0.weight", std::span<const float>(f));
    writer.write("layer.0.bias", std::span<const double>(d));
    writer.write("bytes", std::span<const std::uint8_t>(b));
    writer.write("none", std::span<const float>());
    writer.commit();
  }
  const std::string valid = read_raw(path);
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, valid.data(), 8);
  const std::string whole = read_all(SafetensorsFile::open(path));
  const std::vector<std::string> pieces = {"{",          "}",     "[",     "]",
                                           ",",          ":",     "\"",    "0",
                                           "-1",         "1e9",   "null",  "\\u0000",
                                           "4294967296", "[[[[[", "{\"",   "9223372036854775807",
                                           "true",       "F64",   "shape", "18446744073709551616"};
  Rng rng(2024);
  int accepted = 0, refused = 0;
  const auto attempt = [&](const std::string& bytes) {
    write_raw(path, bytes);
    try {
      const auto file = SafetensorsFile::open(path);
      std::size_t total = 0;
      for (const TensorEntry& entry : file.entries()) total += static_cast<std::size_t>(entry.end - entry.begin);
      REQUIRE(total <= bytes.size());  // nothing larger than the file itself
      if (bytes == valid)
        REQUIRE(read_all(file) == whole);
      else
        read_all(file);
      ++accepted;
    } catch (const Error& error) {
      REQUIRE(std::string(error.what()).find("safetensors file " + path + ": ") == 0);
      ++refused;
    }
  };
  attempt(valid);
  REQUIRE(accepted == 1);
  for (std::size_t size = 0; size < valid.size(); ++size) {
    attempt(valid.substr(0, size));
    REQUIRE(accepted == 1);  // every cut is noticed
  }
  const auto place = [&](std::size_t size) { return static_cast<std::size_t>(rng.below(static_cast<Index>(size))); };
  for (int i = 0; i < 4000; ++i) {
    std::string bytes = valid;
    for (Index changes = rng.below(3); changes >= 0; --changes) {
      const std::size_t at = rng.below(4) == 0 ? place(bytes.size()) : 8 + place(static_cast<std::size_t>(header_size));
      switch (rng.below(5)) {
        case 0:
          bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1 << rng.below(8)));
          break;
        case 1:
          bytes[at] = static_cast<char>(rng.below(256));
          break;
        case 2:
          bytes.replace(at, 1, pieces[place(pieces.size())]);
          break;
        case 3:
          bytes.erase(at, place(12));
          break;
        default:
          bytes.insert(at, bytes.substr(place(bytes.size()), place(40)));
          break;
      }
    }
    if (rng.below(2) == 0 && bytes.size() >= 8) {  // a length that fits lets the change reach the JSON reader
      const std::uint64_t length = header_size + bytes.size() - valid.size();
      std::memcpy(bytes.data(), &length, 8);
    }
    attempt(bytes);
  }
  for (int i = 0; i < 300; ++i) {  // headers of nothing but pieces
    std::string header = "{";
    for (Index n = rng.below(40); n >= 0; --n) header += pieces[place(pieces.size())];
    attempt(raw_file(header, ""));
  }
  attempt(raw_file("{\"a\":" + std::string(2'000'000, '['), ""));  // deep nesting costs no stack and no memory
  INFO(accepted << " accepted, " << refused << " refused");
  REQUIRE(refused > 3000);
}

}  // namespace m2::test
