#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../int8_tables.h"

#if defined(__x86_64__)

#include "../avx512.h"
#include "begin_avx512.h"
#include "chunks.h"  // compiled for AVX-512 too

namespace qloft::kernels {
namespace {

using avx512_kernels::first_lanes;

constexpr int kBlock = static_cast<int>(kInt8Block);
constexpr int kRows = static_cast<int>(kInt8Rows);
constexpr int kColumns = static_cast<int>(kInt8Columns);
static_assert(kColumns == 16, "one vector");
constexpr int kSteps = kBlock / 4;

// Magnitudes are compared by their bits: infinity lies above all numbers, NaN above infinity.
inline __m512i magnitudes(__m512 x) {
  return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}

// What int8_loops.h calls Factors, of 16 blocks.
struct Factors {
  explicit Factors(__m512i largest) {
    const __mmask16 finite = _mm512_cmpgt_epi32_mask(_mm512_set1_epi32(0x7f800000), largest);
    const __m512 scale =
        _mm512_div_ps(_mm512_castsi512_ps(largest), _mm512_set1_ps(static_cast<float>(kInt8Most)));
    const __m512 nan = _mm512_set1_ps(std::numeric_limits<float>::quiet_NaN());
    counts = finite & _mm512_cmp_ps_mask(scale, _mm512_set1_ps(kLeastScale), _CMP_GE_OQ);
    to_code = _mm512_maskz_div_ps(counts, _mm512_set1_ps(1.f), scale);
    to_element = _mm512_mask_blend_ps(finite, nan, _mm512_maskz_mov_ps(counts, scale));
  }
  __mmask16 counts;  // whose elements do not stand for zeros
  __m512 to_code, to_element;
};

// Four vectors of codes as bytes: the four dwords of lane l are elements 4 l to 4 l + 3 of each.
inline __m512i bytes_of(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

inline __m512i codes_of(__mmask16 mask, const float* x, __m512 to_code) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x), to_code));
}

inline void transpose(__m512i (&rows)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int h = 0; h < 2; ++h) {
      rows[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + 2 + h]);
      rows[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + 2 + h]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// One block of up to 16 rows: four codes of each row a vector, and the rows' scales.
inline __m512 quantize_rows(const float* x, std::int64_t stride, std::int64_t rows,
                            std::int64_t count, __m512i (&steps)[kSteps]) {
  __mmask16 masks[4];
  for (int v = 0; v < 4; ++v) masks[v] = first_lanes(count - 16 * v);
  alignas(64) std::int32_t largest[16] = {};
  for (std::int64_t i = 0; i < rows; ++i) {
    __m512i most = _mm512_setzero_si512();
    for (int v = 0; v < 4; ++v) {
      const __m512 part = _mm512_maskz_loadu_ps(masks[v], x + i * stride + 16 * v);
      most = _mm512_max_epi32(most, magnitudes(part));
    }
    largest[i] = _mm512_reduce_max_epi32(most);
  }
  const Factors factors(_mm512_load_si512(largest));
  alignas(64) float to_code[16];
  _mm512_store_ps(to_code, factors.to_code);
  __m512i codes[16];
  for (int i = 0; i < 16; ++i) {
    codes[i] = _mm512_setzero_si512();
    if ((factors.counts >> i & 1) == 0) continue;
    const float* row = x + i * stride;
    const __m512 factor = _mm512_set1_ps(to_code[i]);
    codes[i] = bytes_of(codes_of(masks[0], row, factor), codes_of(masks[1], row + 16, factor),
                        codes_of(masks[2], row + 32, factor), codes_of(masks[3], row + 48, factor));
  }
  transpose(codes);
  for (int q = 0; q < kSteps; ++q) steps[q] = codes[4 * (q % 4) + q / 4];
  return factors.to_element;
}

void quantize_activations(const float* x, std::int64_t stride, std::int64_t rows,
                          std::int64_t columns, Int8Activations* out) {
  static_assert(kRows <= 16);
  constexpr __mmask16 kMask = (1 << kRows) - 1;
  for (std::int64_t first = 0; first < columns; first += kBlock, ++out) {
    __m512i steps[kSteps];
    const __m512 scales = quantize_rows(x + first, stride, rows, columns - first, steps);
    __m512i sums = _mm512_setzero_si512();
    for (int q = 0; q < kSteps; ++q) {
      _mm512_mask_storeu_epi32(out->codes[q], kMask, steps[q]);
      sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), steps[q]);
    }
    static_assert(kInt8Zero == 1 << 7);
    sums = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums, 7));
    _mm512_mask_storeu_epi32(out->sums, kMask, sums);
    _mm512_mask_storeu_ps(out->scales, kMask, scales);
  }
}

// Codes with kInt8Zero added.
inline __m512i positive(__m512i codes) {
  return _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(kInt8Zero)));
}

void quantize_weights(const float* w, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                      Int8Weights* out) {
  for (std::int64_t first = 0; first < columns; first += kBlock, ++out) {
    __m512i steps[kSteps];
    _mm512_storeu_ps(out->scales, quantize_rows(w + first, stride, rows, columns - first, steps));
    for (int q = 0; q < kSteps; ++q) _mm512_storeu_si512(out->codes[q], positive(steps[q]));
  }
}

// kWhole: all rows are there.
template <bool kWhole>
void quantize_columns(const float* w, std::int64_t stride, std::int64_t rows, __mmask16 mask,
                      Int8Weights* out) {
  // From the bytes of four vectors to those of four elements beside each other.
  const __m512i beside =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const auto load = [&](std::int64_t k, __mmask16 lanes) {
    if constexpr (kWhole) return _mm512_maskz_loadu_ps(lanes, w + k * stride);
    return k < rows ? _mm512_maskz_loadu_ps(lanes, w + k * stride) : _mm512_setzero_ps();
  };
  __m512i largest[4] = {};
  for (int k = 0; k < kBlock; k += 4) {
    for (int e = 0; e < 4; ++e) {
      largest[e] = _mm512_max_epi32(largest[e], magnitudes(load(k + e, mask)));
    }
  }
  const Factors factors(_mm512_max_epi32(_mm512_max_epi32(largest[0], largest[1]),
                                         _mm512_max_epi32(largest[2], largest[3])));
  _mm512_storeu_ps(out->scales, factors.to_element);
  const __mmask16 counts = mask & factors.counts;
  for (int q = 0; q < kSteps; ++q) {
    __m512i codes[4];
    for (int e = 0; e < 4; ++e) {
      codes[e] = _mm512_cvtps_epi32(_mm512_mul_ps(load(4 * q + e, counts), factors.to_code));
    }
    const __m512i bytes = bytes_of(codes[0], codes[1], codes[2], codes[3]);
    _mm512_storeu_si512(out->codes[q], positive(_mm512_shuffle_epi8(bytes, beside)));
  }
}

void quantize_transposed_weights(const float* w, std::int64_t stride, std::int64_t rows,
                                 std::int64_t columns, Int8Weights* out) {
  const __mmask16 mask = first_lanes(columns);
  if (rows == kBlock) {
    quantize_columns<true>(w, stride, rows, mask, out);
  } else {
    quantize_columns<false>(w, stride, rows, mask, out);
  }
}

// sum += four products of bytes a lane; every lane takes the same four of x.
inline void add_products(__m512i& sum, __m512i w, const std::int8_t (&x)[4]) {
#ifdef QLOFT_EMULATED_AVX512
  std::int32_t four;
  std::memcpy(&four, x, 4);
  sum = _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(four));
#else
  // g++ 12 copies the sums at every step if this is written with intrinsics.
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(sum)
      : "v"(w), "m"(*reinterpret_cast<const std::int32_t(*)>(x)));
#endif
}

void multiply(const Int8Activations* x, const Int8Weights* w, std::int64_t blocks, float* y) {
  __m512 totals[kRows];
  for (__m512& total : totals) total = _mm512_setzero_ps();
  for (std::int64_t b = 0; b < blocks; ++b, ++x, ++w) {
    __m512i sums[kRows];
    for (int i = 0; i < kRows; ++i) sums[i] = _mm512_set1_epi32(x->sums[i]);
    for (int q = 0; q < kSteps; ++q) {
      const __m512i words = _mm512_loadu_si512(w->codes[q]);
      for (int i = 0; i < kRows; ++i) add_products(sums[i], words, x->codes[q][i]);
    }
    const __m512 w_scales = _mm512_loadu_ps(w->scales);
    for (int i = 0; i < kRows; ++i) {
      const __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]), w_scales);
      totals[i] = _mm512_add_ps(totals[i], _mm512_mul_ps(part, _mm512_set1_ps(x->scales[i])));
    }
  }
  for (int i = 0; i < kRows; ++i) _mm512_storeu_ps(y + kColumns * i, totals[i]);
}

constexpr Int8Table kTable = {
    .set = InstructionSet::avx512,
    .quantize_activations = quantize_activations,
    .quantize_weights = quantize_weights,
    .quantize_transposed_weights = quantize_transposed_weights,
    .multiply = multiply,
};

}  // namespace

const Int8Table& int8_avx512_table() {
  return kTable;
}

}  // namespace qloft::kernels

#include "end_avx512.h"

#endif  // __x86_64__
