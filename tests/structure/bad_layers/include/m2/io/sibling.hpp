// expect: include/m2/io/sibling.hpp: m2/train/good.hpp: io does not see train
#pragma once
#include "m2/train/good.hpp"
