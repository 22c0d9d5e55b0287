#pragma once
#include "m2/ops/good.hpp"
