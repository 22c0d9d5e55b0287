#pragma once

/// Everything on the CPU. The io layer takes part where its one dependency, nlohmann-json, is installed.
#include "m2/causal.hpp"
#include "m2/conv.hpp"
#include "m2/mixer.hpp"
#include "m2/models.hpp"
#include "m2/monarch.hpp"
#include "m2/projection.hpp"
#include "m2/train.hpp"
#include "m2/transforms.hpp"
#include "m2/version.hpp"
#if __has_include(<nlohmann/json.hpp>)
#include "m2/io.hpp"
#endif
