#pragma once
#include "m2/nn/good.hpp"
