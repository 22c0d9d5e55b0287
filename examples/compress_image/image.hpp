#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "m2/core/index.hpp"

/// Pictures of eight bits a channel. Files go through stb_image and stb_image_write, which only image.cpp includes.
struct Image {
  m2::Index height = 0, width = 0;
  m2::Index channels = 0;             ///< 1: grey, 2: grey and alpha, 3: RGB, 4: RGB and alpha
  std::vector<unsigned char> pixels;  // (height, width, channels)

  unsigned char& at(m2::Index y, m2::Index x, m2::Index channel) {
    return pixels[static_cast<std::size_t>((y * width + x) * channels + channel)];
  }
  unsigned char at(m2::Index y, m2::Index x, m2::Index channel) const {
    return pixels[static_cast<std::size_t>((y * width + x) * channels + channel)];
  }
};

/// Reads a PNG file, or any other kind that stb_image knows. Sixteen bits become eight, a palette becomes its colours.
///
/// Errors   m2::Error if there is no such file, or it is no image, or a broken or a huge one
Image read_image(const std::string& path);

/// Writes a PNG file, complete or not at all.
///
/// Errors   m2::Error if it cannot be written
void write_png(const std::string& path, const Image& image);

/// A picture for those who have none at hand: a lit ball with a shadow, on a floor of tiles.
Image drawn_image(m2::Index height, m2::Index width);
