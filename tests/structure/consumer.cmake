# cmake -D HOW=find_package|add_subdirectory|FetchContent|pkg-config -D ROOT=<m2> -D BUILD=<build folder of m2>
#       -D WORK=<scratch folder> -D GENERATOR=<generator> -D COMPILER=<compiler> -D EIGEN=<Eigen3_DIR>
#       -D EIGEN_SOURCE=<Eigen, if it was downloaded> -P consumer.cmake
# Builds and runs the project in consumer/ against m2.
cmake_minimum_required(VERSION 3.25)
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "This failed (${result}): ${ARGV}")
  endif()
endfunction()

set(source "${CMAKE_CURRENT_LIST_DIR}/consumer")
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
set(prefix "${WORK}/installed")
if(HOW MATCHES "^(find_package|pkg-config)$")
  run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")
endif()

if(HOW STREQUAL "pkg-config")
  set(ENV{PKG_CONFIG_PATH} "${prefix}/share/pkgconfig")
  execute_process(COMMAND pkg-config --cflags m2 OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags)
  run("${COMPILER}" -std=c++20 ${flags} "${source}/main.cpp" -o "${WORK}/consumer")
  run("${WORK}/consumer")
else()
  run("${CMAKE_COMMAND}" -S "${source}" -B "${WORK}/build" -G "${GENERATOR}" -D CMAKE_CXX_COMPILER=${COMPILER}
      -D CMAKE_BUILD_TYPE=Debug -D M2_HOW=${HOW} -D M2_ROOT=${ROOT} -D CMAKE_PREFIX_PATH=${prefix} -D Eigen3_DIR=${EIGEN}
      -D FETCHCONTENT_SOURCE_DIR_EIGEN=${EIGEN_SOURCE})
  run("${CMAKE_COMMAND}" --build "${WORK}/build")
  run("${WORK}/build/consumer")
endif()
