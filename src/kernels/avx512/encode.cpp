// Nearest codes, up to 16 levels (finer code books go to AVX2), and sums of rows.
#include "table.h"

#if defined(__x86_64__)

#include <cstdint>

#include "../avx2.h"
#include "../portable.h"
#include "begin_avx512.h"

namespace qloft::kernels::avx512_kernels {

namespace {

inline __m128i nearest16(__m512 v, const float* thresholds, __m512 half, __m512 quarter,
                         __m512 eighth) {
  // The code so far indexes the tables of the next threshold.
  __m512i n =
      _mm512_maskz_set1_epi32(_mm512_cmp_ps_mask(v, _mm512_set1_ps(thresholds[7]), _CMP_GT_OQ), 1);
  for (const __m512& at : {half, quarter, eighth}) {
    const __mmask16 above = _mm512_cmp_ps_mask(v, _mm512_permutexvar_ps(n, at), _CMP_GT_OQ);
    n = _mm512_add_epi32(n, n);
    n = _mm512_mask_add_epi32(n, above, n, _mm512_set1_epi32(1));
  }
  return _mm512_cvtepi32_epi8(n);
}

void encode(const CodeValues& book, const float* x, std::int64_t count, float offset, float inverse,
            std::uint8_t* codes) {
  if (book.levels > 16) return avx2_table().encode(book, x, count, offset, inverse, codes);
  const float* t = book.thresholds;
  alignas(64) float at[3][16] = {};
  for (int i = 0; i < 2; ++i) at[0][i] = t[8 * i + 3];
  for (int i = 0; i < 4; ++i) at[1][i] = t[4 * i + 1];
  for (int i = 0; i < 8; ++i) at[2][i] = t[2 * i];
  const __m512 half = _mm512_loadu_ps(at[0]);
  const __m512 quarter = _mm512_loadu_ps(at[1]);
  const __m512 eighth = _mm512_loadu_ps(at[2]);
  const __m512 o = _mm512_set1_ps(offset);
  const __m512 f = _mm512_set1_ps(inverse);
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512 v = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), o), f);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), nearest16(v, t, half, quarter, eighth));
  }
  if (i < count) avx2_table().encode(book, x + i, count - i, offset, inverse, codes + i);
}

constexpr int kAddLanes = 16;
#include "../add_rows.h"

}  // namespace

void add_encoding(Table& table) {
  table.add_rows = add_rows;
  table.encode = encode;
}

}  // namespace qloft::kernels::avx512_kernels

#include "end_avx512.h"

#endif  // __x86_64__
