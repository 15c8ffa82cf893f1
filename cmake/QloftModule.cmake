# qloft_module(NAME STANDS_ON MODULE... [USES LIBRARY...] [TORCH] [SEPARATE])
#
# One module of the map: a static library of src/NAME/**.cpp with the public headers
# include/qloft/NAME.h and include/qloft/NAME/*.h. STANDS_ON names the modules on lower floors that it
# may include; USES names outside libraries; TORCH puts it above the torch line;
# SEPARATE compiles each source by itself even in a unity build.
function(qloft_module name)
  cmake_parse_arguments(MODULE "TORCH;SEPARATE" "" "STANDS_ON;USES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  if(NOT sources)
    return()  # a module is born with its first source
  endif()
  set(target qloft_${name})
  add_library(${target} STATIC ${sources})
  add_library(qloft::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
    PRIVATE ${CMAKE_SOURCE_DIR}/src/${name})
  foreach(lower IN LISTS MODULE_STANDS_ON)
    if(TARGET qloft_${lower})
      target_link_libraries(${target} PUBLIC qloft_${lower})
    endif()
  endforeach()
  # Outside libraries are no part of what is installed: the package file finds them anew (Install.cmake).
  foreach(library IN LISTS MODULE_USES)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${library}>)
  endforeach()
  set_property(GLOBAL APPEND PROPERTY QLOFT_MODULES ${name})
  set_target_properties(${target} PROPERTIES QLOFT_USES "${MODULE_USES}")
  if(MODULE_TORCH)
    target_link_libraries(${target} PUBLIC $<BUILD_INTERFACE:qloft_torch>)
    set_property(TARGET ${target} APPEND PROPERTY QLOFT_USES qloft_torch)
  endif()
  if(NOT MODULE_SEPARATE)
    qloft_unity_build(${target})
  endif()
  qloft_compile_options(${target})
endfunction()

# Compiles the sources of `target` several at once, so that they read the headers of torch, the JSON
# library and the command line library once. Without QLOFT_UNITY_BUILD each is compiled by itself, which
# shows includes that are missing and rebuilds less after a change.
function(qloft_unity_build target)
  if(QLOFT_UNITY_BUILD)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 24)
  endif()
endfunction()

# For code that runs once: optimizing the templates of the test and command line libraries takes longer
# than they ever run.
function(qloft_optimize_less target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)
endfunction()

function(qloft_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # false in std::string, GCC bug 105651
  endif()
  if(QLOFT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${QLOFT_SANITIZE} -fno-sanitize-recover=all
                           -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${QLOFT_SANITIZE})
  endif()
endfunction()
