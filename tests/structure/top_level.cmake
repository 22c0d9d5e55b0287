# cmake -D ROOT=<m2> -P top_level.cmake
# The top level of the repository holds these and hidden files, nothing else.
cmake_minimum_required(VERSION 3.25)
set(allowed include tests bench examples cmake CMakeLists.txt README.md LICENSE CHANGELOG.md CITATION.cff
            CMakePresets.json)
file(GLOB entries RELATIVE "${ROOT}" "${ROOT}/*")
list(REMOVE_ITEM entries ${allowed})
list(FILTER entries EXCLUDE REGEX "^(\\..*|build.*|CMakeUserPresets\\.json|compile_commands\\.json)$")
if(entries)
  message(FATAL_ERROR "These do not belong in the top level of the repository: ${entries}")
endif()
foreach(name IN LISTS allowed)
  if(NOT EXISTS "${ROOT}/${name}")
    message(FATAL_ERROR "${name} is missing from the top level of the repository.")
  endif()
endforeach()
