// expect: include/m2/nn/product.hpp: m2/good.hpp: a layer does not include the product's own headers
#pragma once
#include "m2/good.hpp"
