// The search for trellis codes, and their products in fixed point.
#include "parts.h"

#if defined(__x86_64__)

#ifndef QLOFT_EMULATED_AVX512  // tests/kernels/emulated_avx512_test.cpp brings its own
#include <immintrin.h>
#endif

#include <cstdint>

#include "../avx2.h"
#include "../layout.h"
#include "../portable.h"
#include "../trellis.h"
#include "../widths.h"

#ifndef QLOFT_EMULATED_AVX512
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own header, GCC bug 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")
#endif

namespace qloft::kernels::avx512_kernels {

namespace {

constexpr int kLanes = 16;
#include "../trellis_loops.h"

// Whole groups of one row with kInputs rows of activations.
template <int kInputs>
void dot_row(const Codebook& book, const PackedRow& row, const Activations& x, std::int64_t input,
             float* y, std::int64_t y_stride) {
  const std::int64_t stride = fixed_columns(x.columns);
  const std::int64_t groups = x.columns / kGroup;
  const std::int16_t* fixed = x.fixed + input * stride;
  const float* fixed_scales = x.fixed_scales + input * (stride / kGroup);
  const __m512i multiplier = _mm512_set1_epi16(static_cast<short>(book.multiplier));
  const __m512i low = _mm512_loadu_si512(book.fixed), high = _mm512_loadu_si512(book.fixed + 32);
  // Lanes 0 to 7 of a group's products belong to its first 16 columns, the others to the rest.
  BlockWalk walk(row.block, 0);
  __m512 total[kInputs];
  for (__m512& sum : total) sum = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g) {
    const __m512i window = _mm512_loadu_si512(row.windows + g * kGroup);
    const __m512i n = _mm512_srli_epi16(_mm512_mullo_epi16(window, multiplier), kIndexShift);
    const __m512i values = _mm512_permutex2var_epi16(low, n, high);
    const __m512 first = _mm512_set1_ps(row.scales[walk.next()]);
    const __m512 scale = _mm512_mask_blend_ps(static_cast<__mmask16>(0xff00), first,
                                              _mm512_set1_ps(row.scales[walk.next()]));
    for (int i = 0; i < kInputs; ++i) {
      const __m512i products = _mm512_dpwssd_epi32(
          _mm512_setzero_si512(), values, _mm512_loadu_si512(fixed + i * stride + g * kGroup));
      const __m512 by =
          _mm512_mul_ps(scale, _mm512_set1_ps(fixed_scales[i * (stride / kGroup) + g]));
      total[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), by, total[i]);
    }
  }
  for (int i = 0; i < kInputs; ++i) {
    y[(input + i) * y_stride] = book.fixed_scale * _mm512_reduce_add_ps(total[i]) +
                                portable::dot_tail(book, row, x, input + i, groups * kGroup);
  }
}

}  // namespace

void dot_windows(const Codebook& book, const PackedRow* rows, std::int64_t count,
                 const Activations& x, float* y, std::int64_t y_stride) {
  if (x.fixed == nullptr) return avx2_table().dot(book, rows, count, x, y, y_stride);
  for (std::int64_t r = 0; r < count; ++r) {
    std::int64_t i = 0;
    for (; i + 4 <= x.rows; i += 4) dot_row<4>(book, rows[r], x, i, y + r, y_stride);
    for (; i + 2 <= x.rows; i += 2) dot_row<2>(book, rows[r], x, i, y + r, y_stride);
    for (; i < x.rows; ++i) dot_row<1>(book, rows[r], x, i, y + r, y_stride);
  }
}

void add_trellis(Table& table) {
  table.search = search;
}

}  // namespace qloft::kernels::avx512_kernels

#ifndef QLOFT_EMULATED_AVX512
#pragma GCC pop_options
#endif

#endif  // __x86_64__
