// Compresses a picture as Monarch matrices: every channel is a matrix, and its projection has fewer numbers.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "image.hpp"
#include "m2/core/error.hpp"
#include "m2/projection.hpp"

namespace {

struct Options {
  std::string image;  ///< empty: a drawn one
  std::vector<m2::Index> blocks{8, 16, 32}, ranks{1, 2, 4};
  std::string folder;  ///< for the pictures; empty: none are written
};

/// What became of a picture.
struct Result {
  Image image;
  m2::Index numbers = 0;      ///< weights of all channels
  double relative_error = 0;  ///< Frobenius norm over all channels, before rounding to bytes
  double psnr = 0;            ///< peak signal-to-noise ratio in decibels, of the bytes
};

/// Height x width matrices of two factors whose slices are block x block pixels, less where the picture is smaller. Any
/// size will do: the factors are as large as they need to be, and their last rows and columns are cut.
m2::MonarchShape<2> shape_of(m2::Index height, m2::Index width, m2::Index block, m2::Index rank) {
  const m2::Index rows = std::min(block, height), cols = std::min(block, width);
  const m2::Index down = (height - 1) / rows + 1, across = (width - 1) / cols + 1;
  return m2::MonarchShape<2>(
      {m2::FactorShape{across, cols, rank * down, 1}, m2::FactorShape{1, across * rank, rows, down}}, width, height);
}

Result compress(const Image& image, const m2::MonarchShape<2>& shape) {
  Result result{image, 0, 0, 0};
  double lost = 0, whole = 0, byte_error = 0;
  for (m2::Index channel = 0; channel < image.channels; ++channel) {
    Eigen::MatrixXf matrix(image.height, image.width);
    for (m2::Index y = 0; y < image.height; ++y)
      for (m2::Index x = 0; x < image.width; ++x) matrix(y, x) = image.at(y, x, channel);

    const auto monarch = m2::project<2, float>(matrix, shape);
    const Eigen::MatrixXf restored = monarch.to_dense();

    result.numbers += monarch.parameter_count();
    lost += (restored - matrix).cast<double>().squaredNorm();
    whole += matrix.cast<double>().squaredNorm();
    for (m2::Index y = 0; y < image.height; ++y)
      for (m2::Index x = 0; x < image.width; ++x) {
        const float rounded = std::round(std::clamp(restored(y, x), 0.0F, 255.0F));
        result.image.at(y, x, channel) = static_cast<unsigned char>(rounded);
        byte_error += std::pow(static_cast<double>(rounded - matrix(y, x)), 2);
      }
  }
  const double mean = byte_error / static_cast<double>(image.pixels.size());
  result.relative_error = whole > 0 ? std::sqrt(lost / whole) : 0;
  result.psnr = 10 * std::log10(255.0 * 255.0 / mean);  // infinite if nothing is lost
  return result;
}

int run(const Options& options) {
  const Image image = options.image.empty() ? drawn_image(384, 512) : read_image(options.image);
  const std::string name = options.image.empty() ? "drawn" : std::filesystem::path(options.image).stem().string();
  if (!options.folder.empty()) {
    std::error_code failed;
    std::filesystem::create_directories(options.folder, failed);
    M2_REQUIRE(!failed, "folder ", options.folder, " cannot be made (", failed.message(), ")");
    if (options.image.empty()) write_png(options.folder + "/drawn.png", image);
  }
  std::printf("%s: %td x %td pixels, %td channel%s\n\n",
              options.image.empty() ? "a drawn picture" : options.image.c_str(), image.width, image.height,
              image.channels, image.channels == 1 ? "" : "s");
  std::printf("%11s %11s %5s %11s %7s %8s %8s\n", "in radices", "out radices", "rank", "parameters", "ratio", "error",
              "PSNR");

  std::set<std::vector<m2::Index>> done;  // small pictures make some blocks and ranks the same
  for (const m2::Index block : options.blocks)
    for (const m2::Index wanted : options.ranks) {
      const m2::Index rank = std::min({wanted, block, image.height, image.width});
      const auto shape = shape_of(image.height, image.width, block, rank);
      const m2::FactorShape &first = shape.factor(0), &second = shape.factor(1);
      if (!done.insert({first.outer, first.in, second.out, second.inner, rank}).second) continue;
      const Result result = compress(image, shape);
      const double ratio = static_cast<double>(image.pixels.size()) / static_cast<double>(result.numbers);
      const auto pair = [](m2::Index a, m2::Index b) { return std::to_string(a) + " x " + std::to_string(b); };
      std::printf("%11s %11s %5td %11td %7.2f %7.2f%% %5.1f dB\n", pair(first.outer, first.in).c_str(),
                  pair(second.out, second.inner).c_str(), rank, result.numbers, ratio, 100 * result.relative_error,
                  result.psnr);
      if (!options.folder.empty())
        write_png(
            options.folder + "/" + name + "-block" + std::to_string(block) + "-rank" + std::to_string(rank) + ".png",
            result.image);
    }
  std::printf("\nratio: pixel values over parameters, which are floats; error: relative, in the Frobenius norm\n");
  if (!options.folder.empty()) std::printf("pictures are in %s\n", options.folder.c_str());
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw m2::Error("the table cannot be written");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Projects every channel of a picture to the nearest Monarch matrices of several shapes.");
  app.failure_message(CLI::FailureMessage::simple);
  Options options;
  const auto number = CLI::Range(m2::Index{1}, m2::Index{1} << 14);
  app.add_option("image", options.image, "PNG file, or another that stb_image reads [a drawn picture]");
  app.add_option("--block", options.blocks, "sides of the slices, in pixels")->capture_default_str()->check(number);
  app.add_option("--rank", options.ranks, "ranks of the slices")->capture_default_str()->check(number);
  app.add_option("--out", options.folder, "folder for the restored pictures, as PNG files [none are written]");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  try {
    return run(options);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "m2_compress_image: there is not enough memory for this picture\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "m2_compress_image: %s\n", error.what());
  }
  return 1;
}
