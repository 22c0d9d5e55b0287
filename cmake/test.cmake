# cmake -P cmake/test.cmake
# Sets up what is missing, builds the tests twice (optimised; with address and undefined-behaviour sanitizers) and runs both.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/setup.cmake")

m2_install(CLANG ${M2_LIBRARY_PACKAGES} catch2 librapidcheck-dev)

set(build "${M2_ROOT}/build/test")
m2_build("${build}/release"
         OPTIONS -D CMAKE_BUILD_TYPE=Release -D CMAKE_CXX_FLAGS_RELEASE=-O1 -D M2_BUILD_TESTS=ON -D M2_BUILD_EXAMPLES=ON
                 -D M2_BUILD_BENCH=ON)
# Sanitizers triple the time to compile at -O1, so this build has no optimisation.
m2_build("${build}/sanitized"
         OPTIONS -D CMAKE_BUILD_TYPE=Debug -D CMAKE_CXX_FLAGS_DEBUG=-g1 -D M2_SANITIZE=address,undefined
                 -D M2_BUILD_TESTS=ON -D M2_BUILD_EXAMPLES=OFF -D M2_BUILD_BENCH=OFF)

# One ctest over both builds: one list of results, one summary.
file(WRITE "${build}/CTestTestfile.cmake" "subdirs(release sanitized)\n")
m2_run("${CMAKE_CTEST_COMMAND}" --test-dir "${build}" --output-on-failure --parallel ${M2_CORES} --no-label-summary)
