# cmake -D COMPILER=<compiler> -D FLAGS=<one flag, @file for more> -D SOURCE=<program> -P compile_fail.cmake
#
# The program must not compile, and the compiler must print the sentence of its line "// expect: sentence". Sentences that
# compilers word in their own way have more lines, "// or: sentence"; one of them must be printed. A program may have several
# such groups.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND "${CMAKE_COMMAND}" -E env LC_ALL=C "${COMPILER}" "${FLAGS}" -fsyntax-only "${SOURCE}" RESULT_VARIABLE result
                OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles.")
endif()

file(STRINGS "${SOURCE}" lines REGEX "^// (expect|or): ")
if(NOT lines)
  message(FATAL_ERROR "${SOURCE} has no line \"// expect: sentence\".")
endif()
set(found TRUE)
set(wanted "")
foreach(line IN LISTS lines ITEMS "// expect: ")
  if(line MATCHES "^// expect: +(.*)$")
    if(NOT found)
      message(FATAL_ERROR "${SOURCE} fails to compile without this sentence:\n  ${wanted}\n\n${output}")
    endif()
    set(found FALSE)
  endif()
  string(REGEX REPLACE "^// (expect|or): +" "" wanted "${line}")
  string(FIND "${output}" "${wanted}" position)
  if(NOT position EQUAL -1)
    set(found TRUE)
  endif()
endforeach()
