// Packed rows to f32 and bf16; conversions between the two.
#include "table.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "layout.h"
#include "portable.h"
#include "trellis.h"
#include "widths.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")  // as the portable twin: bit-equal where it matters

#include "decoder.h"  // compiled for AVX2 too

namespace qloft::kernels::avx2 {

namespace {

// The upper halves of finite values, rounded to nearest even.
inline __m256i rounded_finite(__m256 v) {
  const __m256i u = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd),
                           16);
}

inline __m256i rounded_bf16(__m256 v) {
  const __m256i u = _mm256_castps_si256(v);
  const __m256i r = rounded_finite(v);
  const __m256i nan = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(r, nan, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}

inline __m256i to_bf16(__m256 a, __m256 b) {
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded_bf16(a), rounded_bf16(b)), 0xd8);
}

inline void store_group(const __m256 v[4], float* out) {
  for (int m = 0; m < 4; ++m) _mm256_storeu_ps(out + 8 * m, v[m]);
}
inline void store_group(const __m256 v[4], BFloat16* out) {
  // A packed matrix has finite scales.
  for (int h = 0; h < 2; ++h) {
    const __m256i words =
        _mm256_packus_epi32(rounded_finite(v[2 * h]), rounded_finite(v[2 * h + 1]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 16 * h),
                        _mm256_permute4x64_epi64(words, 0xd8));
  }
}

inline void decode_rest(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                        std::int64_t first, std::int64_t count, float* out) {
  portable::decode_f32(book, row, columns, first, count, out);
}
inline void decode_rest(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                        std::int64_t first, std::int64_t count, BFloat16* out) {
  portable::decode_bf16(book, row, columns, first, count, out);
}

template <typename D, bool kOffsets, typename Out>
void decode_groups(const CodeValues& book, const PackedRow& row, std::int64_t first,
                   std::int64_t groups, Out* out) {
  const D decoder(book);
  BlockWalk walk(row.block, first);
  auto in = D::input(row, first);
  for (std::int64_t g = 0; g < groups; ++g, in += D::kStep, out += kGroup) {
    __m256 v[4];
    decoder.group(in, v);
    for (int h = 0; h < 2; ++h) {
      const std::int64_t b = walk.next();
      const __m256 s = _mm256_broadcast_ss(row.scales + b);
      v[2 * h] = _mm256_mul_ps(v[2 * h], s);
      v[2 * h + 1] = _mm256_mul_ps(v[2 * h + 1], s);
      if constexpr (kOffsets) {
        const __m256 o = _mm256_broadcast_ss(row.offsets + b);
        v[2 * h] = _mm256_add_ps(v[2 * h], o);
        v[2 * h + 1] = _mm256_add_ps(v[2 * h + 1], o);
      }
    }
    store_group(v, out);
  }
}

template <typename D, typename Out>
void decode_by(const CodeValues& book, const PackedRow& row, std::int64_t columns,
               std::int64_t first, std::int64_t count, Out* out) {
  const std::int64_t groups = count / kGroup;
  if (row.offsets != nullptr) {
    decode_groups<D, true>(book, row, first, groups, out);
  } else {
    decode_groups<D, false>(book, row, first, groups, out);
  }
  const std::int64_t done = groups * kGroup;
  if (done < count) decode_rest(book, row, columns, first + done, count - done, out + done);
}

template <typename Out>
void decode(const CodeValues& book, const PackedRow& row, std::int64_t columns, std::int64_t first,
            std::int64_t count, Out* out) {
  if (row.windows != nullptr) {
    return decode_by<WindowDecoder>(book, row, columns, first, count, out);
  }
  with_width(book.bits, [&](auto width) {
    decode_by<Decoder<width()>>(book, row, columns, first, count, out);
  });
}

void decode_f32(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                std::int64_t first, std::int64_t count, float* out) {
  decode(book, row, columns, first, count, out);
}

void decode_bf16(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, BFloat16* out) {
  decode(book, row, columns, first, count, out);
}

void bf16_to_f32(const BFloat16* x, std::int64_t count, float* out) {
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i u = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
    const __m256i w = _mm256_slli_epi32(_mm256_cvtepu16_epi32(u), 16);
    _mm256_storeu_ps(out + i, _mm256_castsi256_ps(w));
  }
  portable::bf16_to_f32(x + i, count - i, out + i);
}

void f32_to_bf16(const float* x, std::int64_t count, BFloat16* out) {
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256i u = to_bf16(_mm256_loadu_ps(x + i), _mm256_loadu_ps(x + i + 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), u);
  }
  portable::f32_to_bf16(x + i, count - i, out + i);
}

void decode_scales(const CodeValues& book, const std::uint8_t* codes, std::int64_t count,
                   float scale, float offset, float* out) {
  const __m256 by = _mm256_set1_ps(scale), plus = _mm256_set1_ps(offset);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i n =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + i)));
    const __m256 values = _mm256_i32gather_ps(book.values, n, 4);
    _mm256_storeu_ps(out + i, _mm256_add_ps(_mm256_mul_ps(values, by), plus));
  }
  portable::decode_scales(book, codes + i, count - i, scale, offset, out + i);
}

}  // namespace

void add_decoding(Table& table) {
  table.decode_scales = decode_scales;
  table.decode_f32 = decode_f32;
  table.decode_bf16 = decode_bf16;
  table.bf16_to_f32 = bf16_to_f32;
  table.f32_to_bf16 = f32_to_bf16;
}

}  // namespace qloft::kernels::avx2

#pragma GCC pop_options

#endif  // __x86_64__
