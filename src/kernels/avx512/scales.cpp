// Scales of a second level: codes of a byte each, which one table holds the values of.
#include "table.h"

#if defined(__x86_64__)

#include <cstdint>

#include "../avx2.h"
#include "begin_avx512.h"
#include "bytes.h"  // compiled for AVX-512 too

namespace qloft::kernels::avx512_kernels {

namespace {

// 32 values of 256, by their halves.
struct Halves {
  explicit Halves(const CodeValues& book) : halves(book.value_halves), wide(book.levels > 64) {}

  __m512i look_up(int half, __m512i n) const {
    const __m512i low = part(half, 0, n);
    if (!wide) return low;
    const __mmask32 sixth = _mm512_test_epi16_mask(n, _mm512_set1_epi16(64));
    const __mmask32 seventh = _mm512_test_epi16_mask(n, _mm512_set1_epi16(128));
    return _mm512_mask_blend_epi16(
        seventh, _mm512_mask_blend_epi16(sixth, low, part(half, 64, n)),
        _mm512_mask_blend_epi16(sixth, part(half, 128, n), part(half, 192, n)));
  }
  __m512i part(int half, int first, __m512i n) const {
    return _mm512_permutex2var_epi16(_mm512_loadu_si512(halves[half] + first), n,
                                     _mm512_loadu_si512(halves[half] + first + 32));
  }

  const std::uint16_t (*halves)[256];
  bool wide;
};

inline __m512i widened(__m256i v) {
  return _mm512_cvtepu16_epi32(v);
}

void decode_by_halves(const CodeValues& book, const std::uint8_t* codes, std::int64_t count,
                      float scale, float offset, float* out) {
  const Halves halves(book);
  const __m512 by = _mm512_set1_ps(scale), plus = _mm512_set1_ps(offset);
  std::int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m512i n =
        _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i)));
    const __m512i low = halves.look_up(0, n), high = halves.look_up(1, n);
    const __m512i first =
        _mm512_or_si512(widened(_mm512_castsi512_si256(low)),
                        _mm512_slli_epi32(widened(_mm512_castsi512_si256(high)), 16));
    const __m512i second =
        _mm512_or_si512(widened(_mm512_extracti64x4_epi64(low, 1)),
                        _mm512_slli_epi32(widened(_mm512_extracti64x4_epi64(high, 1)), 16));
    _mm512_storeu_ps(out + i, _mm512_add_ps(_mm512_mul_ps(_mm512_castsi512_ps(first), by), plus));
    _mm512_storeu_ps(out + i + 16,
                     _mm512_add_ps(_mm512_mul_ps(_mm512_castsi512_ps(second), by), plus));
  }
  if (i < count) avx2_table().decode_scales(book, codes + i, count - i, scale, offset, out + i);
}

#ifndef QLOFT_EMULATED_AVX512
#pragma GCC push_options
#pragma GCC target("avx512vbmi")

// The same by VBMI, which looks up bytes: half the work.
void decode_by_bytes(const CodeValues& book, const std::uint8_t* codes, std::int64_t count,
                     float scale, float offset, float* out) {
  const __m512 by = _mm512_set1_ps(scale), plus = _mm512_set1_ps(offset);
  const auto store = [&](__m512i values, float* to) {
    _mm512_storeu_ps(to, _mm512_add_ps(_mm512_mul_ps(_mm512_castsi512_ps(values), by), plus));
  };
  // Interleaving works within quarters of a vector: code 16 j + 4 q + i goes to quarter q before.
  const __m512i quarters = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  std::int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i n = _mm512_permutexvar_epi32(quarters, _mm512_loadu_si512(codes + i));
    const __mmask64 upper = _mm512_movepi8_mask(n);
    const __m512i byte0 = look_up_bytes(book.value_bytes[0], n, upper);
    const __m512i byte1 = look_up_bytes(book.value_bytes[1], n, upper);
    const __m512i byte2 = look_up_bytes(book.value_bytes[2], n, upper);
    const __m512i byte3 = look_up_bytes(book.value_bytes[3], n, upper);
    const __m512i low01 = _mm512_unpacklo_epi8(byte0, byte1);
    const __m512i high01 = _mm512_unpackhi_epi8(byte0, byte1);
    const __m512i low23 = _mm512_unpacklo_epi8(byte2, byte3);
    const __m512i high23 = _mm512_unpackhi_epi8(byte2, byte3);
    store(_mm512_unpacklo_epi16(low01, low23), out + i);
    store(_mm512_unpackhi_epi16(low01, low23), out + i + 16);
    store(_mm512_unpacklo_epi16(high01, high23), out + i + 32);
    store(_mm512_unpackhi_epi16(high01, high23), out + i + 48);
  }
  if (i < count) decode_by_halves(book, codes + i, count - i, scale, offset, out + i);
}

#pragma GCC pop_options

#endif

}  // namespace

void add_scales(Table& table) {
  table.decode_scales = decode_by_halves;
#ifndef QLOFT_EMULATED_AVX512
  if (__builtin_cpu_supports("avx512vbmi")) table.decode_scales = decode_by_bytes;
#endif
}

}  // namespace qloft::kernels::avx512_kernels

#include "end_avx512.h"

#endif  // __x86_64__
