#pragma once

/// Training: data, optimizer, schedules and the loop.
#include "m2/train/adamw.hpp"
#include "m2/train/batch_source.hpp"
#include "m2/train/gradient_clipping.hpp"
#include "m2/train/loop.hpp"
#include "m2/train/optimizer.hpp"
#include "m2/train/random_sites.hpp"
#include "m2/train/schedule.hpp"
#include "m2/train/token_windows.hpp"
