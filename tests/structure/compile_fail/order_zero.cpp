// expect: A Monarch matrix has at least one factor: Order >= 1.
#include "m2/monarch/shape.hpp"

int main() { return static_cast<int>(m2::MonarchShape<0>::square({}).in_features()); }
