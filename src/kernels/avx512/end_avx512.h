// The end of what begin_avx512.h begins.
#ifndef QLOFT_EMULATED_AVX512
#pragma GCC pop_options
#endif
#undef QLOFT_AVX512_INLINE
