// From here to end_avx512.h a source of this folder is compiled for AVX-512; its own includes come
// before, chunks.h after. tests/kernels/emulated_avx512_test.cpp brings intrinsics of its own. No
// guard: one unit may hold several sources.
#ifdef QLOFT_EMULATED_AVX512
#define QLOFT_AVX512_INLINE inline  // emulated intrinsics are large
#else
#define QLOFT_AVX512_INLINE inline __attribute__((always_inline))
#include <immintrin.h>

#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own header, GCC bug 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")
#endif
