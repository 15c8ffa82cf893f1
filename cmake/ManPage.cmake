# cmake -DPROGRAM=FILE -DVERSION=X -DOUT=FILE -P ManPage.cmake
#
# Writes qloft(1) from `qloft --help` and `qloft COMMAND --help`.

function(help out)
  execute_process(COMMAND ${PROGRAM} ${ARGN} --help OUTPUT_VARIABLE text RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} ${ARGN} --help: exit status ${status}")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# Plain text to roff: backslashes and hyphens escaped, no line that begins with a control character.
function(append_block text)
  string(REPLACE "\\" "\\e" text "${text}")
  string(REPLACE "-" "\\-" text "${text}")
  string(REGEX REPLACE "(^|\n)([.'])" "\\1\\\\&\\2" text "${text}")
  file(APPEND ${OUT}.partial ".nf\n${text}\n.fi\n")
endfunction()

help(overview)
file(WRITE ${OUT}.partial ".TH QLOFT 1 \"\" \"qloft ${VERSION}\" \"User commands\"\n"
  ".SH NAME\nqloft \\- low\\-bit fine\\-tuning of language models: W = Q + B A\n"
  ".SH SYNOPSIS\n.B qloft\n.I COMMAND MODEL\n.RI [ options ]\n.SH DESCRIPTION\n")
append_block("${overview}")

# "  name   summary" lines under a heading that names commands.
string(REGEX REPLACE ";" "," lines "${overview}")
string(REPLACE "\n" ";" lines "${lines}")
set(listing FALSE)
set(commands 0)
foreach(line IN LISTS lines)
  if(line MATCHES "^[^ ].*(ommands|OMMANDS)")
    set(listing TRUE)
  elseif(line MATCHES "^[^ ]")
    set(listing FALSE)
  elseif(listing AND line MATCHES "^  ([a-z]+)  ")
    set(command ${CMAKE_MATCH_1})
    help(text ${command})
    file(APPEND ${OUT}.partial ".SH qloft ${command}\n")
    append_block("${text}")
    math(EXPR commands "${commands} + 1")
  endif()
endforeach()
if(commands EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} --help: expected a list of commands, found none")
endif()
file(APPEND ${OUT}.partial ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage or wrong input, 130 interrupted.\n")
file(RENAME ${OUT}.partial ${OUT})
