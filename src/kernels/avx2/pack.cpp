// Codes to packed rows and back.
#include "table.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "layout.h"
#include "portable.h"
#include "widths.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")  // as the portable twin: bit-equal where it matters

#include "codes.h"  // compiled for AVX2 too

namespace qloft::kernels::avx2 {

namespace {

inline __m128i or_halves(__m256i v) {
  return _mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

template <int kBits>
inline void pack_group(const std::uint8_t* codes, std::uint8_t* out) {
  constexpr Planes kPlanes = planes_of(kBits);
  __m256i c = to_lanes(load256(codes));
  if constexpr (kPlanes.four) {
    const __m256i low = _mm256_and_si256(c, _mm256_set1_epi8(15));
    const __m256i shifted = _mm256_sllv_epi64(low, _mm256_setr_epi64x(0, 0, 4, 4));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), or_halves(shifted));
    out += 16;
    c = _mm256_and_si256(_mm256_srli_epi16(c, 4), _mm256_set1_epi8(15));
  }
  if constexpr (kPlanes.two) {
    const __m256i low = _mm256_and_si256(c, _mm256_set1_epi8(3));
    __m128i h = or_halves(_mm256_sllv_epi64(low, _mm256_setr_epi64x(0, 2, 4, 6)));
    h = _mm_or_si128(h, _mm_unpackhi_epi64(h, h));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), h);
    out += 8;
    c = _mm256_and_si256(_mm256_srli_epi16(c, 2), _mm256_set1_epi8(63));
  }
  if constexpr (kPlanes.one) {
    const __m256i low = _mm256_and_si256(c, _mm256_set1_epi8(1));
    __m128i h = or_halves(_mm256_sllv_epi32(low, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
    h = _mm_or_si128(h, _mm_unpackhi_epi64(h, h));
    h = _mm_or_si128(h, _mm_shuffle_epi32(h, 0x55));
    const int word = _mm_cvtsi128_si32(h);
    std::memcpy(out, &word, 4);
  }
}

template <int kBits>
void pack_bits(const std::uint8_t* codes, std::int64_t count, std::uint8_t* packed) {
  if constexpr (kBits == 8) {
    std::copy_n(codes, count, packed);
  } else {
    for (; count >= kGroup; count -= kGroup, codes += kGroup, packed += 4 * kBits) {
      pack_group<kBits>(codes, packed);
    }
    portable::pack_tail(codes, static_cast<int>(count), kBits, packed);
  }
}

template <int kBits>
void unpack_bits(const std::uint8_t* packed, std::int64_t count, std::uint8_t* codes) {
  if constexpr (kBits == 8) {
    std::copy_n(packed, count, codes);
  } else {
    for (; count >= kGroup; count -= kGroup, codes += kGroup, packed += 4 * kBits) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes),
                          to_elements(group_codes<kBits>(packed)));
    }
    portable::unpack_tail(packed, static_cast<int>(count), kBits, codes);
  }
}

void pack(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed) {
  with_width(bits, [&](auto width) { pack_bits<width()>(codes, count, packed); });
}

void unpack(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes) {
  with_width(bits, [&](auto width) { unpack_bits<width()>(packed, count, codes); });
}

}  // namespace

void add_packing(Table& table) {
  table.pack = pack;
  table.unpack = unpack;
}

}  // namespace qloft::kernels::avx2

#pragma GCC pop_options

#endif  // __x86_64__
