# cmake -DBUILD=DIR -DPROGRAM=FILE -DWORK=DIR -DREADELF=FILE -P library_paths.cmake
#
# The built and the installed program name the folders of their libraries by whole paths, or from
# where they stand ($ORIGIN): the loader takes an empty entry for the current folder.

function(check program)
  execute_process(COMMAND ${READELF} -d ${program} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
  if(NOT dynamic MATCHES "R(UN)?PATH[^[]*\\[([^]]*)\\]")
    message(FATAL_ERROR "${program}: expected library paths, found none")
  endif()
  set(paths "${CMAKE_MATCH_2}")
  if(NOT paths MATCHES "^(/|[$]ORIGIN/)[^:]+(:(/|[$]ORIGIN/)[^:]+)*$")
    message(FATAL_ERROR "${program}: expected whole paths, found '${paths}'")
  endif()
  execute_process(COMMAND ${program} --version COMMAND_ERROR_IS_FATAL ANY)
endfunction()

check(${PROGRAM})
file(REMOVE_RECURSE ${WORK})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK} --component runtime
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
check(${WORK}/bin/qloft)
file(REMOVE_RECURSE ${WORK})
