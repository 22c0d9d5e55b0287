#include "tests/compiled.hpp"

namespace m2::detail {

template class FilteredConvolution<float, Cpu>;
template class FilteredConvolution<double, Cpu>;
template class FilteredConvolution<double, test::Serial>;

}  // namespace m2::detail
