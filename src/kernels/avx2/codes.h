#pragma once
// Codes of a group in registers (layout.h).
// For the sources of this folder alone, which include it where the compiler is told to use AVX2,
// and its own includes before that.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "layout.h"
#include "vectors.h"

namespace qloft::kernels::avx2 {

// Element order to the order in which shifts spread a plane (layout.h), and back.
inline __m256i to_lanes(__m256i v) {
  return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
inline __m256i to_elements(__m256i v) {
  return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// 32 codes of one group, byte 16 h + k for element 8 (k / 4) + 4 h + k % 4.
template <int kBits>
inline __m256i group_codes(const std::uint8_t* in) {
  constexpr Planes kPlanes = planes_of(kBits);
  __m256i c = _mm256_setzero_si256();
  if constexpr (kPlanes.four) {
    const __m256i both =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
    c = _mm256_and_si256(_mm256_srlv_epi64(both, _mm256_setr_epi64x(0, 0, 4, 4)),
                         _mm256_set1_epi8(15));
    in += 16;
  }
  if constexpr (kPlanes.two) {
    long long word;
    std::memcpy(&word, in, 8);
    __m256i f = _mm256_and_si256(
        _mm256_srlv_epi64(_mm256_set1_epi64x(word), _mm256_setr_epi64x(0, 2, 4, 6)),
        _mm256_set1_epi8(3));
    if constexpr (kPlanes.four) f = _mm256_slli_epi16(f, 4);
    c = _mm256_or_si256(c, f);
    in += 8;
  }
  if constexpr (kPlanes.one) {
    int word;
    std::memcpy(&word, in, 4);
    __m256i f = _mm256_and_si256(
        _mm256_srlv_epi32(_mm256_set1_epi32(word), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
        _mm256_set1_epi8(1));
    f = _mm256_slli_epi16(f, (kPlanes.four ? 4 : 0) + (kPlanes.two ? 2 : 0));
    c = _mm256_or_si256(c, f);
  }
  if constexpr (kPlanes.eight) c = to_lanes(load256(in));
  return c;
}

}  // namespace qloft::kernels::avx2
