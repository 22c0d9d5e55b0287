# What the tests of the example programs share: PROGRAM is the program, FOLDER becomes an empty folder.
get_filename_component(program_name "${PROGRAM}" NAME)
file(REMOVE_RECURSE "${FOLDER}")
file(MAKE_DIRECTORY "${FOLDER}")

# expect(<exit code> <regular expression that the output matches> argument...) runs the program, and sets `output`.
function(expect code expected)
  execute_process(COMMAND "${PROGRAM}" ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT result STREQUAL code OR NOT "${out}${err}" MATCHES "${expected}")
    message(FATAL_ERROR "${program_name} ${ARGN}\nexit code ${result}, ${code} expected; \"${expected}\" expected in\n"
                        "${out}${err}")
  endif()
  string(REGEX MATCHALL "\n" lines "${err}")
  list(LENGTH lines count)
  if(code EQUAL 1 AND count GREATER 2)
    message(FATAL_ERROR "${program_name} ${ARGN}\nan error is one sentence, this is\n${err}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()
