#pragma once

/// Files: text, safetensors, checkpoints. Needs JSON for Modern C++ (nlohmann-json3-dev).
#include "m2/io/atomic_file.hpp"
#include "m2/io/checkpoint.hpp"
#include "m2/io/safetensors.hpp"
#include "m2/io/text_file.hpp"
