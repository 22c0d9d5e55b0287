#include "tests/support.hpp"

using namespace m2;
using namespace m2::test;

TEMPLATE_TEST_CASE("tensors start at zero and own their elements", "[core][tensor]", Cpu, Serial) {
  TestType be;
  Tensor<float, 3, TestType> tensor(be, {2, 3, 5});
  REQUIRE(tensor.size() == 30);
  REQUIRE(tensor.extent(2) == 5);
  REQUIRE(tensor.view().is_contiguous());
  require_close(to_host(tensor.cview()), std::vector<double>(30), 0);
  tensor.view()(1, 2, 4) = 7;
  const float* data = tensor.data();
  const Tensor<float, 3, TestType> moved = std::move(tensor);
  REQUIRE(moved.data() == data);
  REQUIRE(moved.view()(1, 2, 4) == 7.0F);
  STATIC_REQUIRE(!std::is_copy_constructible_v<Tensor<float, 3, Cpu>>);
  STATIC_REQUIRE(std::is_same_v<decltype(moved.view()), View<const float, 3, TestType>>);
}

TEMPLATE_TEST_CASE("tensors may be empty", "[core][tensor]", Cpu, Serial) {
  TestType be;
  const Tensor<double, 2, TestType> none;
  REQUIRE(none.size() == 0);
  const Tensor<double, 2, TestType> empty(be, {0, 4});
  REQUIRE(empty.size() == 0);
  REQUIRE(empty.extents() == Extents<2>{0, 4});
}

TEST_CASE("CPU tensors start on a cache line", "[core][tensor]") {
  Cpu be;
  for (const Index n : {1, 3, 1000}) {
    const Tensor<float, 1, Cpu> tensor(be, {n});
    REQUIRE(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64 == 0);
  }
}

TEST_CASE("tensors refuse extents that no memory can hold", "[core][tensor]") {
  Cpu be;
  const Index huge = Index{1} << 40;
  require_error([&] { Tensor<float, 2, Cpu>(be, {-1, 4}); }, {"tensor", "(-1, 4)", "negative"});
  require_error([&] { Tensor<float, 2, Cpu>(be, {huge, huge}); }, {"tensor", "too large"});
  require_error([&] { Tensor<double, 3, Cpu>(be, {huge, huge, huge}); }, {"tensor", "too large"});
}
