#include <complex>
#include <memory>
#include <vector>

#include "bench/ceilings.hpp"
#include "bench/eigen_blocks.hpp"
#include "bench/openblas.hpp"
#include "bench/product.hpp"
#include "bench/torch_peer.hpp"

/// The multiply on one thread, beside the FMA peak and everything it is compared with.
namespace m2::bench {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic>;

/// Where a peer's result is not ours, one of the two is wrong, and its time means nothing.
template <class T>
void require_same(const char* peer, const std::vector<T>& result, const Vectors<T>& ours, double depth) {
  const double difference = relative_difference(result.data(), ours.data(), ours.size());
  M2_REQUIRE(difference <= depth * std::numeric_limits<T>::epsilon(), peer, " and Monarch differ by ", difference);
}

/// What the passes of the copying ways cost at least: a permutation reads and writes all vectors, two times for every
/// factor but the first.
template <int Order, class T>
double predicted_over_copies(const Product<Order, T>& p, double peak) {
  const double once = p.vector_bytes(), factors = Order - 1;
  const double passes = 2 * factors * once / read_bandwidth(once);
  const double ours = p.flops() / (peak * roofline(p.flops(), p.weight_bytes() + once, peak));
  return (ours + passes) / ours;
}

/// The dense matrix of order 2 as Eigen and OpenBLAS multiply by it, in the storage order of the vectors.
struct Dense {
  Dense(const Product<2, float>& p) : matrix(p.m.to_dense()), n(static_cast<int>(p.m.cols())) {
    row_major = p.layout == Layout::column;  // the batch contiguous: (n, batch) matrices of contiguous rows
    if (row_major) matrix.transposeInPlace();
    result.resize(static_cast<std::size_t>(p.y.size()));
  }

  Contestant eigen(Product<2, float>& p) {
    return contestant([this, &p] {
      using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
      if (row_major) {
        Eigen::Map<RowMajor>(result.data(), n, p.batch).noalias() =
            Eigen::Map<const RowMajor>(matrix.data(), n, n) * Eigen::Map<const RowMajor>(p.x.data(), n, p.batch);
      } else {
        Eigen::Map<Matrix>(result.data(), n, p.batch).noalias() =
            matrix * Eigen::Map<const Matrix>(p.x.data(), n, p.batch);
      }
    });
  }
  Contestant openblas(Product<2, float>& p) {
    const OpenBlas& blas = OpenBlas::get();
    if (!blas.available()) return {};
    return contestant([this, &p, &blas] {
      blas.multiply(row_major, n, static_cast<int>(p.batch), matrix.data(), p.x.data(), result.data());
    });
  }

  Matrix matrix;
  int n;
  bool row_major;
  std::vector<float> result;
};

enum Who : std::size_t { ours, peak, eigen_blocks, torch, not_packed, eigen_dense, openblas };

void square_case(Findings& found, const Effort& effort, Index n, Index batch, Layout layout) {
  Product<2, float> p(balanced_shape<2>(n), batch, layout);
  p.multiply();
  EigenBlocks<float> blocks(p.m.shape().factors(), p.m.weights().data(), batch, layout);
  std::vector<float> result(static_cast<std::size_t>(p.y.size()));
  const double depth = 2 * std::sqrt(static_cast<double>(n));  // sums of sqrt(n) numbers, twice
  const auto by_blocks = [&] { blocks.multiply(p.x.data(), result.data()); };
  by_blocks();
  require_same("Eigen's products of blocks", result, p.y, depth);

  std::vector<Contestant> who{p.contestant(), fma_peak<float>(), contestant(by_blocks),
                              TorchPeer::get().contestant(n, batch, layout),
                              layout == Layout::row ? p.not_packed() : Contestant{}};
  std::unique_ptr<Dense> dense;
  if (batch == 256 && (n == 1024 || n == 4096)) {
    dense = std::make_unique<Dense>(p);
    for (Contestant peer : {dense->eigen(p), dense->openblas(p)}) {
      if (peer) {
        peer(1);
        require_same("a dense product", dense->result, p.y, depth * 2 + static_cast<double>(n));
      }
      who.push_back(std::move(peer));
    }
  }
  const Rounds rounds(effort, who);
  const double per_call = FmaLoop<float>::flops, rate = per_call / rounds.seconds(peak);
  const double share = rounds.times_faster(ours, peak) * p.flops() / per_call;
  const double roof = roofline(p.flops(), p.weight_bytes() + p.vector_bytes(), rate);
  found.note("GFLOP/s", p.flops() / rounds.seconds(ours) * 1e-9);
  found.note("peak_GFLOP/s", rate * 1e-9);
  found.note("us", rounds.seconds(ours) * 1e6);
  if ((n == 1024 || n == 4096) && batch == 256) found.add("peak_256", share, roof);
  if ((n == 1024 || n == 4096) && batch == 1024) found.add("peak_1024", share, roof);
  found.add("peak_all", share, roof);
  // Packing reads and writes the weights; without it the vectors are transposed, if that is less.
  const double packing = 2 * p.weight_bytes() / read_bandwidth(p.weight_bytes());
  found.add("not_packed", share / rounds.times_faster(ours, not_packed), 1 / (1 / roof + packing * rate / p.flops()));
  found.add("eigen_blocks", rounds.times_faster(ours, eigen_blocks), predicted_over_copies(p, rate));
  found.add("torch", rounds.times_faster(ours, torch), predicted_over_copies(p, rate));
  PlotPoint point{n,
                  batch,
                  layout,
                  share,
                  share / rounds.times_faster(ours, eigen_blocks),
                  share / rounds.times_faster(ours, torch),
                  not_a_number};
  if (dense) {
    const double over_eigen = rounds.times_faster(ours, eigen_dense), over_blas = rounds.times_faster(ours, openblas);
    const double over_dense = std::fmin(over_eigen, over_blas);  // of a number and NaN the number
    const double ratio = static_cast<double>(n) * static_cast<double>(n) / static_cast<double>(p.m.parameter_count());
    found.add(n == 1024 ? "dense_1024" : "dense_4096", over_dense, ratio * roof);
    found.note("over_eigen_dense", over_eigen);
    found.note("over_openblas_dense", over_blas);
    found.note("eigen_dense_of_peak", share * ratio / over_eigen);
    found.note("openblas_dense_of_peak", share * ratio / over_blas);
    point.dense = share * ratio / over_dense;
  }
  add_plot_point(point);
}

/// A product of any shape and type against its own FMA peak.
template <int Order, class T>
void share_of_peak(Findings& found, const Effort& effort, const char* measure, Product<Order, T>& p) {
  using R = RealOf<T>;
  const Rounds rounds(effort, {p.contestant(), fma_peak<R>()});
  const double per_call = FmaLoop<R>::flops;
  const double share = rounds.times_faster(ours, peak) * p.flops() / per_call;
  const double rate = per_call / rounds.seconds(peak);
  found.note("GFLOP/s", p.flops() / rounds.seconds(ours) * 1e-9);
  found.note("us", rounds.seconds(ours) * 1e6);
  found.add(measure, share, roofline(p.flops(), p.weight_bytes() + p.vector_bytes(), rate));
}

void order3_case(Findings& found, const Effort& effort, Index n, Index batch, Layout layout) {
  Product<3, float> p(balanced_shape<3>(n), batch, layout);
  p.multiply();
  EigenBlocks<float> blocks(p.m.shape().factors(), p.m.weights().data(), batch, layout);
  std::vector<float> result(static_cast<std::size_t>(p.y.size()));
  const auto by_blocks = [&] { blocks.multiply(p.x.data(), result.data()); };
  by_blocks();
  require_same("Eigen's products of blocks", result, p.y, 3 * std::cbrt(static_cast<double>(n)));
  const Rounds rounds(effort, {p.contestant(), fma_peak<float>(), contestant(by_blocks)});
  const double rate = FmaLoop<float>::flops / rounds.seconds(peak);
  found.note("GFLOP/s", p.flops() / rounds.seconds(ours) * 1e-9);
  found.add("order3", rounds.times_faster(ours, peak) * p.flops() / FmaLoop<float>::flops,
            roofline(p.flops(), p.weight_bytes() + p.vector_bytes(), rate));
  found.add("order3_copies", rounds.times_faster(ours, eigen_blocks), predicted_over_copies(p, rate));
}

/// One vector: reading the weights once is all that must be done. `copies` matrices take turns, so that together they
/// lie in the cache, or do not. What is read once is the memory that the product reads, as many bytes of the same
/// pages: packed weights, without the gaps between them, which are not read (1 register for every f.in).
void one_vector_case(Findings& found, const Effort& effort, Index n, Index copies) {
  std::vector<std::unique_ptr<Product<2, float>>> products;
  for (Index c = 0; c < copies; ++c)
    products.push_back(std::make_unique<Product<2, float>>(balanced_shape<2>(n), 1, Layout::row));
  std::size_t turn = 0, reading = 0;
  const auto next = [&](std::size_t& at) -> Product<2, float>& { return *products[at = (at + 1) % products.size()]; };
  const Rounds rounds(effort, {contestant([&] { next(turn).multiply(); }), contestant([&] {
                                 const Product<2, float>& p = next(reading);
                                 const bool packed = p.packed.packed().size() > 0;
                                 const float* weights = packed ? p.packed.packed().data() : p.m.weights().data();
                                 const float sum = read_once(weights, p.m.parameter_count());
                                 touch(&sum);
                               })});
  found.note("us", rounds.seconds(0) * 1e6);
  found.note("GB/s", products[0]->weight_bytes() / rounds.seconds(0) * 1e-9);
  found.note("read_GB/s", products[0]->weight_bytes() / rounds.seconds(1) * 1e-9);
  found.add(copies == 1 ? "one_vector_cached" : "one_vector_memory", rounds.times_faster(0, 1), 1);
}

/// A transformer's MLP without its activation: up and down again.
template <int Order>
void rectangular_case(Findings& found, const Effort& effort, const MonarchShape<Order>& up,
                      const MonarchShape<Order>& down, Index tokens) {
  Product<Order, float> first(up, tokens, Layout::row), second(down, tokens, Layout::row);
  const Rounds rounds(effort, {contestant([&] {
                                 first.multiply();
                                 monarch_multiply(second.be, second.packed, first.y.view(), second.y.view());
                               }),
                               fma_peak<float>()});
  const double flops = first.flops() + second.flops(), rate = FmaLoop<float>::flops / rounds.seconds(peak);
  found.note("GFLOP/s", flops / rounds.seconds(ours) * 1e-9);
  found.add("rectangular", rounds.times_faster(ours, peak) * flops / FmaLoop<float>::flops,
            roofline(flops, first.weight_bytes() + second.weight_bytes() + first.vector_bytes() + second.vector_bytes(),
                     rate));
}

/// The rate at an odd size over the rate at a round one near it.
void odd_case(Findings& found, const Effort& effort, const MonarchShape<2>& odd, Index round, Index batch,
              Layout layout) {
  Product<2, float> p(odd, batch, layout), q(balanced_shape<2>(round), batch, layout);
  const Rounds rounds(effort, {p.contestant(), q.contestant()});
  // Padding is no useful work: what counts of 4160 features are 4099.
  const double kept = static_cast<double>(p.m.cols()) / static_cast<double>(odd.padded_in());
  found.note("GFLOP/s", p.flops() / rounds.seconds(0) * 1e-9);
  found.add("odd", rounds.times_faster(0, 1) * kept * p.flops() / q.flops(), kept);
}

}  // namespace

void register_multiply_cases(const Effort& effort) {
  const int version[] = {EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION};
  add_remark("Dense: Eigen " + std::to_string(version[0]) + "." + std::to_string(version[1]) + "." +
             std::to_string(version[2]) + "; " + OpenBlas::get().description() + ".");
  constexpr Index batches[] = {16, 256, 1024};
  const auto at = [](Index n, Index batch, Layout layout) {
    return "N:" + std::to_string(n) + "/B:" + std::to_string(batch) + "/" + name_of(layout);
  };
  for (const Index n : {256, 1024, 4096, 16384, 65536})
    for (const Index batch : batches)
      for (const Layout layout : layouts)
        register_case("order2/" + at(n, batch, layout),
                      [=](Findings& found) { square_case(found, effort, n, batch, layout); });
  for (const Index n : {4096, 32768})
    for (const Index batch : batches)
      for (const Layout layout : layouts)
        register_case("order3/" + at(n, batch, layout),
                      [=](Findings& found) { order3_case(found, effort, n, batch, layout); });
  for (const Index n : {256, 1024, 4096, 16384})
    register_case("one_vector/N:" + std::to_string(n) + "/cached",
                  [=](Findings& found) { one_vector_case(found, effort, n, 1); });
  for (const Index n : {1024, 4096, 16384})
    register_case("one_vector/N:" + std::to_string(n) + "/memory", [=](Findings& found) {
      const Index weights = 2 * n * static_cast<Index>(std::lround(std::sqrt(static_cast<double>(n))));
      one_vector_case(found, effort, n, (Index{1} << 26) / weights);  // 256 MiB
    });
  const auto register_type = [&]<class T>(const char* measure, T) {
    for (const Index n : {1024, 4096})
      for (const Layout layout : layouts)
        register_case(std::string(measure) + "/" + at(n, 256, layout), [=](Findings& found) {
          Product<2, T> p(balanced_shape<2>(n), 256, layout);
          share_of_peak(found, effort, measure, p);
        });
  };
  register_type("double", double{});
  register_type("complex", std::complex<float>{});
  for (const Index tokens : {128, 4096}) {
    const std::string name = "768-3072-768/4-blocks/tokens:" + std::to_string(tokens);
    register_case("rectangular/order2/" + name, [=](Findings& found) {
      rectangular_case<2>(found, effort, MonarchShape<2>::linear(768, 3072, 4), MonarchShape<2>::linear(3072, 768, 4),
                          tokens);
    });
    register_case("rectangular/order1/" + name, [=](Findings& found) {
      rectangular_case<1>(found, effort, MonarchShape<1>::block_diagonal(768, 3072, 4),
                          MonarchShape<1>::block_diagonal(3072, 768, 4), tokens);
    });
  }
  struct Odd {
    MonarchShape<2> shape;
    Index round;
  };
  const Odd odd[] = {
      {{6, 6}, 64},
      {{25, 40}, 1024},
      {{33, 35}, 1024},
      {MonarchShape<2>({FactorShape{64, 65, 65, 1}, FactorShape{1, 64, 64, 65}}, 4099, 4099), 4096},
  };
  for (const auto& [shape, round] : odd)
    for (const Layout layout : layouts)
      register_case("odd/" + at(shape.in_features(), 256, layout), [=, shape = shape, round = round](Findings& found) {
        odd_case(found, effort, shape, round, 256, layout);
      });
}

}  // namespace m2::bench
