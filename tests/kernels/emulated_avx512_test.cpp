// The AVX-512 kernels on a machine without AVX-512: their source once more, its intrinsics
// emulated. They call the AVX2 kernels, so they stand beside these only where AVX2 runs.

#include "support.h"

#if defined(__x86_64__) && __has_include(<simde/x86/avx512.h>)

#include "emulated_avx512.h"

#define QLOFT_EMULATED_AVX512
#define avx512_kernels emulated_avx512_kernels
#define avx512_table emulated_avx512_table
#define int8_avx512_table emulated_int8_avx512_table
#include "../../src/kernels/avx512/decode.cpp"
#include "../../src/kernels/avx512/dot.cpp"
#include "../../src/kernels/avx512/dot_bytes.cpp"
#include "../../src/kernels/avx512/encode.cpp"
#include "../../src/kernels/avx512/int8.cpp"
#include "../../src/kernels/avx512/scales.cpp"
#include "../../src/kernels/avx512/table.cpp"
#include "../../src/kernels/avx512/trellis.cpp"

namespace qloft::kernels {

const Table* emulated_avx512() {
  return &emulated_avx512_table();
}
const Int8Table* emulated_int8_avx512() {
  return &emulated_int8_avx512_table();
}

}  // namespace qloft::kernels

#else

namespace qloft::kernels {

const Table* emulated_avx512() {
  return nullptr;
}
const Int8Table* emulated_int8_avx512() {
  return nullptr;
}

}  // namespace qloft::kernels

#endif
