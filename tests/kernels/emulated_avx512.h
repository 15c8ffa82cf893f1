#pragma once
// AVX-512 intrinsics by SIMDe, and those that Debian's version of it lacks.

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

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
inline simde__m512i emulated_load_some(unsigned mask, const void* from) {
  simde__m512i_private p = {};
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) std::memcpy(&p.i32[i], static_cast<const char*>(from) + 4 * i, 4);
  }
  return simde__m512i_from_private(p);
}
inline simde__m512 emulated_load_some_floats(unsigned mask, const void* from) {
  return simde_mm512_castsi512_ps(emulated_load_some(mask, from));
}
inline simde__m512i emulated_widen_16(__m256i v) {
  alignas(32) std::uint16_t in[16];
  simde_mm256_store_si256(reinterpret_cast<simde__m256i*>(in), v);
  simde__m512i_private p = {};
  for (int i = 0; i < 16; ++i) p.i32[i] = in[i];
  return simde__m512i_from_private(p);
}
inline simde__m512i emulated_widen_8(__m256i v) {
  alignas(32) std::uint8_t in[32];
  simde_mm256_store_si256(reinterpret_cast<simde__m256i*>(in), v);
  simde__m512i_private p = {};
  for (int i = 0; i < 32; ++i) p.i16[i] = in[i];
  return simde__m512i_from_private(p);
}
inline simde__m512 emulated_float(simde__m512i v) {
  const simde__m512i_private from = simde__m512i_to_private(v);
  simde__m512_private p = {};
  for (int i = 0; i < 16; ++i) p.f32[i] = static_cast<float>(from.i32[i]);
  return simde__m512_from_private(p);
}
inline simde__m512i emulated_add_products(simde__m512i to, simde__m512i a, simde__m512i b) {
  const simde__m512i_private x = simde__m512i_to_private(a);
  const simde__m512i_private y = simde__m512i_to_private(b);
  simde__m512i_private p = simde__m512i_to_private(to);
  for (int i = 0; i < 16; ++i) {
    p.i32[i] += x.i16[2 * i] * y.i16[2 * i] + x.i16[2 * i + 1] * y.i16[2 * i + 1];
  }
  return simde__m512i_from_private(p);
}

inline simde__m512i emulated_round(simde__m512 v) {
  const simde__m512_private from = simde__m512_to_private(v);
  simde__m512i_private p = {};
  for (int i = 0; i < 16; ++i) {
    p.i32[i] = static_cast<std::int32_t>(std::nearbyint(from.f32[i]));
  }
  return simde__m512i_from_private(p);
}
inline std::int32_t emulated_most(simde__m512i v) {
  const simde__m512i_private p = simde__m512i_to_private(v);
  std::int32_t most = p.i32[0];
  for (int i = 1; i < 16; ++i) most = std::max<std::int32_t>(most, p.i32[i]);
  return most;
}
inline void emulated_store_some(void* to, unsigned mask, simde__m512i v) {
  const simde__m512i_private p = simde__m512i_to_private(v);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) std::memcpy(static_cast<char*>(to) + 4 * i, &p.i32[i], 4);
  }
}
inline void emulated_store_some_floats(void* to, unsigned mask, simde__m512 v) {
  emulated_store_some(to, mask, simde_mm512_castps_si512(v));
}
inline simde__m512i emulated_align(simde__m512i high, simde__m512i low, int by) {
  const simde__m512i_private h = simde__m512i_to_private(high), l = simde__m512i_to_private(low);
  simde__m512i_private p = {};
  for (int i = 0; i < 16; ++i) p.i32[i] = i + by < 16 ? l.i32[i + by] : h.i32[i + by - 16];
  return simde__m512i_from_private(p);
}

inline simde__m512i emulated_high_product(simde__m512i a, simde__m512i b) {
  const simde__m512i_private x = simde__m512i_to_private(a);
  const simde__m512i_private y = simde__m512i_to_private(b);
  simde__m512i_private p = {};
  for (int i = 0; i < 32; ++i) {
    p.u16[i] = static_cast<std::uint16_t>(std::uint32_t{x.u16[i]} * y.u16[i] >> 16);
  }
  return simde__m512i_from_private(p);
}
inline std::uint32_t emulated_less(simde__m512i a, simde__m512i b) {
  const simde__m512i_private x = simde__m512i_to_private(a);
  const simde__m512i_private y = simde__m512i_to_private(b);
  std::uint32_t mask = 0;
  for (int i = 0; i < 32; ++i) mask |= std::uint32_t{x.u16[i] < y.u16[i]} << i;
  return mask;
}

#define __mmask16 simde__mmask16
#define __mmask32 simde__mmask32
#define _mm512_cvtepu16_epi32 emulated_widen_16
#define _mm512_cvtepu8_epi16 emulated_widen_8
#define _mm512_cvtepi32_epi16 emulated_narrow_to_16
#define _mm512_cvtepi32_epi8 emulated_narrow_to_8
#define _mm512_reduce_add_ps emulated_sum
#define _mm512_mulhi_epu16 emulated_high_product
#define _mm512_cmplt_epu16_mask emulated_less
#define _mm512_maskz_loadu_epi32 emulated_load_some
#define _mm512_maskz_loadu_ps emulated_load_some_floats
#define _mm512_cvtepi32_ps emulated_float
#undef _mm512_dpwssd_epi32
#define _mm512_dpwssd_epi32 emulated_add_products
#define _mm512_cvtps_epi32 emulated_round
#define _mm512_reduce_max_epi32 emulated_most
#define _mm512_mask_storeu_epi32 emulated_store_some
#define _mm512_mask_storeu_ps emulated_store_some_floats
#define _mm512_alignr_epi32 emulated_align
