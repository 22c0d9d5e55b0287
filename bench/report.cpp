#include "bench/report.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace m2::bench {

const std::vector<Measure>& measures() {
  using enum Measure::Kind;
  using enum Measure::Summary;
  static const std::vector<Measure> all{
      {"peak_256", "N = 1024, 4096, B = 256", at_least, 0.90, worst, "of FMA peak"},
      {"peak_1024", "N = 1024, 4096, B = 1024", at_least, 0.85, worst, "of FMA peak"},
      {"peak_all", "N = 256 .. 65536, B = 16, 256, 1024", at_least, 0.80, mean, "of FMA peak"},
      {"not_packed", "the same in rows by a Monarch, not a PackedMonarch", at_least, not_a_number, mean, "of FMA peak"},
      {"dense_1024", "dense by Eigen or OpenBLAS, the faster one, N = 1024, B = 256", at_least, 16, worst, "x"},
      {"dense_4096", "the same, N = 4096", at_least, 32, worst, "x"},
      {"eigen_blocks", "Eigen products of blocks and copies, N = 256 .. 65536", at_least, 3, mean, "x"},
      {"torch", "PyTorch reference arithmetic, N = 256 .. 65536", at_least, 3, mean, "x"},
      {"one_vector_cached", "B = 1, weights in cache, N = 256 .. 16384", at_least, 0.85, worst, "of bandwidth"},
      {"one_vector_memory", "B = 1, weights in memory, N = 1024 .. 16384", at_least, 0.85, worst, "of bandwidth"},
      {"order3", "order 3, N = 4096, 32768, B >= 16", at_least, 0.70, worst, "of FMA peak"},
      {"order3_copies", "order 3, Eigen products of blocks and copies", at_least, 5, mean, "x"},
      {"double", "double, N = 1024, 4096, B = 256", at_least, 0.85, worst, "of FMA peak"},
      {"complex", "complex float, N = 1024, 4096, B = 256", at_least, not_a_number, mean, "of FMA peak"},
      {"rectangular", "768 -> 3072 -> 768, 4 blocks, 128 and 4096 tokens", at_least, 0.85, worst, "of FMA peak"},
      {"vjp", "VJP, N = 1024, 4096, B = 256, 1024", at_least, 0.80, worst, "of FMA peak"},
      {"two_threads", "two threads over one, B N >= 2^18", at_least, 1.85, worst, "x"},
      {"two_threads_one_vector", "two threads over one, B = 1, N = 4096, 16384", at_least, 1.8, worst, "x"},
      {"convolution", "long convolution over the best FFTW, N = 1024 .. 65536", at_least, 1.5, worst, "x"},
      {"convolution_vjp", "its VJP over its forward pass", at_most, 2.2, worst, "x"},
      {"odd", "N = 36, 1000, 1155, 4099 over the round size beside it, B = 256", at_least, 0.7, worst, "x"},
      {"simd", "register tile over the best by std::simd, xsimd, Highway", at_least, not_a_number, worst, "x"},
      {"portable", "built without -march, N = 1024, B = 256", at_least, 0.8, worst, "of its FMA peak"},
      {"compile", "compile time of m2/monarch.hpp and a multiply, -O2", at_most, 2.5, worst, "s"},
  };
  return all;
}

namespace {

struct Finding {
  std::string measure, name;
  double value, prediction;
};
std::vector<Finding> findings;
std::vector<PlotPoint> points;
std::vector<std::string> remarks;

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
  char line[1024];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  return line;
}

/// A number as people write it; a dash where there is none.
std::string number(double value) {
  if (std::isnan(value)) return "-";
  return text(value < 10 ? "%.2f" : "%.1f", value);
}

double geometric_mean(const std::vector<double>& values) {
  double logs = 0;
  for (const double value : values) logs += std::log(value);
  return std::exp(logs / static_cast<double>(values.size()));
}

struct Summary {
  double mean = not_a_number, worst = not_a_number, best = not_a_number, prediction = not_a_number;
  std::string worst_case;
  std::size_t cases = 0;
};

Summary summarize(const Measure& measure) {
  Summary s;
  std::vector<double> values, predictions;
  for (const Finding& f : findings) {
    if (f.measure != measure.key) continue;
    values.push_back(f.value);
    if (!std::isnan(f.prediction)) predictions.push_back(f.prediction);
    const bool worse = measure.kind == Measure::at_least ? !(f.value >= s.worst) : !(f.value <= s.worst);
    const bool better = measure.kind == Measure::at_least ? !(f.value <= s.best) : !(f.value >= s.best);
    if (worse) s.worst = f.value, s.worst_case = f.name;
    if (better) s.best = f.value;
  }
  s.cases = values.size();
  if (s.cases > 0) s.mean = geometric_mean(values);
  if (!predictions.empty()) s.prediction = geometric_mean(predictions);
  return s;
}

}  // namespace

void Findings::add(const char* measure, double value, double prediction) {
  if (std::isnan(value)) return;
  findings.push_back({measure, name_, value, prediction});
  state_.counters[measure] = value;
  if (!std::isnan(prediction)) state_.counters[std::string(measure) + "_predicted"] = prediction;
}

void add_plot_point(const PlotPoint& point) { points.push_back(point); }
void add_remark(const std::string& sentence) { remarks.push_back(sentence); }

std::string table() {
  std::string out =
      "\n| measure | unit | target | predicted | geometric mean | worst | best | met | worst case |\n"
      "|:--|:--|--:|--:|--:|--:|--:|:-:|:--|\n";
  for (const Measure& m : measures()) {
    const Summary s = summarize(m);
    const bool aims = !std::isnan(m.target);
    const std::string bound = m.kind == Measure::at_least ? ">= " : "<= ",
                      target = aims ? bound + number(m.target) : "";
    if (s.cases == 0) {
      out += text("| %s | %s | %s | | not available | | | | |\n", m.text, m.unit, target.c_str());
      continue;
    }
    const double value = m.summary == Measure::mean ? s.mean : s.worst;
    const bool met = m.kind == Measure::at_least ? value >= m.target : value <= m.target;
    const std::string mean = number(s.mean), worst = number(s.worst);
    const bool by_mean = m.summary == Measure::mean;
    out += text("| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", m.text, m.unit, target.c_str(),
                number(s.prediction).c_str(), by_mean ? ("**" + mean + "**").c_str() : mean.c_str(),
                by_mean ? worst.c_str() : ("**" + worst + "**").c_str(), number(s.best).c_str(),
                aims ? met ? "yes" : "no" : "", s.cases > 1 ? s.worst_case.c_str() : "");
  }
  out += "\n";
  for (const std::string& remark : remarks) out += "* " + remark + "\n";
  return out;
}

std::string case_table() {
  std::string out = "\n| measure | case | measured | predicted |\n|:--|:--|--:|--:|\n";
  for (const Measure& m : measures())
    for (const Finding& f : findings)
      if (f.measure == m.key)
        out += text("| %s | %s | %s | %s |\n", m.key, f.name.c_str(), number(f.value).c_str(),
                    number(f.prediction).c_str());
  return out;
}

std::string plot_svg() {
  constexpr double width = 1000, height = 430, left = 60, right = 15, top = 70, bottom = 60, gap = 40;
  constexpr double panel = (width - left - right - gap) / 2, floor = height - bottom;
  constexpr const char* shades[] = {"#9ecae1", "#4292c6", "#08519c"};
  std::vector<Index> sizes, batches;
  for (const PlotPoint& p : points) sizes.push_back(p.n), batches.push_back(p.batch);
  for (std::vector<Index>* list : {&sizes, &batches}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  const auto place = [](const std::vector<Index>& list, Index value) {
    return static_cast<double>(std::find(list.begin(), list.end(), value) - list.begin());
  };
  const auto y_of = [&](double share) { return floor - std::min(share, 1.05) / 1.05 * (floor - top); };
  std::string out = text(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" "
      "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"%g\" y=\"20\" font-size=\"15\" font-weight=\"bold\">Monarch multiply, order 2, float, one thread: "
      "share "
      "of the FMA peak</text>\n",
      width, height, width, height, left);

  // Legend.
  double x = left;
  const auto label = [&](const char* words, double space) {
    out += text("<text x=\"%.1f\" y=\"45\">%s</text>\n", x + 16, words);
    x += space;
  };
  const auto circle = [&](double cx, double cy, const char* fill) {
    out += text("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" stroke=\"white\"/>\n", cx, cy, fill);
  };
  const auto diamond = [&](double cx, double cy) {
    out += text("<path d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\" fill=\"#fd8d3c\" stroke=\"white\"/>\n", cx, cy - 5);
  };
  const auto dense_line = [&](double from, double to, double at) {
    out += text("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"black\" stroke-width=\"3\"/>\n", from,
                to, at, at);
  };
  for (std::size_t b = 0; b < batches.size(); ++b) {
    out += text("<rect x=\"%.1f\" y=\"34\" width=\"12\" height=\"12\" fill=\"%s\"/>\n", x, shades[b % 3]);
    label(text("m2, B = %td", batches[b]).c_str(), 115);
  }
  diamond(x + 6, 40);
  label("Eigen blocks, copies", 160);
  circle(x + 6, 40, "#d62728");
  label("PyTorch", 85);
  dense_line(x, x + 12, 40);
  label("dense, best of Eigen and OpenBLAS", 0);

  for (const Layout layout : layouts) {
    const double origin = layout == Layout::row ? left : left + panel + gap;
    for (int tick = 0; tick <= 5; ++tick) {
      const double share = 0.2 * tick, y = y_of(share);
      out += text(
          "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>"
          "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.1f</text>\n",
          origin, origin + panel, y, y, tick == 5 ? "#777" : "#ddd", origin - 6, y + 4, share);
    }
    out += text("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", origin + panel / 2, height - 12,
                layout == Layout::row ? "N, features contiguous (row layout)" : "N, batch contiguous (column layout)");
    const double group = panel / static_cast<double>(std::max<std::size_t>(sizes.size(), 1));
    const double bar = 0.8 * group / static_cast<double>(std::max<std::size_t>(batches.size(), 1));
    for (const Index n : sizes)
      out += text("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%td</text>\n",
                  origin + (place(sizes, n) + 0.5) * group, floor + 20, n);
    for (const PlotPoint& p : points) {
      if (p.layout != layout) continue;
      const double b = place(batches, p.batch), at = origin + place(sizes, p.n) * group + 0.1 * group + b * bar;
      out += text("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", at + 1, y_of(p.ours),
                  bar - 2, floor - y_of(p.ours), shades[static_cast<std::size_t>(b) % 3]);
      if (!std::isnan(p.dense)) dense_line(at - 1, at + bar + 1, y_of(p.dense));
      if (!std::isnan(p.eigen_blocks)) diamond(at + bar / 2, y_of(p.eigen_blocks));
      if (!std::isnan(p.torch)) circle(at + bar / 2, y_of(p.torch), "#d62728");
    }
  }
  return out + "</svg>\n";
}

}  // namespace m2::bench
