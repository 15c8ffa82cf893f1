#pragma once
// Values of 256 looked up by their bytes, which needs VBMI; not where intrinsics are emulated.
// For the sources of this folder alone, as chunks.h is.

#ifndef QLOFT_EMULATED_AVX512
#pragma GCC push_options
#pragma GCC target("avx512vbmi")

namespace qloft::kernels::avx512_kernels {

// A byte of each of the values of 64 codes, of the 256 in `plane`. A table holds 128 bytes; the
// highest bit of a code, which is set in `upper`, says which of two it is in.
inline __attribute__((always_inline)) __m512i look_up_bytes(const __m512i (&plane)[4],
                                                            __m512i codes, __mmask64 upper) {
  const __m512i low = _mm512_permutex2var_epi8(plane[0], codes, plane[1]);
  const __m512i high = _mm512_permutex2var_epi8(plane[2], codes, plane[3]);
  return _mm512_mask_blend_epi8(upper, low, high);
}
inline __m512i look_up_bytes(const std::uint8_t (&plane)[256], __m512i codes, __mmask64 upper) {
  const __m512i vectors[4] = {_mm512_load_si512(plane), _mm512_load_si512(plane + 64),
                              _mm512_load_si512(plane + 128), _mm512_load_si512(plane + 192)};
  return look_up_bytes(vectors, codes, upper);
}

}  // namespace qloft::kernels::avx512_kernels

#pragma GCC pop_options
#endif
