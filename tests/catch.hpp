#pragma once

// Catch2 2.13 (Debian 12) and Catch2 3 (Ubuntu 24.04 and later) behind one header.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#define M2_SKIP(message) SKIP(message)
#elif __has_include(<catch2/catch.hpp>)
#include <catch2/catch.hpp>
#define M2_SKIP(message)          \
  do {                            \
    WARN("SKIPPED: " << message); \
    return;                       \
  } while (false)
#else
#error "The tests need Catch2: apt-get install catch2"
#endif
