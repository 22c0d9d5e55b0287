#pragma once
#include "m2/backend/cpu.hpp"
#include "m2/nn/good.hpp"
