// expect: include/m2/train/json.hpp: nlohmann/json.hpp: JSON belongs in io
#pragma once
#include <nlohmann/json.hpp>
