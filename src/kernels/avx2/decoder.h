#pragma once
// The values that codes stand for, in registers.
// For the sources of this folder alone, which include it where the compiler is told to use AVX2,
// and its own includes before that.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "codes.h"
#include "qloft/kernels.h"
#include "trellis.h"
#include "vectors.h"

namespace qloft::kernels::avx2 {

// The values of one group: v[m] holds elements 8 m to 8 m + 7.
template <int kBits>
struct Decoder {
  using Input = std::uint8_t;
  static constexpr int kStep = 4 * kBits;  // from one group to the next
  static const Input* input(const PackedRow& row, std::int64_t first) {
    return row.codes + first / kGroup * kStep;
  }

  explicit Decoder(const CodeValues& book) : values(book.values) {
    if constexpr (kBits <= 2) {
      quad = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(book.values));
    } else if constexpr (kBits <= 4) {
      for (int k = 0; k < 4; ++k) bytes[k] = broadcast128(book.value_bytes[k]);
    }
  }

  void group(const Input* in, __m256 v[4]) const {
    if constexpr (kBits == 1) {
      int word;
      std::memcpy(&word, in, 4);
      const __m256i all = _mm256_set1_epi32(word);
      const __m256i shift = _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28);
      for (int m = 0; m < 4; ++m) {
        const __m256i n = _mm256_srlv_epi32(all, _mm256_add_epi32(shift, _mm256_set1_epi32(m)));
        v[m] = _mm256_permutevar_ps(quad, _mm256_and_si256(n, _mm256_set1_epi32(1)));
      }
    } else if constexpr (kBits == 2) {
      int word[2];
      std::memcpy(word, in, 8);
      const __m256i shift = _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28);
      const __m256i shift2 = _mm256_setr_epi32(2, 10, 18, 26, 6, 14, 22, 30);
      for (int m = 0; m < 4; ++m) {
        const __m256i n = _mm256_srlv_epi32(_mm256_set1_epi32(word[m & 1]), m < 2 ? shift : shift2);
        v[m] = _mm256_permutevar_ps(quad, n);
      }
    } else if constexpr (kBits <= 4) {
      const __m256i c = group_codes<kBits>(in);
      const __m256i b0 = _mm256_shuffle_epi8(bytes[0], c);
      const __m256i b1 = _mm256_shuffle_epi8(bytes[1], c);
      const __m256i b2 = _mm256_shuffle_epi8(bytes[2], c);
      const __m256i b3 = _mm256_shuffle_epi8(bytes[3], c);
      const __m256i low0 = _mm256_unpacklo_epi8(b0, b1);
      const __m256i high0 = _mm256_unpacklo_epi8(b2, b3);
      const __m256i low1 = _mm256_unpackhi_epi8(b0, b1);
      const __m256i high1 = _mm256_unpackhi_epi8(b2, b3);
      v[0] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(low0, high0));
      v[1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(low0, high0));
      v[2] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(low1, high1));
      v[3] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(low1, high1));
    } else {
      const __m256i c = group_codes<kBits>(in);
      const __m256i spread =
          _mm256_setr_epi8(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1, 0, -1, -1,
                           -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1);
      for (int m = 0; m < 4; ++m) {
        const __m256i at = _mm256_add_epi8(spread, _mm256_set1_epi32(4 * m));
        v[m] = _mm256_i32gather_ps(values, _mm256_shuffle_epi8(c, at), 4);
      }
    }
  }

  const float* values;
  __m256 quad;
  __m256i bytes[4];
};

// The same of a trellis code, from windows.
struct WindowDecoder {
  using Input = std::uint16_t;
  static constexpr int kStep = kGroup;
  static const Input* input(const PackedRow& row, std::int64_t first) {
    return row.windows + first;
  }

  explicit WindowDecoder(const CodeValues& book)
      : values(book.values), multiplier(_mm256_set1_epi16(static_cast<short>(book.multiplier))) {}

  void group(const Input* in, __m256 v[4]) const {
    for (int h = 0; h < 2; ++h) {
      const __m256i n =
          _mm256_srli_epi16(_mm256_mullo_epi16(load256(in + 16 * h), multiplier), kIndexShift);
      v[2 * h] = look_up(_mm256_castsi256_si128(n));
      v[2 * h + 1] = look_up(_mm256_extracti128_si256(n, 1));
    }
  }
  __m256 look_up(__m128i n) const {
    return _mm256_i32gather_ps(values, _mm256_cvtepu16_epi32(n), 4);
  }

  const float* values;
  __m256i multiplier;
};

}  // namespace qloft::kernels::avx2
