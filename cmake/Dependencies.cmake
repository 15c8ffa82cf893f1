# Everything from outside, found once. scripts/setup installs it; docs/architecture.md says why each.

find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)

include(OpenBLAS)
include(Cbc)

# libtorch from the torch wheel. Its own CMake package insists on a CUDA toolkit; the CPU part needs
# none, so the three libraries are named here.
add_library(qloft_torch INTERFACE)
target_include_directories(qloft_torch SYSTEM INTERFACE
  ${QLOFT_TORCH_ROOT}/include ${QLOFT_TORCH_ROOT}/include/torch/csrc/api/include)
target_compile_definitions(qloft_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(qloft_torch INTERFACE
  ${QLOFT_TORCH_ROOT}/lib/libtorch_cpu.so ${QLOFT_TORCH_ROOT}/lib/libc10.so Threads::Threads)
target_link_options(qloft_torch INTERFACE
  -Wl,-rpath-link,${QLOFT_TORCH_ROOT}/lib:${QLOFT_TORCH_ROOT}/../nvidia/cu13/lib)
