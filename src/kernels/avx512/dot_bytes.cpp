// Products of packed rows of 8 bits with activations, in fixed point, by two tables of bytes.
#include "dot_bytes.h"

#if defined(__x86_64__)

#include <algorithm>
#include <bit>
#include <cstdint>

#include "../avx2.h"
#include "../layout.h"
#include "../portable.h"
#include "begin_avx512.h"
#include "bytes.h"  // compiled for AVX-512 too
#include "sums.h"

namespace qloft::kernels::avx512_kernels {

#ifdef QLOFT_EMULATED_AVX512

bool multiplies_bytes() {
  return false;
}
void prepare_for_bytes(const float*, std::int64_t, std::int16_t*, float*) {}
void dot_bytes(const CodeValues&, const PackedRow*, std::int64_t, const Activations&, float*,
               std::int64_t) {}

#else

#pragma GCC push_options
#pragma GCC target("avx512vbmi")

namespace {

constexpr std::int64_t kStep = 64;  // codes of a vector

// The fixed-point values of codes, 64 at once, as two vectors of 16-bit integers: those of the
// lower half of each quarter, then those of the upper.
struct ByteDecoder {
  explicit ByteDecoder(const CodeValues& book) {
    for (int i = 0; i < 4; ++i) {
      low[i] = _mm512_load_si512(book.fixed_bytes[0] + 64 * i);
      high[i] = _mm512_load_si512(book.fixed_bytes[1] + 64 * i);
    }
  }
  QLOFT_AVX512_INLINE void decode(__m512i codes, __m512i& first, __m512i& second) const {
    const __mmask64 upper = _mm512_movepi8_mask(codes);
    const __m512i a = look_up_bytes(low, codes, upper);
    const __m512i b = look_up_bytes(high, codes, upper);
    first = _mm512_unpacklo_epi8(a, b);
    second = _mm512_unpackhi_epi8(a, b);
  }
  __m512i low[4], high[4];
};

// What all rows of a product have in common.
struct ByteProduct {
  ByteProduct(const CodeValues& book, const PackedRow& row, const Activations& activations)
      : decoder(book),
        x(activations),
        shift(std::countr_zero(static_cast<std::uint64_t>(row.block))),
        whole(x.columns / kGroup * kGroup),
        stride(fixed_columns(x.columns)),
        value_scale(_mm_set1_ps(book.fixed_scale)) {}

  // Products of kRows rows with kInputs rows of activations from `input` on, at most four.
  template <int kRows, int kInputs>
  QLOFT_AVX512_INLINE void multiply(const PackedRow* rows, std::int64_t input, float* sums) const {
    __m512 total[kRows][kInputs];
    for (auto& row : total) {
      for (__m512& sum : row) sum = _mm512_setzero_ps();
    }
    const std::int16_t* fixed = x.fixed + input * stride;
    const float* x_scales = x.fixed_scales + input * (stride / kGroup);
    // Codes of the rows to come, if they follow in memory.
    const char* next = reinterpret_cast<const char*>(rows[kRows - 1].codes + x.columns);
    for (std::int64_t first = 0; first < whole; first += kStep, next += kStep * kRows) {
      const std::int64_t left = whole - first;
      const __mmask64 which = left < kStep ? (__mmask64{1} << kGroup) - 1 : ~__mmask64{0};
      for (int r = 0; r < kRows; ++r) {
        constexpr int kAhead = 6 << 10;  // as dot.cpp does
        _mm_prefetch(next + kAhead + kStep * r, _MM_HINT_T1);
        __m512i values, more;
        decoder.decode(_mm512_maskz_loadu_epi8(which, rows[r].codes + first), values, more);
        const float scale = rows[r].scales[first >> shift];
        for (int i = 0; i < kInputs; ++i) {
          const std::int16_t* xi = fixed + i * stride + first;
          __m512i sum = _mm512_dpwssd_epi32(_mm512_setzero_si512(), values, _mm512_loadu_si512(xi));
          sum = _mm512_dpwssd_epi32(sum, more, _mm512_loadu_si512(xi + 32));
          const float both = scale * x_scales[(i * stride + first) / kGroup];
          total[r][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(both), total[r][i]);
        }
      }
    }
    const auto part = [&total](int i) {
      return i < kRows * kInputs ? total[i / kInputs][i % kInputs] : _mm512_setzero_ps();
    };
    _mm_storeu_ps(sums, _mm_mul_ps(value_scale, reduce_four(part(0), part(1), part(2), part(3))));
  }

  ByteDecoder decoder;
  Activations x;
  int shift;
  std::int64_t whole, stride;
  __m128 value_scale;
};

// What groups of 32 do not hold, and offsets.
float ragged_part(const CodeValues& book, const PackedRow& row, const Activations& x,
                  std::int64_t input) {
  return portable::dot_tail(book, row, x, input, x.columns / kGroup * kGroup) +
         portable::dot_offsets(row, x, input);
}

}  // namespace

bool multiplies_bytes() {
  return __builtin_cpu_supports("avx512vbmi") != 0;
}

void dot_bytes(const CodeValues& book, const PackedRow* rows, std::int64_t count,
               const Activations& x, float* y, std::int64_t y_stride) {
  constexpr int kAtOnce = 4;
  const ByteProduct product(book, *rows, x);
  float sums[kAtOnce];
  std::int64_t i = 0;
  for (; i + kAtOnce <= x.rows; i += kAtOnce) {
    for (std::int64_t r = 0; r < count; ++r) {
      product.multiply<1, kAtOnce>(rows + r, i, sums);
      for (int k = 0; k < kAtOnce; ++k) y[(i + k) * y_stride + r] = sums[k];
    }
  }
  for (; i < x.rows; ++i) {
    float* const out = y + i * y_stride;
    std::int64_t r = 0;
    for (; r + kAtOnce <= count; r += kAtOnce) product.multiply<kAtOnce, 1>(rows + r, i, out + r);
    for (; r < count; ++r) {
      product.multiply<1, 1>(rows + r, i, sums);
      out[r] = sums[0];
    }
  }
  if (x.columns == product.whole && rows->offsets == nullptr) return;
  for (i = 0; i < x.rows; ++i) {
    for (std::int64_t r = 0; r < count; ++r) {
      y[i * y_stride + r] += ragged_part(book, rows[r], x, i);
    }
  }
}

// In the order in which ByteDecoder gives values.
void prepare_for_bytes(const float* x, std::int64_t columns, std::int16_t* fixed,
                       float* fixed_scales) {
  for (std::int64_t first = 0; first < columns; first += kStep, fixed += kStep) {
    const std::int64_t count = std::min(kStep, columns - first);
    const float largest = avx2_table().absmax(x + first, count);
    const __m512 factor = _mm512_set1_ps(largest > 0 ? kFixedActivation / largest : 0.f);
    for (std::int64_t q = 0; q < kStep / 16; ++q) {
      const bool there = 16 * q < count;
      const __m512 part = there ? _mm512_loadu_ps(x + first + 16 * q) : _mm512_setzero_ps();
      const __m256i rounded =
          _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(part, factor)));
      const auto half = [&](std::int64_t at) {
        return reinterpret_cast<__m128i*>(fixed + at + 8 * q);
      };
      _mm_storeu_si128(half(0), _mm256_castsi256_si128(rounded));
      _mm_storeu_si128(half(kStep / 2), _mm256_extracti128_si256(rounded, 1));
    }
    fixed_scales[first / kGroup] = largest / kFixedActivation;
  }
}

#pragma GCC pop_options

#endif

}  // namespace qloft::kernels::avx512_kernels

#include "end_avx512.h"

#endif  // __x86_64__
