#include "avx512.h"

#if defined(__x86_64__)

#ifndef QLOFT_EMULATED_AVX512  // tests/kernels/emulated_avx512_test.cpp brings its own
#include <immintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>

#include "avx2.h"
#include "layout.h"
#include "portable.h"

#ifndef QLOFT_EMULATED_AVX512
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own header, GCC bug 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")
#endif

namespace qloft::kernels {
namespace {

// ---------------------------------------------------------------- encoding, up to 16 levels

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

void encode(const Codebook& book, const float* x, std::int64_t count, float offset, float inverse,
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

// ---------------------------------------------------------------- decoding, up to 4 bits

// The values of elements 16 h to 16 h + 15 of a group. Shifts and tables make use of that
// vpermps takes the low four bits of an index: tables of fewer values repeat.
template <int kBits>
struct Decoder {
  explicit Decoder(const Codebook& book) {
    alignas(64) float values[16];
    for (int i = 0; i < 16; ++i) values[i] = book.values[i & ((1 << kBits) - 1)];
    table = _mm512_loadu_ps(values);
    shifts = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28);
  }

  // 32-bit word `a` in the lower eight lanes, `b` in the upper.
  static __m512i pair(const std::uint8_t* a, const std::uint8_t* b) {
    int low;
    int high;
    std::memcpy(&low, a, 4);
    std::memcpy(&high, b, 4);
    return _mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high);
  }

  __m512 half(const std::uint8_t* in, int h) const {
    if constexpr (kBits == 4) {
      return lookup(_mm512_srlv_epi32(pair(in + 8 * h, in + 8 * h + 4), shifts));
    } else if constexpr (kBits == 2) {
      return lookup(two(in, h));
    } else if constexpr (kBits == 1) {
      return lookup(one(in, h));
    } else {
      const __m512i low = _mm512_and_si512(two(in, h), _mm512_set1_epi32(3));
      const __m512i high =
          _mm512_slli_epi32(_mm512_and_si512(one(in + 8, h), _mm512_set1_epi32(1)), 2);
      return lookup(_mm512_or_si512(low, high));
    }
  }

  __m512i two(const std::uint8_t* in, int h) const {
    return _mm512_srlv_epi32(pair(in, in + 4), _mm512_add_epi32(shifts, _mm512_set1_epi32(2 * h)));
  }
  __m512i one(const std::uint8_t* in, int h) const {
    const __m512i vectors = _mm512_mask_set1_epi32(_mm512_set1_epi32(2 * h), 0xff00, 2 * h + 1);
    return _mm512_srlv_epi32(pair(in, in), _mm512_add_epi32(shifts, vectors));
  }
  __m512 lookup(__m512i n) const { return _mm512_permutexvar_ps(n, table); }

  __m512 table;
  __m512i shifts;
};

inline void store(__m512 v, float* out) {
  _mm512_storeu_ps(out, v);
}
inline void store(__m512 v, BFloat16* out) {
  const __m512i u = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i r =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(r));
}

template <int kBits, typename Out>
void decode_groups(const Codebook& book, const PackedRow& row, std::int64_t first,
                   std::int64_t groups, Out* out) {
  const Decoder<kBits> decoder(book);
  const std::uint8_t* in = row.codes + first / kGroup * 4 * kBits;
  const std::int64_t halves = row.block / 16;
  std::int64_t block = first / row.block;
  std::int64_t left = halves - first % row.block / 16;
  for (std::int64_t g = 0; g < groups; ++g, in += 4 * kBits, out += kGroup) {
    for (int h = 0; h < 2; ++h) {
      __m512 v = _mm512_mul_ps(decoder.half(in, h), _mm512_set1_ps(row.scales[block]));
      if (row.offsets != nullptr) v = _mm512_add_ps(v, _mm512_set1_ps(row.offsets[block]));
      store(v, out + 16 * h);
      if (--left == 0) {
        ++block;
        left = halves;
      }
    }
  }
}

template <typename Out>
void decode_whole(const Codebook& book, const PackedRow& row, std::int64_t first,
                  std::int64_t groups, Out* out) {
  switch (book.bits) {
    case 1:
      return decode_groups<1>(book, row, first, groups, out);
    case 2:
      return decode_groups<2>(book, row, first, groups, out);
    case 3:
      return decode_groups<3>(book, row, first, groups, out);
    default:
      return decode_groups<4>(book, row, first, groups, out);
  }
}

void decode_f32(const Codebook& book, const PackedRow& row, std::int64_t columns,
                std::int64_t first, std::int64_t count, float* out) {
  const std::int64_t whole = book.bits <= 4 ? count / kGroup * kGroup : 0;
  if (whole > 0) decode_whole(book, row, first, whole / kGroup, out);
  if (whole < count) {
    avx2_table().decode_f32(book, row, columns, first + whole, count - whole, out + whole);
  }
}

void decode_bf16(const Codebook& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, BFloat16* out) {
  const std::int64_t whole = book.bits <= 4 ? count / kGroup * kGroup : 0;
  if (whole > 0) decode_whole(book, row, first, whole / kGroup, out);
  if (whole < count) {
    avx2_table().decode_bf16(book, row, columns, first + whole, count - whole, out + whole);
  }
}

// ---------------------------------------------------------------- products

// vpermps decodes to f32 as fast as fixed point would: products up to 4 bits are exact here.
template <int kBits, int kRows>
void dot_rows(const Codebook& book, const PackedRow& row, const Activations& x, std::int64_t i,
              float* y, std::int64_t y_stride) {
  const Decoder<kBits> decoder(book);
  const std::int64_t groups = x.columns / kGroup;
  const std::int64_t halves = row.block / 16;
  __m512 total[kRows];
  __m512 block_sum[kRows];
  for (int r = 0; r < kRows; ++r) total[r] = block_sum[r] = _mm512_setzero_ps();
  const std::uint8_t* in = row.codes;
  const float* scale = row.scales;
  std::int64_t left = halves;
  for (std::int64_t g = 0; g < groups; ++g, in += 4 * kBits) {
    for (int h = 0; h < 2; ++h) {
      const __m512 v = decoder.half(in, h);
      for (int r = 0; r < kRows; ++r) {
        const float* xr = x.x + (i + r) * x.stride + g * kGroup + 16 * h;
        block_sum[r] = _mm512_fmadd_ps(v, _mm512_loadu_ps(xr), block_sum[r]);
      }
      if (--left == 0 || (g + 1 == groups && h == 1)) {
        const __m512 s = _mm512_set1_ps(*scale++);
        for (int r = 0; r < kRows; ++r) {
          total[r] = _mm512_fmadd_ps(block_sum[r], s, total[r]);
          block_sum[r] = _mm512_setzero_ps();
        }
        left = halves;
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    y[(i + r) * y_stride] = _mm512_reduce_add_ps(total[r]) +
                            portable::dot_tail(book, row, x, i + r, groups * kGroup) +
                            portable::dot_offsets(row, x, i + r);
  }
}

template <int kBits>
void dot_bits(const Codebook& book, const PackedRow& row, const Activations& x, float* y,
              std::int64_t y_stride) {
  std::int64_t i = 0;
  for (; i + 4 <= x.rows; i += 4) dot_rows<kBits, 4>(book, row, x, i, y, y_stride);
  for (; i + 2 <= x.rows; i += 2) dot_rows<kBits, 2>(book, row, x, i, y, y_stride);
  for (; i < x.rows; ++i) dot_rows<kBits, 1>(book, row, x, i, y, y_stride);
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
    default:
      return avx2_table().dot(book, row, x, y, y_stride);
  }
}

Table make_table() {
  Table t = avx2_table();
  t.set = InstructionSet::avx512;
  t.encode = encode;
  t.decode_f32 = decode_f32;
  t.decode_bf16 = decode_bf16;
  t.dot = dot;
  return t;
}

}  // namespace

const Table& avx512_table() {
  static const Table made = make_table();
  return made;
}

}  // namespace qloft::kernels

#ifndef QLOFT_EMULATED_AVX512
#pragma GCC pop_options
#endif

#endif  // __x86_64__
