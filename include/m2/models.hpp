#pragma once

// Complete models.
#include "m2/backend/cpu.hpp"
#include "m2/models/gpt.hpp"
