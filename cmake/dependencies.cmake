# What m2 depends on: the installed package first, a pinned release second.
include_guard()
include(FetchContent)

# Downloads a release into <lower-case name>_SOURCE_DIR without running its CMake code.
macro(m2_download name url sha256)
  message(STATUS "m2: ${name} is not installed, downloading ${url}")
  FetchContent_Declare(${name} URL ${url} URL_HASH SHA256=${sha256} DOWNLOAD_EXTRACT_TIMESTAMP ON SOURCE_SUBDIR
                                                                                       not-a-folder)
  FetchContent_MakeAvailable(${name})
endmacro()

# A downloaded library that consists of headers alone.
function(m2_header_target target include_directory)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE "${include_directory}")
endfunction()

# Eigen 3.4 or later. The version is compared here because Eigen 5 refuses a request for 3.4.
function(m2_find_eigen)
  if(TARGET Eigen3::Eigen)
    return()
  endif()
  find_package(Eigen3 CONFIG QUIET GLOBAL)
  if(Eigen3_FOUND AND NOT Eigen3_VERSION VERSION_LESS 3.4)
    return()
  endif()
  if(Eigen3_FOUND)
    message(FATAL_ERROR "m2 needs Eigen 3.4 or later, ${Eigen3_DIR} has ${Eigen3_VERSION}: set Eigen3_DIR to another one.")
  endif()
  m2_download(eigen https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz
              8586084f71f9bde545ee7fa6d00288b264a2b7ac3607b974e54d13e7162c1c72)
  m2_header_target(Eigen3::Eigen "${eigen_SOURCE_DIR}")
  set(eigen_SOURCE_DIR "${eigen_SOURCE_DIR}" PARENT_SCOPE)
endfunction()

function(m2_find_json)
  if(TARGET nlohmann_json::nlohmann_json)
    return()
  endif()
  find_package(nlohmann_json 3.10 CONFIG QUIET GLOBAL)
  if(NOT nlohmann_json_FOUND)
    m2_download(json https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
                d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d)
    m2_header_target(nlohmann_json::nlohmann_json "${json_SOURCE_DIR}/include")
  endif()
endfunction()

function(m2_find_cli11)
  find_package(CLI11 CONFIG QUIET GLOBAL)
  if(NOT CLI11_FOUND)
    m2_download(cli11 https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.4.1.tar.gz
                73b7ec52261ce8fe980a29df6b4ceb66243bb0b779451dbd3d014cfec9fdbb58)
    m2_header_target(CLI11::CLI11 "${cli11_SOURCE_DIR}/include")
  endif()
endfunction()

function(m2_find_fmt)
  find_package(fmt CONFIG QUIET GLOBAL)
  if(NOT fmt_FOUND)
    m2_download(fmt https://github.com/fmtlib/fmt/archive/refs/tags/10.2.1.tar.gz
                1250e4cc58bf06ee631567523f48848dc4596133e163f02615c97f78bab6c811)
    add_subdirectory("${fmt_SOURCE_DIR}" "${fmt_BINARY_DIR}" EXCLUDE_FROM_ALL SYSTEM)
  endif()
endfunction()

# stb_image and stb_image_write, <stb_image.h> and so on. The release is the one that Debian 12 has.
function(m2_find_stb)
  if(TARGET stb::stb)
    return()
  endif()
  find_path(M2_STB_INCLUDE_DIR stb_image_write.h PATH_SUFFIXES stb)
  set(directory "${M2_STB_INCLUDE_DIR}")
  if(NOT directory)
    m2_download(stb https://github.com/nothings/stb/archive/8b5f1f37b5b75829fc72d38e7b5d4bcbf8a26d55.zip
                93a16ee3e866e719feec459f6f132cce932c5ec751eb38e3ec1975f911353d2e)
    set(directory "${stb_SOURCE_DIR}")
  endif()
  m2_header_target(stb::stb "${directory}")
endfunction()

# Catch2 2.13 (Debian 12) or 3; tests/catch.hpp hides the difference.
function(m2_find_catch2)
  find_package(Catch2 CONFIG QUIET GLOBAL)
  if(NOT TARGET Catch2::Catch2WithMain)
    m2_download(catch2 https://github.com/catchorg/Catch2/archive/refs/tags/v3.5.2.tar.gz
                269543a49eb76f40b3f93ff231d4c24c27a7e16c90e47d2e45bcc564de470c6e)
    add_subdirectory("${catch2_SOURCE_DIR}" "${catch2_BINARY_DIR}" EXCLUDE_FROM_ALL SYSTEM)
  endif()
endfunction()

function(m2_find_benchmark)
  find_package(benchmark CONFIG QUIET GLOBAL)
  if(NOT benchmark_FOUND)
    set(BENCHMARK_ENABLE_TESTING OFF CACHE INTERNAL "")
    set(BENCHMARK_ENABLE_INSTALL OFF CACHE INTERNAL "")
    m2_download(googlebenchmark https://github.com/google/benchmark/archive/refs/tags/v1.8.3.tar.gz
                6bc180a57d23d4d9515519f92b0c83d61b05b5bab188961f36ac7b06b0d9e9ce)
    add_subdirectory("${googlebenchmark_SOURCE_DIR}" "${googlebenchmark_BINARY_DIR}" EXCLUDE_FROM_ALL SYSTEM)
  endif()
endfunction()
