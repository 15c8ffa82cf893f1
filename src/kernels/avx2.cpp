#include "avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "layout.h"
#include "portable.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")  // as the portable twin: bit-equal where it matters

namespace qloft::kernels {
namespace {

// ---------------------------------------------------------------- reductions

inline float largest_of(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  return _mm_cvtss_f32(m);
}

inline float sum_of(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

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
  *smallest = -largest_of(_mm256_sub_ps(_mm256_setzero_ps(), low));
  *largest = largest_of(high);
}

// ---------------------------------------------------------------- encoding

// The nearest codes of eight values, for code books of up to 2^kSteps levels.
template <int kSteps>
struct Encoder {
  explicit Encoder(const Codebook& book) : thresholds(book.thresholds), values(book.values) {
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

inline int steps_of(const Codebook& book) {
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
void encode_steps(const Codebook& book, const float* x, std::int64_t count, float offset,
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

void encode(const Codebook& book, const float* x, std::int64_t count, float offset, float inverse,
            std::uint8_t* codes) {
  switch (steps_of(book)) {
    case 1:
      return encode_steps<1>(book, x, count, offset, inverse, codes);
    case 2:
      return encode_steps<2>(book, x, count, offset, inverse, codes);
    case 3:
      return encode_steps<3>(book, x, count, offset, inverse, codes);
    case 4:
      return encode_steps<4>(book, x, count, offset, inverse, codes);
    case 5:
      return encode_steps<5>(book, x, count, offset, inverse, codes);
    case 6:
      return encode_steps<6>(book, x, count, offset, inverse, codes);
    case 7:
      return encode_steps<7>(book, x, count, offset, inverse, codes);
    default:
      return encode_steps<8>(book, x, count, offset, inverse, codes);
  }
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
  __m256 cx = _mm256_setzero_ps();
  __m256 cc = cx;
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i);
    const __m256 c = encoder.lookup(encoder.codes(_mm256_mul_ps(v, f)));
    cx = _mm256_fmadd_ps(c, v, cx);
    cc = _mm256_fmadd_ps(c, c, cc);
  }
  if (i < count) {
    const __m256 v = load_some(x + i, count - i);
    const __m256 c = keep_some(encoder.lookup(encoder.codes(_mm256_mul_ps(v, f))), count - i);
    cx = _mm256_fmadd_ps(c, v, cx);
    cc = _mm256_fmadd_ps(c, c, cc);
  }
  const float sum_cx = sum_of(cx);
  const float sum_cc = sum_of(cc);
  if (!(sum_cx > 0) || !(sum_cc > 0)) return {};
  const float scale = sum_cx / sum_cc;
  return {scale * sum_cx, scale};
}

template <int kSteps>
float fit_steps(const Codebook& book, const float* x, std::int64_t count, float absmax_of_x) {
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

float fit_scale(const Codebook& book, const float* x, std::int64_t count, float absmax_of_x) {
  switch (steps_of(book)) {
    case 1:
      return fit_steps<1>(book, x, count, absmax_of_x);
    case 2:
      return fit_steps<2>(book, x, count, absmax_of_x);
    case 3:
      return fit_steps<3>(book, x, count, absmax_of_x);
    case 4:
      return fit_steps<4>(book, x, count, absmax_of_x);
    case 5:
      return fit_steps<5>(book, x, count, absmax_of_x);
    case 6:
      return fit_steps<6>(book, x, count, absmax_of_x);
    case 7:
      return fit_steps<7>(book, x, count, absmax_of_x);
    default:
      return fit_steps<8>(book, x, count, absmax_of_x);
  }
}

// ---------------------------------------------------------------- packing

inline __m256i load256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline __m128i or_halves(__m256i v) {
  return _mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

// Element order to the order in which shifts spread a plane (layout.h), and back.
inline __m256i to_lanes(__m256i v) {
  return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
inline __m256i to_elements(__m256i v) {
  return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
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

// 32 codes of one group, byte 16 h + k for element 8 (k / 4) + 4 h + k % 4.
template <int kBits>
inline __m256i group_codes(const std::uint8_t* in) {
  constexpr Planes kPlanes = planes_of(kBits);
  __m256i c = _mm256_setzero_si256();
  if constexpr (kPlanes.four) {
    const __m256i both =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
    c = _mm256_and_si256(_mm256_srlv_epi64(both, _mm256_setr_epi64x(0, 0, 4, 4)),
                         _mm256_set1_epi8(15));
    in += 16;
  }
  if constexpr (kPlanes.two) {
    long long word;
    std::memcpy(&word, in, 8);
    __m256i f = _mm256_and_si256(
        _mm256_srlv_epi64(_mm256_set1_epi64x(word), _mm256_setr_epi64x(0, 2, 4, 6)),
        _mm256_set1_epi8(3));
    if constexpr (kPlanes.four) f = _mm256_slli_epi16(f, 4);
    c = _mm256_or_si256(c, f);
    in += 8;
  }
  if constexpr (kPlanes.one) {
    int word;
    std::memcpy(&word, in, 4);
    __m256i f = _mm256_and_si256(
        _mm256_srlv_epi32(_mm256_set1_epi32(word), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
        _mm256_set1_epi8(1));
    f = _mm256_slli_epi16(f, (kPlanes.four ? 4 : 0) + (kPlanes.two ? 2 : 0));
    c = _mm256_or_si256(c, f);
  }
  if constexpr (kPlanes.eight) c = to_lanes(load256(in));
  return c;
}

template <int kBits>
void pack_bits(const std::uint8_t* codes, std::int64_t count, std::uint8_t* packed) {
  if constexpr (kBits == 8) {
    std::memcpy(packed, codes, static_cast<std::size_t>(count));
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
    std::memcpy(codes, packed, static_cast<std::size_t>(count));
  } else {
    for (; count >= kGroup; count -= kGroup, codes += kGroup, packed += 4 * kBits) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes),
                          to_elements(group_codes<kBits>(packed)));
    }
    portable::unpack_tail(packed, static_cast<int>(count), kBits, codes);
  }
}

void pack(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed) {
  switch (bits) {
    case 1:
      return pack_bits<1>(codes, count, packed);
    case 2:
      return pack_bits<2>(codes, count, packed);
    case 3:
      return pack_bits<3>(codes, count, packed);
    case 4:
      return pack_bits<4>(codes, count, packed);
    case 5:
      return pack_bits<5>(codes, count, packed);
    case 6:
      return pack_bits<6>(codes, count, packed);
    case 7:
      return pack_bits<7>(codes, count, packed);
    default:
      return pack_bits<8>(codes, count, packed);
  }
}

void unpack(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes) {
  switch (bits) {
    case 1:
      return unpack_bits<1>(packed, count, codes);
    case 2:
      return unpack_bits<2>(packed, count, codes);
    case 3:
      return unpack_bits<3>(packed, count, codes);
    case 4:
      return unpack_bits<4>(packed, count, codes);
    case 5:
      return unpack_bits<5>(packed, count, codes);
    case 6:
      return unpack_bits<6>(packed, count, codes);
    case 7:
      return unpack_bits<7>(packed, count, codes);
    default:
      return unpack_bits<8>(packed, count, codes);
  }
}

// ---------------------------------------------------------------- decoding

inline __m256i broadcast128(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

// The values of one group: v[m] holds elements 8 m to 8 m + 7.
template <int kBits>
struct Decoder {
  explicit Decoder(const Codebook& book) : values(book.values) {
    if constexpr (kBits <= 2) {
      quad = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(book.values));
    } else if constexpr (kBits <= 4) {
      for (int k = 0; k < 4; ++k) bytes[k] = broadcast128(book.value_bytes[k]);
    }
  }

  void group(const std::uint8_t* in, __m256 v[4]) const {
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

// Walks the blocks of a row by half groups.
struct BlockWalk {
  BlockWalk(std::int64_t block, std::int64_t first)
      : halves(block / 16), index(first / block), left(halves - first % block / 16) {}
  std::int64_t next() {
    const std::int64_t now = index;
    if (--left == 0) {
      ++index;
      left = halves;
    }
    return now;
  }
  std::int64_t halves, index, left;
};

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

inline void decode_rest(const Codebook& book, const PackedRow& row, std::int64_t columns,
                        std::int64_t first, std::int64_t count, float* out) {
  portable::decode_f32(book, row, columns, first, count, out);
}
inline void decode_rest(const Codebook& book, const PackedRow& row, std::int64_t columns,
                        std::int64_t first, std::int64_t count, BFloat16* out) {
  portable::decode_bf16(book, row, columns, first, count, out);
}

template <int kBits, bool kOffsets, typename Out>
void decode_groups(const Codebook& book, const PackedRow& row, std::int64_t first,
                   std::int64_t groups, Out* out) {
  const Decoder<kBits> decoder(book);
  BlockWalk walk(row.block, first);
  const std::uint8_t* in = row.codes + first / kGroup * 4 * kBits;
  for (std::int64_t g = 0; g < groups; ++g, in += 4 * kBits, out += kGroup) {
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

template <int kBits, typename Out>
void decode_bits(const Codebook& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, Out* out) {
  const std::int64_t groups = count / kGroup;
  if (row.offsets != nullptr) {
    decode_groups<kBits, true>(book, row, first, groups, out);
  } else {
    decode_groups<kBits, false>(book, row, first, groups, out);
  }
  const std::int64_t done = groups * kGroup;
  if (done < count) decode_rest(book, row, columns, first + done, count - done, out + done);
}

template <typename Out>
void decode(const Codebook& book, const PackedRow& row, std::int64_t columns, std::int64_t first,
            std::int64_t count, Out* out) {
  switch (book.bits) {
    case 1:
      return decode_bits<1>(book, row, columns, first, count, out);
    case 2:
      return decode_bits<2>(book, row, columns, first, count, out);
    case 3:
      return decode_bits<3>(book, row, columns, first, count, out);
    case 4:
      return decode_bits<4>(book, row, columns, first, count, out);
    case 5:
      return decode_bits<5>(book, row, columns, first, count, out);
    case 6:
      return decode_bits<6>(book, row, columns, first, count, out);
    case 7:
      return decode_bits<7>(book, row, columns, first, count, out);
    default:
      return decode_bits<8>(book, row, columns, first, count, out);
  }
}

// ---------------------------------------------------------------- products

void prepare_activations(const float* x, std::int64_t columns, std::int16_t* fixed,
                         float* fixed_scales, float* sums) {
  portable::prepare_activations(x, columns, nullptr, nullptr, sums);
  if (fixed == nullptr) return;
  for (std::int64_t g = 0; g < columns / kGroup; ++g, x += kGroup, fixed += kGroup) {
    const float largest = absmax(x, kGroup);
    const __m256 f = _mm256_set1_ps(largest > 0 ? kFixedActivation / largest : 0.f);
    fixed_scales[g] = largest / kFixedActivation;
    for (int h = 0; h < 2; ++h) {
      const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * h), f));
      const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * h + 8), f));
      // Packing lane by lane gives 0-3, 8-11 | 4-7, 12-15: the order of group_codes.
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(fixed + 16 * h), _mm256_packs_epi32(a, b));
    }
  }
}

// The halves of one group as 16-bit fixed-point values, in the order of prepare_activations.
template <int kBits>
struct FixedDecoder {
  explicit FixedDecoder(const Codebook& book)
      : low(broadcast128(book.fixed_low)), high(broadcast128(book.fixed_high)) {}
  void group(const std::uint8_t* in, __m256i& first, __m256i& second) const {
    const __m256i c = group_codes<kBits>(in);
    const __m256i l = _mm256_shuffle_epi8(low, c);
    const __m256i h = _mm256_shuffle_epi8(high, c);
    first = _mm256_unpacklo_epi8(l, h);
    second = _mm256_unpackhi_epi8(l, h);
  }
  __m256i low, high;
};

// Bytes of codes between what is multiplied and what is fetched.
constexpr std::int64_t kPrefetchDistance = 1536;

// Adds the product of one group within one block; `scale` is the block's.
template <int kBits, int kRows>
inline void add_group(const FixedDecoder<kBits>& decoder, const std::uint8_t* in,
                      const std::int16_t* fixed, const float* fixed_scales, std::int64_t groups,
                      __m256 scale, __m256 total[kRows]) {
  __m256i first;
  __m256i second;
  decoder.group(in, first, second);
  for (int r = 0; r < kRows; ++r) {
    const std::int16_t* x = fixed + r * groups * kGroup;
    const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(first, load256(x)),
                                         _mm256_madd_epi16(second, load256(x + 16)));
    const __m256 s = _mm256_mul_ps(_mm256_broadcast_ss(fixed_scales + r * groups), scale);
    total[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), s, total[r]);
  }
}

template <int kBits, int kRows>
void dot_fixed(const Codebook& book, const PackedRow& row, const Activations& x, std::int64_t i,
               float* y, std::int64_t y_stride) {
  const std::int64_t groups = x.columns / kGroup;
  const FixedDecoder<kBits> decoder(book);
  __m256 even[kRows];
  __m256 odd[kRows];
  for (int r = 0; r < kRows; ++r) even[r] = odd[r] = _mm256_setzero_ps();
  const std::uint8_t* in = row.codes;
  const std::int16_t* fixed = x.fixed + i * groups * kGroup;
  const float* fixed_scales = x.fixed_scales + i * groups;
  if (row.block % kGroup == 0) {
    const std::int64_t groups_a_block = row.block / kGroup;
    const float* scale = row.scales;
    for (std::int64_t g = 0; g < groups; ++scale) {
      const __m256 s = _mm256_broadcast_ss(scale);
      const std::int64_t end = std::min(groups, g + groups_a_block);
      for (; g + 2 <= end; g += 2, in += 8 * kBits) {
        // The processor's own prefetching stops at the end of a page.
        _mm_prefetch(reinterpret_cast<const char*>(in) + kPrefetchDistance, _MM_HINT_T0);
        add_group<kBits, kRows>(decoder, in, fixed + g * kGroup, fixed_scales + g, groups, s, even);
        add_group<kBits, kRows>(decoder, in + 4 * kBits, fixed + (g + 1) * kGroup,
                                fixed_scales + g + 1, groups, s, odd);
      }
      for (; g < end; ++g, in += 4 * kBits) {
        add_group<kBits, kRows>(decoder, in, fixed + g * kGroup, fixed_scales + g, groups, s, even);
      }
    }
  } else {
    BlockWalk walk(row.block, 0);
    for (std::int64_t g = 0; g < groups; ++g, in += 4 * kBits) {
      __m256i first;
      __m256i second;
      decoder.group(in, first, second);
      const __m256 s0 = _mm256_broadcast_ss(row.scales + walk.next());
      const __m256 s1 = _mm256_broadcast_ss(row.scales + walk.next());
      for (int r = 0; r < kRows; ++r) {
        const std::int16_t* xf = fixed + (r * groups + g) * kGroup;
        const __m256 p0 = _mm256_cvtepi32_ps(_mm256_madd_epi16(first, load256(xf)));
        const __m256 p1 = _mm256_cvtepi32_ps(_mm256_madd_epi16(second, load256(xf + 16)));
        const __m256 xs = _mm256_broadcast_ss(fixed_scales + r * groups + g);
        even[r] = _mm256_fmadd_ps(p0, _mm256_mul_ps(xs, s0), even[r]);
        odd[r] = _mm256_fmadd_ps(p1, _mm256_mul_ps(xs, s1), odd[r]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    y[(i + r) * y_stride] = book.fixed_scale * sum_of(_mm256_add_ps(even[r], odd[r])) +
                            portable::dot_tail(book, row, x, i + r, groups * kGroup) +
                            portable::dot_offsets(row, x, i + r);
  }
}

template <int kBits, int kRows>
void dot_float(const Codebook& book, const PackedRow& row, const Activations& x, std::int64_t i,
               float* y, std::int64_t y_stride) {
  const std::int64_t groups = x.columns / kGroup;
  const Decoder<kBits> decoder(book);
  BlockWalk walk(row.block, 0);
  __m256 total[kRows];
  for (int r = 0; r < kRows; ++r) total[r] = _mm256_setzero_ps();
  const std::uint8_t* in = row.codes;
  for (std::int64_t g = 0; g < groups; ++g, in += 4 * kBits) {
    __m256 v[4];
    decoder.group(in, v);
    for (int h = 0; h < 2; ++h) {
      const __m256 s = _mm256_broadcast_ss(row.scales + walk.next());
      v[2 * h] = _mm256_mul_ps(v[2 * h], s);
      v[2 * h + 1] = _mm256_mul_ps(v[2 * h + 1], s);
    }
    for (int r = 0; r < kRows; ++r) {
      const float* xr = x.x + (i + r) * x.stride + g * kGroup;
      __m256 sum = _mm256_mul_ps(v[0], _mm256_loadu_ps(xr));
      for (int m = 1; m < 4; ++m) sum = _mm256_fmadd_ps(v[m], _mm256_loadu_ps(xr + 8 * m), sum);
      total[r] = _mm256_add_ps(total[r], sum);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    y[(i + r) * y_stride] = sum_of(total[r]) +
                            portable::dot_tail(book, row, x, i + r, groups * kGroup) +
                            portable::dot_offsets(row, x, i + r);
  }
}

template <int kBits>
void dot_bits(const Codebook& book, const PackedRow& row, const Activations& x, float* y,
              std::int64_t y_stride) {
  std::int64_t i = 0;
  if constexpr (kBits <= 4) {
    if (x.fixed != nullptr) {
      for (; i + 4 <= x.rows; i += 4) dot_fixed<kBits, 4>(book, row, x, i, y, y_stride);
      for (; i + 2 <= x.rows; i += 2) dot_fixed<kBits, 2>(book, row, x, i, y, y_stride);
      for (; i < x.rows; ++i) dot_fixed<kBits, 1>(book, row, x, i, y, y_stride);
      return;
    }
  }
  for (; i + 8 <= x.rows; i += 8) dot_float<kBits, 8>(book, row, x, i, y, y_stride);
  for (; i + 4 <= x.rows; i += 4) dot_float<kBits, 4>(book, row, x, i, y, y_stride);
  for (; i + 2 <= x.rows; i += 2) dot_float<kBits, 2>(book, row, x, i, y, y_stride);
  for (; i < x.rows; ++i) dot_float<kBits, 1>(book, row, x, i, y, y_stride);
}

void dot(const Codebook& book, const PackedRow& row, const Activations& x, float* y,
         std::int64_t y_stride) {
  switch (book.bits) {
    case 1:
      return dot_bits<1>(book, row, x, y, y_stride);
    case 2:
      return dot_bits<2>(book, row, x, y, y_stride);
    case 3:
      return dot_bits<3>(book, row, x, y, y_stride);
    case 4:
      return dot_bits<4>(book, row, x, y, y_stride);
    case 5:
      return dot_bits<5>(book, row, x, y, y_stride);
    case 6:
      return dot_bits<6>(book, row, x, y, y_stride);
    case 7:
      return dot_bits<7>(book, row, x, y, y_stride);
    default:
      return dot_bits<8>(book, row, x, y, y_stride);
  }
}

// ---------------------------------------------------------------- conversions

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

constexpr Table kAvx2 = {
    .set = InstructionSet::avx2,
    .absmax = absmax,
    .minmax = minmax,
    .encode = encode,
    .fit_scale = fit_scale,
    .pack = pack,
    .unpack = unpack,
    .decode_f32 = decode<float>,
    .decode_bf16 = decode<BFloat16>,
    .prepare_activations = prepare_activations,
    .dot = dot,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_bf16 = f32_to_bf16,
};

}  // namespace

const Table& avx2_table() {
  return kAvx2;
}

}  // namespace qloft::kernels

#pragma GCC pop_options

#endif  // __x86_64__
