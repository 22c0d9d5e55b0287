# How we compile our own tests, benchmarks and programs. None of this reaches m2::m2.
include_guard()

set(m2_warning_flags -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow)
add_library(m2_own INTERFACE)
target_compile_options(m2_own INTERFACE ${m2_warning_flags})
if(M2_WARNINGS_AS_ERRORS)
  target_compile_options(m2_own INTERFACE -Werror)
endif()

# Compiles a target, with PRIVATE or INTERFACE options, for an instruction set. g++ 12 warns inside its own AVX-512 header
# (GCC bug 105593).
function(m2_compile_for target scope isa)
  target_compile_options(${target} ${scope} -march=${isa})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} ${scope} -Wno-maybe-uninitialized)
  endif()
endfunction()

if(M2_MARCH)
  m2_compile_for(m2_own INTERFACE ${M2_MARCH})
endif()

if(M2_SANITIZE)
  string(REPLACE ";" "," m2_sanitizers "${M2_SANITIZE}")
  target_compile_options(m2_own INTERFACE -fsanitize=${m2_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(m2_own INTERFACE -fsanitize=${m2_sanitizers})
endif()

# g++ 12 warns in code that a sanitizer has rewritten.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND M2_SANITIZE)
  target_compile_options(m2_own INTERFACE -Wno-maybe-uninitialized)
endif()

# Clang warns where it finds no SIMD form of a loop, which at -O0 and -O1 is every loop.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(m2_own INTERFACE -Wno-pass-failed)
endif()

# One of our programs: strict warnings, C++20 without extensions, includes as "m2/..." and "tests/...".
function(m2_own_target target)
  target_link_libraries(${target} PRIVATE m2_own m2::m2)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# Without a build type there would be no optimisation at all.
get_property(m2_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT m2_multi_config)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()
