# qloft_openblas: the routines of OpenBLAS that linalg calls, as one relocatable object.
#
# libtorch exports MKL's sgemm_, sgesdd_ and friends from a shared library, and a linker that meets it
# before libopenblas.a would bind our calls, or LAPACK's calls into BLAS, to those. So the members that
# are needed are joined into one object, every symbol but our own entry points is made local to it, and
# the entry points get names of their own (qloft_blas_*): no link order and no dynamic symbol table can
# mix the two. src/linalg/blas.h declares the entry points; src/linalg/blas_support.cpp defines what the
# object asks back.
find_library(QLOFT_OPENBLAS libopenblas.a PATH_SUFFIXES openblas-pthread REQUIRED)

set(entries cblas_sgemm cblas_strsm cblas_strmm cblas_dsyrk sgeqrf_ sorgqr_ sgesdd_ spotrf_ dpotrf_
            dgetrf_ dgetrs_  # these two for CBC (Cbc.cmake)
            openblas_set_num_threads openblas_get_corename)
set(imports getenv mmap _gfortran_concat_string)

set(folder ${CMAKE_BINARY_DIR}/openblas)
set(undefined)
set(keep)
set(rename)
foreach(entry IN LISTS entries)
  string(REGEX REPLACE "^(cblas_|openblas_)|_$" "" plain ${entry})
  list(APPEND undefined -u ${entry})
  string(APPEND keep "qloft_blas_${plain}\n")
  string(APPEND rename "${entry} qloft_blas_${plain}\n")
endforeach()
foreach(import IN LISTS imports)
  string(REGEX REPLACE "^_gfortran_" "" plain ${import})
  string(APPEND rename "${import} qloft_blas_${plain}\n")
endforeach()
file(CONFIGURE OUTPUT ${folder}/keep.txt CONTENT "${keep}")
file(CONFIGURE OUTPUT ${folder}/rename.txt CONTENT "${rename}")

add_custom_command(
  OUTPUT ${folder}/openblas.o
  COMMAND ${CMAKE_LINKER} -r ${undefined} -o ${folder}/joined.o ${QLOFT_OPENBLAS}
  COMMAND ${CMAKE_OBJCOPY} --redefine-syms=${folder}/rename.txt ${folder}/joined.o ${folder}/renamed.o
  COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${folder}/keep.txt ${folder}/renamed.o ${folder}/openblas.o
  COMMAND ${CMAKE_COMMAND} -E rm ${folder}/joined.o ${folder}/renamed.o
  DEPENDS ${QLOFT_OPENBLAS} ${folder}/keep.txt ${folder}/rename.txt
  COMMENT "Joining OpenBLAS's routines into one object"
  VERBATIM)
add_custom_target(qloft_openblas_object DEPENDS ${folder}/openblas.o)

add_library(qloft_openblas INTERFACE)
add_dependencies(qloft_openblas qloft_openblas_object)
target_sources(qloft_openblas INTERFACE ${folder}/openblas.o)
