#include "image.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <string_view>

#include "m2/core/error.hpp"
#include "m2/io/atomic_file.hpp"
#include "m2/io/input_file.hpp"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"  // of stb's functions in this file: we need a few
#include <stb_image.h>
#include <stb_image_write.h>
#pragma GCC diagnostic pop

namespace {

struct Free {
  void operator()(unsigned char* memory) const { std::free(memory); }
};
using StbMemory = std::unique_ptr<unsigned char, Free>;

constexpr m2::Index largest_side = m2::Index{1} << 14;

}  // namespace

Image read_image(const std::string& path) {
  const m2::InputFile file("image", path);
  M2_REQUIRE(file.size() > 0, file.name(), ": it is empty");
  M2_REQUIRE(file.size() <= static_cast<std::uint64_t>(std::numeric_limits<int>::max()), file.name(), ": it has ",
             file.size(), " bytes, too many for an image");
  std::vector<unsigned char> bytes(static_cast<std::size_t>(file.size()));
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  M2_REQUIRE(stbi_info_from_memory(bytes.data(), size, &width, &height, &channels) == 1, file.name(),
             ": it is no PNG file or other image that can be read (", stbi_failure_reason(), ")");
  M2_REQUIRE(width <= largest_side && height <= largest_side, file.name(), ": it is ", width, " x ", height,
             " pixels, no side may be longer than ", largest_side);
  const StbMemory pixels(stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 0));
  M2_REQUIRE(pixels != nullptr, file.name(), ": the image is damaged (", stbi_failure_reason(), ")");
  Image image{height, width, channels, {}};
  image.pixels.assign(pixels.get(), pixels.get() + image.height * image.width * image.channels);
  return image;
}

void write_png(const std::string& path, const Image& image) {
  const int width = static_cast<int>(image.width), channels = static_cast<int>(image.channels);
  int size = 0;
  const StbMemory png(stbi_write_png_to_mem(image.pixels.data(), width * channels, width,
                                            static_cast<int>(image.height), channels, &size));
  M2_REQUIRE(png != nullptr, "image ", path, ": there is not enough memory to write it");
  m2::AtomicFile file(path);
  file.write_at(0, std::as_bytes(std::span(png.get(), static_cast<std::size_t>(size))));
  file.commit();
}

Image drawn_image(m2::Index height, m2::Index width) {
  Image image{height, width, 3, std::vector<unsigned char>(static_cast<std::size_t>(height * width * 3))};
  const auto byte = [](double x) { return static_cast<unsigned char>(std::lround(255 * std::clamp(x, 0.0, 1.0))); };
  for (m2::Index row = 0; row < height; ++row)
    for (m2::Index col = 0; col < width; ++col) {
      const double x = static_cast<double>(2 * col - width) / static_cast<double>(height);
      const double y = static_cast<double>(2 * row - height) / static_cast<double>(height);
      double red = 0.55 - 0.2 * y, green = 0.7 - 0.15 * y, blue = 0.95;  // the sky
      if (y > 0.2) {                                                     // the floor, in perspective
        const double depth = 1 / (y - 0.1);
        const bool dark = (static_cast<long>(std::floor(2 * x * depth + 100)) + static_cast<long>(4 * depth)) % 2 != 0;
        const double shade = std::hypot(x - 0.25, 3 * (y - 0.62)) < 0.55 ? 0.45 : 1.0;
        red = shade * (dark ? 0.35 : 0.9), green = shade * (dark ? 0.25 : 0.85), blue = shade * (dark ? 0.2 : 0.7);
      }
      const double r2 = (x * x + y * y) / 0.36;  // the ball
      if (r2 < 1) {
        const double z = std::sqrt(1 - r2);
        const double light = std::max(0.0, (-x - 1.2 * y) / 1.1 + 0.7 * z) / 1.3;
        const double glint = std::pow(std::max(0.0, light), 20);
        red = 0.15 + 0.8 * light + glint, green = 0.05 + 0.3 * light + glint, blue = 0.05 + 0.25 * light + glint;
      }
      image.at(row, col, 0) = byte(red), image.at(row, col, 1) = byte(green), image.at(row, col, 2) = byte(blue);
    }
  return image;
}
