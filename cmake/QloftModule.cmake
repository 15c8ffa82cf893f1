# qloft_module(NAME STANDS_ON MODULE... [USES LIBRARY...] [TORCH])
#
# One module of the map: a static library of src/NAME/**.cpp with the public headers
# include/qloft/NAME.h and include/qloft/NAME/*.h. STANDS_ON names the modules on lower floors that it
# may include; USES names outside libraries; TORCH puts it above the torch line.
function(qloft_module name)
  cmake_parse_arguments(MODULE "TORCH" "" "STANDS_ON;USES" ${ARGN})
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
    qloft_precompile_torch(${target})
  endif()
  qloft_compile_options(${target})
endfunction()

# One precompiled torch header, made once and shared by all targets above the torch line.
function(qloft_precompile_torch target)
  if(NOT TARGET qloft_torch_pch)
    file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cpp "")
    add_library(qloft_torch_pch STATIC ${CMAKE_BINARY_DIR}/torch_pch.cpp)
    target_link_libraries(qloft_torch_pch PRIVATE qloft_torch)
    qloft_compile_options(qloft_torch_pch)
    target_precompile_headers(qloft_torch_pch PRIVATE <torch/torch.h>)
  endif()
  target_precompile_headers(${target} REUSE_FROM qloft_torch_pch)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    # The header was compiled with -fPIC; a compilation with -fPIE would pass it over.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

function(qloft_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow)
  if(QLOFT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${QLOFT_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${QLOFT_SANITIZE})
  endif()
endfunction()
