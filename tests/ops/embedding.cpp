#include "m2/ops/embedding.hpp"

#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

TEMPLATE_TEST_CASE("embedding copies rows and its VJP adds them up", "[ops][embedding]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Rng rng(1);
  for (const Extents<3>& shape : {Extents<3>{6, 5, 9}, Extents<3>{3, 64, 300}, Extents<3>{2, 3, 0}})
    for (const Index gap : {1, 2}) {
      const Index vocabulary = shape[0], width = shape[1], rows = shape[2];
      Strided<T, 2, B> table(be, {vocabulary, width}, gap), dtable(be, {vocabulary, width}, gap);
      Strided<T, 2, B> y(be, {rows, width}, gap);
      Strided<std::int32_t, 1, B> ids(be, {rows}, gap);
      fill_normal(table.view(), rng);
      fill_normal(dtable.view(), rng);
      for_every(ids.view(), [&](std::int32_t& id, Index) { id = static_cast<std::int32_t>(rng.below(vocabulary)); });
      std::vector<double> expected, gradient = to_host(dtable.view());
      for (Index r = 0; r < rows; ++r)
        for (Index j = 0; j < width; ++j) {
          const Index id = ids.view()(r);
          expected.push_back(static_cast<double>(table.view()(id, j)));
          gradient[static_cast<std::size_t>(id * width + j)] += expected.back();
        }
      embedding(be, table.view(), ids.view(), y.view());
      require_close(to_host(y.view()), expected, 0);
      embedding_vjp(be, ids.view(), y.view(), dtable.view());
      require_close(to_host(dtable.view()), gradient, tolerance<T>(rows, 40));
    }
}

TEST_CASE("embedding_vjp is the gradient of embedding", "[ops][embedding]") {
  Cpu be;
  Rng rng(2);
  Tensor<double, 2, Cpu> table(be, {4, 3}), dtable(be, {4, 3}), y(be, {5, 3}), dy(be, {5, 3});
  Tensor<std::int32_t, 1, Cpu> ids(be, {5});
  fill_normal(table.view(), rng);
  fill_normal(dy.view(), rng);
  for_every(ids.view(), [](std::int32_t& id, Index r) { id = static_cast<std::int32_t>(r * r % 4); });
  embedding_vjp(be, ids.view(), dy.view(), dtable.view());
  require_gradient(table.view(), to_host(dtable.view()), [&] {
    embedding(be, table.view(), ids.view(), y.view());
    return dot(to_host(y.view()), to_host(dy.view()));
  });
}

TEMPLATE_TEST_CASE("embedding names the shapes that do not fit", "[ops][embedding]", M2_EVERY_BACKEND) {
  using T = typename TestType::Scalar;
  using B = typename TestType::Backend;
  B be;
  Tensor<T, 2, B> table(be, {6, 5}), y(be, {3, 5}), narrow(be, {3, 4});
  Tensor<std::int32_t, 1, B> three(be, {3}), four(be, {4});
  require_error([&] { embedding(be, table.view(), four.view(), y.view()); },
                {"embedding: table is (6, 5), ids is (4), y is (3, 5)"});
  require_error([&] { embedding(be, table.view(), three.view(), narrow.view()); }, {"embedding", "y is (3, 4)"});
  require_error([&] { embedding_vjp(be, four.view(), y.view(), table.view()); },
                {"embedding_vjp: ids is (4), dy is (3, 5)"});
  require_error([&] { embedding_vjp(be, three.view(), narrow.view(), table.view()); },
                {"embedding_vjp", "dtable is (6, 5)"});
}
