#pragma once
// AVX-512 intrinsics by SIMDe, and the three that Debian's version of it lacks.

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cstdint>

inline __m256i emulated_narrow_to_16(simde__m512i v) {
  const simde__m512i_private p = simde__m512i_to_private(v);
  alignas(32) std::uint16_t out[16];
  for (int i = 0; i < 16; ++i) out[i] = static_cast<std::uint16_t>(p.i32[i]);
  return simde_mm256_load_si256(reinterpret_cast<const simde__m256i*>(out));
}
inline __m128i emulated_narrow_to_8(simde__m512i v) {
  const simde__m512i_private p = simde__m512i_to_private(v);
  alignas(16) std::uint8_t out[16];
  for (int i = 0; i < 16; ++i) out[i] = static_cast<std::uint8_t>(p.i32[i]);
  return simde_mm_load_si128(reinterpret_cast<const simde__m128i*>(out));
}
inline float emulated_sum(simde__m512 v) {
  const simde__m512_private p = simde__m512_to_private(v);
  float sum = 0;
  for (int i = 0; i < 16; ++i) sum += p.f32[i];
  return sum;
}

#define __mmask16 simde__mmask16
#define _mm512_cvtepi32_epi16 emulated_narrow_to_16
#define _mm512_cvtepi32_epi8 emulated_narrow_to_8
#define _mm512_reduce_add_ps emulated_sum
