# cmake -P cmake/demo.cmake
# Sets up what is missing, trains a small M2-GPT on text, samples from it, and prints Monarch products against dense ones.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/setup.cmake")

m2_install(${M2_LIBRARY_PACKAGES})

set(build "${M2_ROOT}/build/demo")
m2_build("${build}"
         OPTIONS -D CMAKE_BUILD_TYPE=Release -D M2_MARCH=native -D M2_BUILD_TESTS=OFF -D M2_BUILD_EXAMPLES=ON
                 -D M2_BUILD_BENCH=ON -D M2_WARNINGS_AS_ERRORS=OFF
         TARGETS m2_gpt m2_bench)

m2_run("${build}/examples/m2_gpt" train --out "${build}/gpt" --overwrite)
m2_run("${build}/examples/m2_gpt" sample --run "${build}/gpt" --bytes 300)
m2_run("${CMAKE_COMMAND}" --build "${build}" --target bench_table)
