# Uses m2_gpt as people do: trains, stops, goes on, writes text, and makes every mistake once.
#   cmake -D PROGRAM=<m2_gpt> -D FOLDER=<empty folder> -P test.cmake
include("${CMAKE_CURRENT_LIST_DIR}/../expect.cmake")
set(ENV{OMP_NUM_THREADS} 1)
set(tiny --length 32 --batch 2 --channels 16 --layers 1 --warmup 2 --evaluate-every 3)

string(REPEAT "The quick brown fox jumps over the lazy dog. " 60 text)
file(WRITE "${FOLDER}/text.txt" "${text}")
set(data --data "${FOLDER}/text.txt")

expect(0 "train" --help)
expect(0 "--learning-rate" train --help)
expect(0 "done" train ${data} --out "${FOLDER}/run" --steps 6 ${tiny})
foreach(file checkpoint.safetensors losses.csv losses.svg)
  if(NOT EXISTS "${FOLDER}/run/${file}")
    message(FATAL_ERROR "training left no ${file}")
  endif()
endforeach()
file(STRINGS "${FOLDER}/run/losses.csv" rows)
list(LENGTH rows count)
if(NOT count EQUAL 7)
  message(FATAL_ERROR "losses.csv has ${count} lines, a header and 6 steps are expected")
endif()

expect(0 "lazy" sample --run "${FOLDER}/run" --prompt "lazy" --bytes 20 --seed 3)
set(first "${output}")
expect(0 "lazy" sample --run "${FOLDER}/run" --prompt "lazy" --bytes 20 --seed 3)
if(NOT first STREQUAL output)
  message(FATAL_ERROR "the same seed wrote other text: ${first} ${output}")
endif()

# A run that is there is not lost, and goes on.
expect(1 "--resume goes on with it" train ${data} --out "${FOLDER}/run" --steps 6 ${tiny})
expect(0 "from step 6" train --resume --out "${FOLDER}/run" --steps 8)
expect(0 "from step 8" train --resume --out "${FOLDER}/run")
file(SHA256 "${FOLDER}/run/checkpoint.safetensors" before)
expect(1 "the model needs" train --resume --out "${FOLDER}/run" --channels 24)
file(WRITE "${FOLDER}/other.txt" "${text}${text}")
expect(1 "is not the one" train --resume --out "${FOLDER}/run" --data "${FOLDER}/other.txt")
expect(1 "step 8, more than the 3" train --resume --out "${FOLDER}/run" --steps 3)
file(SHA256 "${FOLDER}/run/checkpoint.safetensors" after)
if(NOT before STREQUAL after)
  message(FATAL_ERROR "an error changed the checkpoint")
endif()
file(REMOVE "${FOLDER}/run/losses.csv")
expect(0 "done" train --resume --out "${FOLDER}/run")
if(output MATCHES "nan")
  message(FATAL_ERROR "a run with nothing left to do and no curve was not validated:\n${output}")
endif()
expect(0 "from step 0" train ${data} --overwrite --out "${FOLDER}/run" --steps 3 ${tiny})

# Half a run and the other half of it leave what a whole run leaves, bit for bit. The learning rate is constant, so that
# it does not depend on --steps.
set(constant ${tiny} --final-rate 1 --dropout 0.2)
expect(0 "done" train ${data} --out "${FOLDER}/whole" --steps 6 ${constant})
expect(0 "done" train ${data} --out "${FOLDER}/halves" --steps 3 ${constant})
expect(0 "from step 3" train --resume --out "${FOLDER}/halves" --steps 6)
foreach(run whole halves)
  file(SHA256 "${FOLDER}/${run}/checkpoint.safetensors" ${run}_checkpoint)
  file(READ "${FOLDER}/${run}/losses.csv" ${run}_losses)
  string(REGEX REPLACE "\n([0-9]+),[0-9.]+," "\n\\1," ${run}_losses "${${run}_losses}")  # all but the seconds
endforeach()
if(NOT whole_checkpoint STREQUAL halves_checkpoint OR NOT whole_losses STREQUAL halves_losses)
  message(FATAL_ERROR "resuming changed the run:\n${whole_losses}\n${halves_losses}")
endif()

# Causal Monarch matrices along the sequence: the run starts as the plain one, is stopped, goes on and writes text.
set(monarch --sequence-mixing causal-monarch --order 3 --heads 2)
expect(0 "causal-monarch sequence mixing" train ${data} --out "${FOLDER}/monarch" --steps 3 ${constant} ${monarch})
expect(0 "from step 3" train --resume --out "${FOLDER}/monarch" --steps 6)
expect(0 "lazy" sample --run "${FOLDER}/monarch" --prompt "lazy" --bytes 20)
expect(1 "the model needs" train --resume --out "${FOLDER}/whole" --sequence-mixing causal-monarch)
expect(0 "done" train ${data} --overwrite --out "${FOLDER}/halves" --steps 6 ${constant} ${monarch})
foreach(run monarch halves)
  file(SHA256 "${FOLDER}/${run}/checkpoint.safetensors" ${run}_checkpoint)
  file(STRINGS "${FOLDER}/${run}/losses.csv" ${run}_losses)
endforeach()
if(NOT monarch_checkpoint STREQUAL halves_checkpoint)
  message(FATAL_ERROR "resuming changed the run with causal-monarch")
endif()
file(STRINGS "${FOLDER}/whole/losses.csv" whole_losses)
list(GET whole_losses 1 plain_first)
list(GET monarch_losses 1 monarch_first)
string(REGEX REPLACE "^1,[0-9.]+,([0-9]+\\.[0-9][0-9][0-9]).*" "\\1" plain_first "${plain_first}")
string(REGEX REPLACE "^1,[0-9.]+,([0-9]+\\.[0-9][0-9][0-9]).*" "\\1" monarch_first "${monarch_first}")
if(NOT plain_first STREQUAL monarch_first)
  message(FATAL_ERROR "the first loss of causal-monarch is ${monarch_first}, that of the convolution ${plain_first}")
endif()
# Checkpoints of before there was a choice have a plan without these settings; names that nobody reads are as good.
file(MAKE_DIRECTORY "${FOLDER}/old")
file(COPY "${FOLDER}/whole/losses.csv" DESTINATION "${FOLDER}/old")
execute_process(COMMAND "${CMAKE_COMMAND}" -E env LC_ALL=C sed -e "1s/sequence_mixing/Sequence_mixing/;1s/order/Order/;1s/heads/Heads/"
                        "${FOLDER}/whole/checkpoint.safetensors" OUTPUT_FILE "${FOLDER}/old/checkpoint.safetensors")
file(SHA256 "${FOLDER}/old/checkpoint.safetensors" old_checkpoint)
if(old_checkpoint STREQUAL whole_checkpoint)
  message(FATAL_ERROR "the plan of the old checkpoint has all settings")
endif()
expect(0 "lazy" sample --run "${FOLDER}/old" --prompt "lazy" --bytes 20)
expect(0 "from step 6" train --resume --out "${FOLDER}/old" --steps 7)

# A run of one step has a curve of one point, and it is seen.
expect(0 "done" train ${data} --out "${FOLDER}/one" --steps 1 ${tiny})
file(READ "${FOLDER}/one/losses.svg" picture)
if(NOT picture MATCHES "circle.*circle" OR picture MATCHES "nan|inf")
  message(FATAL_ERROR "one step makes the picture\n${picture}")
endif()

# Losses that are huge and equal make a picture, too, not an endless loop.
file(WRITE "${FOLDER}/one/losses.csv" "step,seconds,training_loss,validation_loss\n1,0.1,1e15,1e15\n")
expect(0 "done" train --resume --out "${FOLDER}/one")

# A run that is overwritten and fails does not come back.
expect(1 "loss of step" train ${data} --overwrite --out "${FOLDER}/one" --steps 9 --learning-rate 1e30 ${tiny})
expect(0 "from step 0" train --resume --out "${FOLDER}/one" --learning-rate 0.01)

# Bad input.
file(WRITE "${FOLDER}/empty.txt" "")
file(WRITE "${FOLDER}/short.txt" "too short")
execute_process(COMMAND printf "bad \\377 byte" OUTPUT_FILE "${FOLDER}/bad.txt")
expect(1 "nowhere.txt" train --data "${FOLDER}/nowhere.txt" --out "${FOLDER}/new" ${tiny})
expect(1 "empty" train --data "${FOLDER}/empty.txt" --out "${FOLDER}/new" ${tiny})
expect(1 "folder" train --data "${FOLDER}" --out "${FOLDER}/new" ${tiny})
expect(1 "one sequence needs 1099511627777" train ${data} --out "${FOLDER}/new" --length 1099511627776)
expect(1 "layers" train ${data} --out "${FOLDER}/new" --layers 1000000000000)
expect(1 "one sequence needs 33" train --data "${FOLDER}/short.txt" --out "${FOLDER}/new" ${tiny})
expect(1 "byte 4" train --data "${FOLDER}/bad.txt" --out "${FOLDER}/new" ${tiny})
expect(1 "cannot be made" train ${data} --out "${FOLDER}/text.txt/new" ${tiny})
expect(1 "no such file" train --resume --out "${FOLDER}/never")
expect(1 "no such file" sample --run "${FOLDER}/never")
expect(1 "--steps" train ${data} --out "${FOLDER}/new" --steps none)
expect(1 "--mixing" train ${data} --out "${FOLDER}/new" --mixing magic)
expect(1 "--sequence-mixing" train ${data} --out "${FOLDER}/new" --sequence-mixing magic)
expect(1 "--order" train ${data} --out "${FOLDER}/new" --order 5)
expect(1 "3 heads do not divide 16" train ${data} --out "${FOLDER}/new" --sequence-mixing causal-monarch --heads 3 ${tiny})
expect(1 "--nonsense" train --nonsense)
expect(1 "subcommand" --seed 3)
expect(1 "memory" train ${data} --out "${FOLDER}/new" --length 32 --channels 1000000)
expect(1 "too many" train ${data} --out "${FOLDER}/new" --length 32 --channels 100000000000)
file(WRITE "${FOLDER}/broken/checkpoint.safetensors" "not a checkpoint at all")
expect(1 "checkpoint.safetensors" sample --run "${FOLDER}/broken")
expect(1 "prompt" sample --run "${FOLDER}/run" --prompt "")
expect(1 "temperature" sample --run "${FOLDER}/run" --temperature nan)
file(WRITE "${FOLDER}/foreign.sh" "
cp '${FOLDER}/text.txt' \"$(printf '${FOLDER}/\\377.txt')\"
'${PROGRAM}' train --data \"$(printf '${FOLDER}/\\377.txt')\" --out '${FOLDER}/foreign' --steps 2 > '${FOLDER}/foreign.txt' 2>&1
")
execute_process(COMMAND sh "${FOLDER}/foreign.sh" RESULT_VARIABLE result)
execute_process(COMMAND grep -c "is not UTF-8, a checkpoint cannot name it" "${FOLDER}/foreign.txt" OUTPUT_VARIABLE count)
if(NOT result EQUAL 1 OR NOT count EQUAL 1)
  message(FATAL_ERROR "a path that is not UTF-8: exit code ${result}, ${count} sentences")
endif()
if(EXISTS /dev/full)
  execute_process(COMMAND sh -c "'${PROGRAM}' sample --run '${FOLDER}/run' --bytes 5 > /dev/full" RESULT_VARIABLE result
                  ERROR_VARIABLE said)
  if(NOT result EQUAL 1 OR NOT said MATCHES "cannot be written")
    message(FATAL_ERROR "a full disk under sample: exit code ${result}, ${said}")
  endif()
endif()

# Ctrl-C once training is under way: everything is saved, and the run goes on.
string(JOIN " " command "'${PROGRAM}' train --data '${FOLDER}/text.txt' --out '${FOLDER}/stopped' --steps 1000000" ${tiny})
file(WRITE "${FOLDER}/interrupt.sh" "
${command} > '${FOLDER}/stopped.txt' 2>&1 &
tries=0
until grep -q validation '${FOLDER}/stopped.txt' || [ $tries -ge 600 ]; do tries=$((tries + 1)); sleep 0.1; done
kill -INT $!
wait $!
")
execute_process(COMMAND sh "${FOLDER}/interrupt.sh" RESULT_VARIABLE result)
file(READ "${FOLDER}/stopped.txt" said)
if(NOT result EQUAL 130 OR NOT said MATCHES "m2_gpt train --resume --out")
  message(FATAL_ERROR "after Ctrl-C: exit code ${result}, and\n${said}")
endif()
string(REGEX MATCH "stopped after step ([0-9]+)" stopped "${said}")
math(EXPR more "${CMAKE_MATCH_1} + 2")
expect(0 "from step ${CMAKE_MATCH_1}" train --resume --out "${FOLDER}/stopped" --steps ${more})

# A reader of the output that goes away ends the run, and loses nothing either.
execute_process(COMMAND "${PROGRAM}" train ${data} --out "${FOLDER}/unread" --steps 1000000 ${tiny} COMMAND head -n 4
                OUTPUT_QUIET ERROR_QUIET)
expect(0 "done" train --resume --out "${FOLDER}/unread" --steps 1000)
if(output MATCHES "from step 0")
  message(FATAL_ERROR "after its reader had gone, the run was not saved:\n${output}")
endif()
message(STATUS "m2_gpt: all as it should be")
