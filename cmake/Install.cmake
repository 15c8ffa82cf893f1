# cmake --install: the program with what it needs at run time, the static libraries with their public
# headers and a package file, shell completions and the man page.
#
#   find_package(qloft REQUIRED)
#   target_link_libraries(app PRIVATE qloft::pipeline)
#
# Two components: runtime, and development (libraries, headers, package file).

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# A libtorch that scripts/setup put into the checkout is copied beside the program, so that the
# installed one does not depend on the checkout; one that was named stays where it is.
string(FIND ${QLOFT_TORCH_ROOT} ${CMAKE_SOURCE_DIR}/ position)
if(position EQUAL 0)
  set(qloft_private_libraries ${CMAKE_INSTALL_LIBDIR}/qloft)
  file(GLOB libraries ${QLOFT_TORCH_ROOT}/lib/libtorch_cpu.so ${QLOFT_TORCH_ROOT}/lib/libc10.so
                      ${QLOFT_TORCH_ROOT}/lib/libgomp*.so* ${QLOFT_TORCH_ROOT}/../nvidia/cu13/lib/libcudart.so.*
                      ${QLOFT_TORCH_ROOT}/../nvidia/cu13/lib/libcupti.so.*)
  install(FILES ${libraries} DESTINATION ${qloft_private_libraries} COMPONENT runtime)
  file(RELATIVE_PATH from_program /${CMAKE_INSTALL_BINDIR} /${qloft_private_libraries})
  set(qloft_rpath "$ORIGIN/${from_program}")
else()
  set(qloft_rpath "${QLOFT_TORCH_ROOT}/lib")
endif()
# Where CMake itself is to replace the built program's path by the installed one's, it ends the former
# with ":", an empty entry, for which the loader looks in the current folder: a model's, say.
set_target_properties(qloft PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${QLOFT_TORCH_ROOT}/lib")
install(TARGETS qloft RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
string(REPLACE "$" "\\$" qloft_rpath_in_script "${qloft_rpath}")
install(CODE "file(RPATH_CHANGE FILE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/qloft\"
  OLD_RPATH \"${QLOFT_TORCH_ROOT}/lib\" NEW_RPATH \"${qloft_rpath_in_script}\")" COMPONENT runtime)

# The libraries. What they use from outside is not exported with them: the package file finds it anew
# (qloft_outside: "module library library ..." a module), so that no path of this machine's build
# stands in it but that of a named libtorch.
get_property(modules GLOBAL PROPERTY QLOFT_MODULES)
set(targets "")
set(qloft_outside "")
foreach(module IN LISTS modules)
  list(APPEND targets qloft_${module})
  get_target_property(uses qloft_${module} QLOFT_USES)
  list(REMOVE_ITEM uses qloft_openblas qloft_cbc)  # their objects stand in the archives of linalg, plan
  if(uses)
    list(JOIN uses " " uses)
    string(APPEND qloft_outside "target_link_libraries(qloft::${module} INTERFACE ${uses})\n")
  endif()
endforeach()
install(TARGETS ${targets} EXPORT qloftTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT qloftTargets NAMESPACE qloft:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/qloft
  COMPONENT development)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/qloft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT development)

set(config ${CMAKE_BINARY_DIR}/package/qloftConfig.cmake)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/qloftConfig.cmake.in ${config}
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/qloft)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/qloftConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${config} ${CMAKE_BINARY_DIR}/package/qloftConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/qloft COMPONENT development)

# The man page is the program's own --help, so the two cannot disagree.
set(man_page ${CMAKE_BINARY_DIR}/qloft.1)
add_custom_command(OUTPUT ${man_page}
  COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:qloft> -DVERSION=${PROJECT_VERSION} -DOUT=${man_page}
          -P ${CMAKE_SOURCE_DIR}/cmake/ManPage.cmake
  DEPENDS qloft ${CMAKE_SOURCE_DIR}/cmake/ManPage.cmake
  COMMENT "Writing the man page" VERBATIM)
add_custom_target(qloft_man_page ALL DEPENDS ${man_page})
install(FILES ${man_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT runtime)

set(completions ${CMAKE_SOURCE_DIR}/cmake/completions)
install(FILES ${completions}/qloft.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME qloft COMPONENT runtime)
install(FILES ${completions}/_qloft DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
  COMPONENT runtime)
install(FILES ${completions}/qloft.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
  COMPONENT runtime)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR}
  COMPONENT runtime)
