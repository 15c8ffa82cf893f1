// The search for trellis codes, and their products in fixed point.
#include "parts.h"

#if defined(__x86_64__)

#ifndef QLOFT_EMULATED_AVX512  // tests/kernels/emulated_avx512_test.cpp brings its own
#include <immintrin.h>
#endif

#include <algorithm>
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

// Whole groups of kRows rows with kInputs rows of activations; blocks are whole groups.
template <int kRows, int kInputs>
void dot_rows(const Codebook& book, const PackedRow* rows, const Activations& x, std::int64_t input,
              float* y, std::int64_t y_stride) {
  const std::int64_t stride = fixed_columns(x.columns), scales_stride = stride / kGroup;
  const std::int64_t groups = x.columns / kGroup, groups_a_block = rows->block / kGroup;
  const std::int16_t* fixed = x.fixed + input * stride;
  const float* fixed_scales = x.fixed_scales + input * scales_stride;
  const __m512i multiplier = _mm512_set1_epi16(static_cast<short>(book.multiplier));
  const __m512i low = _mm512_loadu_si512(book.fixed), high = _mm512_loadu_si512(book.fixed + 32);
  __m512 total[kRows][kInputs];
  for (auto& row : total) {
    for (__m512& sum : row) sum = _mm512_setzero_ps();
  }
  for (std::int64_t g = 0, block = 0; g < groups; ++block) {
    const std::int64_t end = std::min(groups, g + groups_a_block);
    for (; g < end; ++g) {
      for (int r = 0; r < kRows; ++r) {
        const __m512i window = _mm512_loadu_si512(rows[r].windows + g * kGroup);
        const __m512i n = _mm512_srli_epi16(_mm512_mullo_epi16(window, multiplier), kIndexShift);
        const __m512i values = _mm512_permutex2var_epi16(low, n, high);
        for (int i = 0; i < kInputs; ++i) {
          const __m512i products = _mm512_dpwssd_epi32(
              _mm512_setzero_si512(), values, _mm512_loadu_si512(fixed + i * stride + g * kGroup));
          const float by = rows[r].scales[block] * fixed_scales[i * scales_stride + g];
          total[r][i] =
              _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), _mm512_set1_ps(by), total[r][i]);
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int i = 0; i < kInputs; ++i) {
      y[(input + i) * y_stride + r] =
          book.fixed_scale * _mm512_reduce_add_ps(total[r][i]) +
          portable::dot_tail(book, rows[r], x, input + i, groups * kGroup);
    }
  }
}

template <int kRows>
void dot_inputs(const Codebook& book, const PackedRow* rows, const Activations& x, float* y,
                std::int64_t y_stride) {
  std::int64_t i = 0;
  for (; i + 4 <= x.rows; i += 4) dot_rows<kRows, 4>(book, rows, x, i, y, y_stride);
  for (; i + 2 <= x.rows; i += 2) dot_rows<kRows, 2>(book, rows, x, i, y, y_stride);
  for (; i < x.rows; ++i) dot_rows<kRows, 1>(book, rows, x, i, y, y_stride);
}

}  // namespace

void dot_windows(const Codebook& book, const PackedRow* rows, std::int64_t count,
                 const Activations& x, float* y, std::int64_t y_stride) {
  if (count == 0) return;
  if (x.fixed == nullptr || rows->block % kGroup != 0) {
    return avx2_table().dot(book, rows, count, x, y, y_stride);
  }
  std::int64_t r = 0;
  for (; r + 2 <= count; r += 2) dot_inputs<2>(book, rows + r, x, y + r, y_stride);
  for (; r < count; ++r) dot_inputs<1>(book, rows + r, x, y + r, y_stride);
}

void add_trellis(Table& table) {
  table.search = search;
}

}  // namespace qloft::kernels::avx512_kernels

#ifndef QLOFT_EMULATED_AVX512
#pragma GCC pop_options
#endif

#endif  // __x86_64__
