#pragma once

/// The version of m2. CMake, the installed package and pkg-config read it from here.
#define M2_VERSION_MAJOR 0
#define M2_VERSION_MINOR 1
#define M2_VERSION_PATCH 0
#define M2_VERSION_STRING "0.1.0"

/// One number to compare in #if: 10000 major + 100 minor + patch.
#define M2_VERSION (10000 * M2_VERSION_MAJOR + 100 * M2_VERSION_MINOR + M2_VERSION_PATCH)
