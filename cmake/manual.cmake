# SPDX-License-Identifier: Apache-2.0
# Has the program print its man pages and completions: cmake -DPROGRAM=xtransplant -DOUTPUT=FOLDER -P manual.cmake
# FOLDER then holds man1/*.1, bash/xtransplant, zsh/_xtransplant and fish/xtransplant.fish.
function(print_to file)
  execute_process(COMMAND ${PROGRAM} help ${ARGN} OUTPUT_FILE ${OUTPUT}/${file} RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} help ${ARGN}: ${code}")
  endif()
endfunction()

file(REMOVE_RECURSE ${OUTPUT})
file(MAKE_DIRECTORY ${OUTPUT}/man1 ${OUTPUT}/bash ${OUTPUT}/zsh ${OUTPUT}/fish)
execute_process(COMMAND ${PROGRAM} help --names OUTPUT_VARIABLE verbs OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" verbs "${verbs}")
print_to(man1/xtransplant.1 --man)
foreach(verb ${verbs})
  print_to(man1/xtransplant-${verb}.1 --man ${verb})
endforeach()
print_to(bash/xtransplant --completion bash)
print_to(zsh/_xtransplant --completion zsh)
print_to(fish/xtransplant.fish --completion fish)
