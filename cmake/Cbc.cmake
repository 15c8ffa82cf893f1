# qloft_cbc: COIN-OR CBC and the libraries it stands on, as one relocatable object.
#
# Debian's shared libCoinUtils calls the system's LAPACK, which would bring a second OpenBLAS with its
# threads, and its sgemm_ beside libtorch's, into every run of the program. So the members that the four
# entry points need are joined from the static libraries, and their two LAPACK routines are bound to
# linalg's OpenBLAS (OpenBLAS.cmake). zlib and bzip2 are asked for by CBC's readers of compressed files.
find_package(ZLIB REQUIRED)
find_package(BZip2 REQUIRED)
find_path(QLOFT_CBC_INCLUDE CbcModel.hpp PATH_SUFFIXES coin REQUIRED)

set(archives)
foreach(name IN ITEMS Cbc Cgl OsiClp Clp Osi CoinUtils)
  find_library(QLOFT_${name} lib${name}.a REQUIRED)
  list(APPEND archives ${QLOFT_${name}})
endforeach()

# CbcModel(const OsiSolverInterface&), CbcModel::branchAndBound(int), OsiClpSolverInterface(),
# CbcSOS(CbcModel*, int, const int*, const double*, int, int).
set(undefined -u _ZN8CbcModelC1ERK18OsiSolverInterface -u _ZN8CbcModel14branchAndBoundEi
              -u _ZN21OsiClpSolverInterfaceC1Ev -u _ZN6CbcSOSC1EP8CbcModeliPKiPKdii)

set(folder ${CMAKE_BINARY_DIR}/cbc)
file(MAKE_DIRECTORY ${folder})
add_custom_command(
  OUTPUT ${folder}/cbc.o
  COMMAND ${CMAKE_LINKER} -r ${undefined} -o ${folder}/joined.o --start-group ${archives} --end-group
  COMMAND ${CMAKE_OBJCOPY} --redefine-sym dgetrf_=qloft_blas_dgetrf --redefine-sym
          dgetrs_=qloft_blas_dgetrs ${folder}/joined.o ${folder}/cbc.o
  COMMAND ${CMAKE_COMMAND} -E rm ${folder}/joined.o
  DEPENDS ${archives}
  COMMENT "Joining CBC's libraries into one object"
  VERBATIM)
add_custom_target(qloft_cbc_object DEPENDS ${folder}/cbc.o)

add_library(qloft_cbc INTERFACE)
add_dependencies(qloft_cbc qloft_cbc_object)
target_include_directories(qloft_cbc SYSTEM INTERFACE ${QLOFT_CBC_INCLUDE})
target_sources(qloft_cbc INTERFACE ${folder}/cbc.o)
