// Absmax, nearest codes and the search for a scale.
#include "table.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "layout.h"
#include "portable.h"
#include "widths.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")  // as the portable twin: bit-equal where it matters

#include "vectors.h"  // compiled for AVX2 too

namespace qloft::kernels::avx2 {

float absmax(const float* x, std::int64_t count) {
  // Magnitudes as integers: infinities and NaN come out on top.
  const __m256i mask = _mm256_set1_epi32(0x7fffffff);
  __m256i a = _mm256_setzero_si256();
  __m256i b = a;
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const auto* p = reinterpret_cast<const __m256i*>(x + i);
    a = _mm256_max_epi32(a, _mm256_and_si256(_mm256_loadu_si256(p), mask));
    b = _mm256_max_epi32(b, _mm256_and_si256(_mm256_loadu_si256(p + 1), mask));
  }
  a = _mm256_max_epi32(a, b);
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  auto largest = static_cast<std::uint32_t>(_mm_cvtsi128_si32(m));
  largest = std::max(largest, std::bit_cast<std::uint32_t>(portable::absmax(x + i, count - i)));
  return std::bit_cast<float>(largest);
}

namespace {

void minmax(const float* x, std::int64_t count, float* smallest, float* largest) {
  if (count < 8) return portable::minmax(x, count, smallest, largest);
  __m256 low = _mm256_loadu_ps(x);
  __m256 high = low;
  for (std::int64_t i = 8; i + 8 <= count; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i);
    low = _mm256_min_ps(low, v);
    high = _mm256_max_ps(high, v);
  }
  const __m256 last = _mm256_loadu_ps(x + count - 8);
  low = _mm256_min_ps(low, last);
  high = _mm256_max_ps(high, last);
  *smallest = -largest_of(_mm256_sub_ps(_mm256_setzero_ps(), low)) + 0.f;  // of zeros +0
  *largest = largest_of(high) + 0.f;
}

// The nearest codes of eight values, for code books of up to 2^kSteps levels.
template <int kSteps>
struct Encoder {
  explicit Encoder(const CodeValues& book) : thresholds(book.thresholds), values(book.values) {
    if constexpr (kSteps <= 3) {
      for (int i = 0; i < kCompared; ++i) t[i] = _mm256_set1_ps(thresholds[i]);
      low = _mm256_loadu_ps(values);
    } else {
      float at[15];
      for (int i = 0; i < 15; ++i) at[i] = thresholds[kStride * (i + 1) - 1];
      t[0] = _mm256_set1_ps(at[7]);
      t[1] = _mm256_set1_ps(at[3]);
      t[2] = _mm256_set1_ps(at[11]);
      // Indexed by the negated code so far: 0, -1, -2, -3 and 0, -1, ... -7 in two's complement.
      quarter = _mm256_setr_ps(at[1], at[13], at[9], at[5], at[1], at[13], at[9], at[5]);
      eighth = _mm256_setr_ps(at[0], at[14], at[12], at[10], at[8], at[6], at[4], at[2]);
      low = _mm256_loadu_ps(values);  // of four steps only
      high = _mm256_loadu_ps(values + 8);
    }
  }

  __m256i codes(__m256 v) const {
    if constexpr (kSteps <= 3) {
      __m256i n = _mm256_castps_si256(_mm256_cmp_ps(v, t[0], _CMP_GT_OQ));
      for (int i = 1; i < kCompared; ++i) {
        n = _mm256_add_epi32(n, _mm256_castps_si256(_mm256_cmp_ps(v, t[i], _CMP_GT_OQ)));
      }
      return _mm256_sub_epi32(_mm256_setzero_si256(), n);
    } else {
      const __m256 m3 = _mm256_cmp_ps(v, t[0], _CMP_GT_OQ);
      const __m256 m2 = _mm256_cmp_ps(v, _mm256_blendv_ps(t[1], t[2], m3), _CMP_GT_OQ);
      __m256i n = twice_plus(_mm256_castps_si256(m3), m2);
      n = twice_plus(n, _mm256_cmp_ps(v, _mm256_permutevar_ps(quarter, n), _CMP_GT_OQ));
      n = twice_plus(n, _mm256_cmp_ps(v, _mm256_permutevar8x32_ps(eighth, n), _CMP_GT_OQ));
      n = _mm256_sub_epi32(_mm256_setzero_si256(), n);
      if constexpr (kSteps > 4) n = _mm256_slli_epi32(n, kSteps - 4);
      for (int step = kStride / 2; step > 0; step /= 2) {
        const __m256 at = _mm256_i32gather_ps(thresholds + step - 1, n, 4);
        const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(v, at, _CMP_GT_OQ));
        n = _mm256_add_epi32(n, _mm256_and_si256(above, _mm256_set1_epi32(step)));
      }
      return n;
    }
  }

  __m256 lookup(__m256i n) const {
    if constexpr (kSteps <= 3) {
      return _mm256_permutevar8x32_ps(low, n);
    } else if constexpr (kSteps == 4) {
      return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, n), _mm256_permutevar8x32_ps(high, n),
                              _mm256_castsi256_ps(_mm256_slli_epi32(n, 28)));
    } else {
      return _mm256_i32gather_ps(values, n, 4);
    }
  }

 private:
  static constexpr int kCompared = kSteps <= 3 ? (1 << kSteps) - 1 : 3;
  static constexpr int kStride = kSteps <= 4 ? 1 : 1 << (kSteps - 4);

  static __m256i twice_plus(__m256i n, __m256 mask) {
    return _mm256_add_epi32(_mm256_add_epi32(n, n), _mm256_castps_si256(mask));
  }

  const float* thresholds;
  const float* values;
  __m256 t[kCompared];
  __m256 quarter, eighth, low, high;
};

inline int steps_of(const CodeValues& book) {
  int steps = 1;
  while ((1 << steps) < book.levels) ++steps;
  return steps;
}

// Four vectors of 32-bit codes to 32 bytes in order.
inline __m256i narrow(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i words = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
  return _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

template <int kSteps>
void encode_steps(const CodeValues& book, const float* x, std::int64_t count, float offset,
                  float inverse, std::uint8_t* codes) {
  const Encoder<kSteps> encoder(book);
  const __m256 o = _mm256_set1_ps(offset);
  const __m256 f = _mm256_set1_ps(inverse);
  std::int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i n[4];
    for (int k = 0; k < 4; ++k) {
      n[k] = encoder.codes(_mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8 * k), o), f));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + i), narrow(n[0], n[1], n[2], n[3]));
  }
  for (; i + 8 <= count; i += 8) {
    const __m256i n = encoder.codes(_mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), o), f));
    const __m256i bytes = narrow(n, n, n, n);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), _mm256_castsi256_si128(bytes));
  }
  portable::encode(book, x + i, count - i, offset, inverse, codes + i);
}

void encode(const CodeValues& book, const float* x, std::int64_t count, float offset, float inverse,
            std::uint8_t* codes) {
  with_width(steps_of(book),
             [&](auto steps) { encode_steps<steps()>(book, x, count, offset, inverse, codes); });
}

// Loads n < 8 floats, zeros behind them.
inline __m256 load_some(const float* x, std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(x, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane));
}
inline __m256 keep_some(__m256 v, std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
  return _mm256_and_ps(v, _mm256_castsi256_ps(mask));
}

struct Fit {
  float gain = -1;
  float scale = 0;
};

template <int kSteps>
Fit fit_at(const Encoder<kSteps>& encoder, const float* x, std::int64_t count, float inverse) {
  const __m256 f = _mm256_set1_ps(inverse);
  static_assert(portable::kFitLanes == 8);
  __m256 cx = _mm256_setzero_ps();
  __m256 cc = cx;
  const auto add = [&](__m256 v, __m256 c) {
    cx = _mm256_add_ps(cx, _mm256_mul_ps(c, v));
    cc = _mm256_add_ps(cc, _mm256_mul_ps(c, c));
  };
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i);
    add(v, encoder.lookup(encoder.codes(_mm256_mul_ps(v, f))));
  }
  if (i < count) {
    const __m256 v = load_some(x + i, count - i);
    add(v, keep_some(encoder.lookup(encoder.codes(_mm256_mul_ps(v, f))), count - i));
  }
  const float sum_cx = sum_of(cx);
  const float sum_cc = sum_of(cc);
  if (!(sum_cx > 0) || !(sum_cc > 0)) return {};
  const float scale = sum_cx / sum_cc;
  return {scale * sum_cx, scale};
}

template <int kSteps>
float fit_steps(const CodeValues& book, const float* x, std::int64_t count, float absmax_of_x) {
  const Encoder<kSteps> encoder(book);
  const portable::ScaleGrid grid = portable::scale_grid(book, x, count, absmax_of_x);
  Fit best;
  float candidate = absmax_of_x;
  for (int k = 0; k < grid.candidates; ++k, candidate *= grid.ratio) {
    const Fit fit = fit_at(encoder, x, count, portable::inverse_of(candidate));
    if (fit.gain > best.gain) best = fit;
  }
  if (best.gain < 0) return absmax_of_x;
  for (int k = 0; k < portable::kScaleRefinements; ++k) {
    const Fit fit = fit_at(encoder, x, count, portable::inverse_of(best.scale));
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.scale;
}

float fit_scale(const CodeValues& book, const float* x, std::int64_t count, float absmax_of_x) {
  return with_width(steps_of(book),
                    [&](auto steps) { return fit_steps<steps()>(book, x, count, absmax_of_x); });
}

constexpr int kAddLanes = 8;
#include "add_rows.h"

}  // namespace

void add_encoding(Table& table) {
  table.add_rows = add_rows;
  table.absmax = absmax;
  table.minmax = minmax;
  table.encode = encode;
  table.fit_scale = fit_scale;
}

}  // namespace qloft::kernels::avx2

#pragma GCC pop_options

#endif  // __x86_64__
