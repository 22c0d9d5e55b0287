#include "m2/monarch/shape.hpp"

#include <limits>

#include "tests/support.hpp"

using m2::FactorShape;
using m2::Index;
using m2::MonarchShape;

TEST_CASE("A square shape mixes the last digit first", "[shape]") {
  const MonarchShape<3> shape{3, 5, 7};
  CHECK(shape.in_features() == 105);
  CHECK(shape.out_features() == 105);
  CHECK(shape.factor(0) == FactorShape{15, 7, 7, 1});
  CHECK(shape.factor(1) == FactorShape{3, 5, 5, 7});
  CHECK(shape.factor(2) == FactorShape{1, 3, 3, 35});
  CHECK(shape.parameter_count() == 105 * (3 + 5 + 7));
  CHECK(shape.multiply_flops(2) == 2.0 * 2 * 105 * 15);
}

TEST_CASE("A rectangular shape sees output radices behind the digit it mixes", "[shape]") {
  const auto shape = MonarchShape<2>::rectangular({3, 4}, {5, 2});
  CHECK(shape.in_features() == 12);
  CHECK(shape.out_features() == 10);
  CHECK(shape.factor(0) == FactorShape{3, 4, 2, 1});
  CHECK(shape.factor(1) == FactorShape{1, 3, 5, 2});
}

TEST_CASE("The reference's shapes", "[shape]") {
  const auto butterfly = MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 6);
  CHECK(butterfly.in_features() == 15);
  CHECK(butterfly.out_features() == 14);
  const auto linear = MonarchShape<2>::linear(10, 14, 4);  // blocks of 3 and 4, so 12 padded and 16 cut
  CHECK(linear.padded_in() == 12);
  CHECK(linear.padded_out() == 16);
  CHECK(linear.factor(0) == FactorShape{4, 3, 3, 1});
  CHECK(linear.factor(1) == FactorShape{1, 3, 4, 4});
  const auto blocks = MonarchShape<1>::block_diagonal(10, 7, 3);
  CHECK(blocks.factor(0) == FactorShape{3, 4, 3, 1});
  CHECK(blocks.in_features() == 10);
  CHECK(blocks.out_features() == 7);
}

TEST_CASE("Shapes that do not fit say so", "[shape]") {
  m2::test::require_error([] { MonarchShape<2>::butterfly(3, 4, 5, 2, 7, 5); },
                          {"monarch shape", "factor 0 gives 12", "factor 1 takes 10"});
  m2::test::require_error([] { MonarchShape<2>(4, 0); }, {"extent is 0"});
  m2::test::require_error([] { MonarchShape<2>(4, -3); }, {"extent is -3"});
  m2::test::require_error([] { MonarchShape<1>::block_diagonal(10, 7, 0); }, {"10 features into 0 blocks"});
  const Index large = Index{1} << 32;
  m2::test::require_error([&] { MonarchShape<2>(large, large); }, {"does not fit 64 bits"});
  const Index largest = std::numeric_limits<Index>::max();
  m2::test::require_error([&] { MonarchShape<1>::block_diagonal(largest, largest, 2); }, {"does not fit 64 bits"});
}
