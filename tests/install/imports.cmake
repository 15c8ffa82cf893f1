# cmake -DPROGRAM=FILE -DNM=FILE -P imports.cmake
#
# Of what reaches the network, loads code or runs other programs, the program calls posix_spawnp alone,
# for the plots of compare (gnuplot).

execute_process(COMMAND ${NM} -D --undefined-only ${PROGRAM} OUTPUT_VARIABLE imports COMMAND_ERROR_IS_FATAL ANY)
if(NOT imports MATCHES " U posix_spawnp@")
  message(FATAL_ERROR "${PROGRAM}: expected the functions that it imports, found\n${imports}")
endif()
foreach(refused IN ITEMS
        socket connect bind listen getaddrinfo gethostbyname dlopen dlmopen system popen fork vfork
        execl execlp execle execv execvp execve execvpe fexecve posix_spawn)
  if(imports MATCHES " U ${refused}(@|\n)")
    message(FATAL_ERROR "${PROGRAM}: expected no call of ${refused}, found one")
  endif()
endforeach()
