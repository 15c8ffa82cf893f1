#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../int8_tables.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")

namespace qloft::kernels {
namespace {

constexpr int kBlock = static_cast<int>(kInt8Block);
constexpr int kRows = static_cast<int>(kInt8Rows);
constexpr int kColumns = static_cast<int>(kInt8Columns);

constexpr int kSteps = kBlock / 4;  // of four elements
constexpr int kVectors = kColumns / 8;
constexpr int kRowsAtOnce = 3;  // whose sums fit the registers

inline __m256i magnitudes(__m256 x) {
  return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

// What elements of eight blocks are multiplied with to give codes, and codes with to give elements,
// as int8_portable.cpp has it.
struct Factors {
  explicit Factors(__m256i largest) {
    const __m256 finite =
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(0x7f800000), largest));
    const __m256 scale =
        _mm256_div_ps(_mm256_castsi256_ps(largest), _mm256_set1_ps(static_cast<float>(kInt8Most)));
    const __m256 nan = _mm256_set1_ps(std::numeric_limits<float>::quiet_NaN());
    counts = _mm256_and_ps(finite, _mm256_cmp_ps(scale, _mm256_set1_ps(kLeastScale), _CMP_GE_OQ));
    to_code = _mm256_and_ps(counts, _mm256_div_ps(_mm256_set1_ps(1.f), scale));
    to_element = _mm256_blendv_ps(nan, _mm256_and_ps(counts, scale), finite);
  }
  __m256 counts;  // all bits of blocks whose elements do not stand for zeros
  __m256 to_code, to_element;
};

// Of eight elements, those of blocks that stand for zeros left out by `counts`: they may be NaN.
inline __m256i codes_of(__m256 x, __m256 to_code, __m256 counts) {
  return _mm256_cvtps_epi32(_mm256_and_ps(_mm256_mul_ps(x, to_code), counts));
}

// Four vectors of codes as bytes: within a half of the result, four of each vector.
inline __m256i bytes_of(__m256i a, __m256i b, __m256i c, __m256i d) {
  return _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
}

inline void transpose(__m256i (&rows)[8]) {
  __m256i t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int h = 0; h < 2; ++h) {
      u[i + 2 * h] = _mm256_unpacklo_epi64(t[i + h], t[i + 2 + h]);
      u[i + 2 * h + 1] = _mm256_unpackhi_epi64(t[i + h], t[i + 2 + h]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
  }
}

// A block of up to eight rows, x[i] its row i, whole or null: step q has four codes of each row;
// and the rows' scales.
__m256 quantize_rows(const float* const (&x)[8], __m256i (&steps)[kSteps]) {
  alignas(32) std::int32_t largest[8] = {};
  for (int i = 0; i < 8; ++i) {
    if (x[i] == nullptr) continue;
    __m256i most = _mm256_setzero_si256();
    for (int v = 0; v < 8; ++v) {
      most = _mm256_max_epi32(most, magnitudes(_mm256_loadu_ps(x[i] + 8 * v)));
    }
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    largest[i] = _mm_cvtsi128_si32(half);
  }
  const Factors factors(_mm256_load_si256(reinterpret_cast<const __m256i*>(largest)));
  alignas(32) float to_code[8], counts[8];
  _mm256_store_ps(to_code, factors.to_code);
  _mm256_store_ps(counts, factors.counts);
  for (int h = 0; h < 2; ++h) {
    __m256i rows[8];
    for (int i = 0; i < 8; ++i) {
      rows[i] = _mm256_setzero_si256();
      if (x[i] == nullptr) continue;
      const __m256 factor = _mm256_set1_ps(to_code[i]), all = _mm256_set1_ps(counts[i]);
      __m256i codes[4];
      for (int v = 0; v < 4; ++v) {
        codes[v] = codes_of(_mm256_loadu_ps(x[i] + 32 * h + 8 * v), factor, all);
      }
      rows[i] = bytes_of(codes[0], codes[1], codes[2], codes[3]);
    }
    transpose(rows);
    // bytes_of has the even steps first, then the odd ones.
    for (int q = 0; q < 8; ++q) steps[8 * h + q] = rows[q / 2 + 4 * (q % 2)];
  }
  return factors.to_element;
}

// Calls body(first row, steps, scales) for each eight rows of a block of `rows` rows, of which the
// first `count` elements are there.
template <typename Body>
void for_eight_rows(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t count,
                    int most_rows, const Body& body) {
  float padded[8][kBlock];
  for (int first = 0; first < most_rows; first += 8) {
    const float* of[8];
    for (int i = 0; i < 8; ++i) {
      of[i] = first + i < rows ? x + (first + i) * stride : nullptr;
      if (of[i] == nullptr || count >= kBlock) continue;
      std::fill(std::copy(of[i], of[i] + count, padded[i]), padded[i] + kBlock, 0.f);
      of[i] = padded[i];
    }
    __m256i steps[kSteps];
    const __m256 scales = quantize_rows(of, steps);
    body(first, steps, scales);
  }
}

void quantize_activations(const float* x, std::int64_t stride, std::int64_t rows,
                          std::int64_t columns, Int8Activations* out) {
  static_assert(kRows == 12, "a vector and a half");
  for (std::int64_t first = 0; first < columns; first += kBlock, ++out) {
    const auto store = [out](int row, const __m256i(&steps)[kSteps], __m256 scales) {
      __m256i sums = _mm256_setzero_si256();
      for (const __m256i step : steps) {
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), step);
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      }
      sums = _mm256_mullo_epi32(sums, _mm256_set1_epi32(-kInt8Zero));
      const std::size_t bytes = row == 0 ? 32 : 16;
      for (int q = 0; q < kSteps; ++q) std::memcpy(out->codes[q][row], &steps[q], bytes);
      std::memcpy(out->sums + row, &sums, bytes);
      std::memcpy(out->scales + row, &scales, bytes);
    };
    for_eight_rows(x + first, stride, rows, columns - first, kRows, store);
  }
}

// Codes with kInt8Zero added.
inline __m256i positive(__m256i codes) {
  return _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(kInt8Zero)));
}

void quantize_weights(const float* w, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                      Int8Weights* out) {
  for (std::int64_t first = 0; first < columns; first += kBlock, ++out) {
    const auto store = [out](int row, const __m256i(&steps)[kSteps], __m256 scales) {
      for (int q = 0; q < kSteps; ++q) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->codes[q][row]), positive(steps[q]));
      }
      _mm256_storeu_ps(out->scales + row, scales);
    };
    for_eight_rows(w + first, stride, rows, columns - first, kColumns, store);
  }
}

void quantize_transposed_weights(const float* w, std::int64_t stride, std::int64_t rows,
                                 std::int64_t columns, Int8Weights* out) {
  float padded[kBlock * kColumns];
  if (rows < kBlock || columns < kColumns) {
    std::fill(std::begin(padded), std::end(padded), 0.f);
    for (std::int64_t k = 0; k < rows; ++k) {
      std::copy_n(w + k * stride, columns, padded + k * kColumns);
    }
    w = padded;
    stride = kColumns;
  }
  // From the bytes of four vectors to those of four elements beside each other.
  const __m256i beside = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  __m256i largest[kVectors] = {};
  for (int k = 0; k < kBlock; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      largest[v] =
          _mm256_max_epi32(largest[v], magnitudes(_mm256_loadu_ps(w + k * stride + 8 * v)));
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    const Factors factors(largest[v]);
    _mm256_storeu_ps(out->scales + 8 * v, factors.to_element);
    for (int q = 0; q < kSteps; ++q) {
      __m256i codes[4];
      for (int e = 0; e < 4; ++e) {
        codes[e] = codes_of(_mm256_loadu_ps(w + (4 * q + e) * stride + 8 * v), factors.to_code,
                            factors.counts);
      }
      const __m256i bytes = bytes_of(codes[0], codes[1], codes[2], codes[3]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->codes[q][8 * v]),
                          positive(_mm256_shuffle_epi8(bytes, beside)));
    }
  }
}

// Rows [first, first + kRowsAtOnce). Bytes are spread to words of 16 bits, even and odd ones apart:
// vpmaddubsw would saturate.
inline void add_block(const Int8Activations& x, const Int8Weights& w, int first, float* y) {
  __m256i sums[kRowsAtOnce][kVectors];
  for (int i = 0; i < kRowsAtOnce; ++i) {
    for (__m256i& sum : sums[i]) sum = _mm256_set1_epi32(x.sums[first + i]);
  }
  const __m256i low = _mm256_set1_epi16(0xff);
  for (int q = 0; q < kSteps; ++q) {
    __m256i even[kVectors], odd[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const auto* codes = reinterpret_cast<const __m256i*>(w.codes[q] + 8 * v);
      const __m256i bytes = _mm256_loadu_si256(codes);
      even[v] = _mm256_and_si256(bytes, low);
      odd[v] = _mm256_srli_epi16(bytes, 8);
    }
    for (int i = 0; i < kRowsAtOnce; ++i) {
      std::int32_t four;
      std::memcpy(&four, x.codes[q][first + i], 4);
      const __m256i bytes = _mm256_set1_epi32(four);
      const __m256i x_even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
      const __m256i x_odd = _mm256_srai_epi16(bytes, 8);
      for (int v = 0; v < kVectors; ++v) {
        sums[i][v] = _mm256_add_epi32(sums[i][v], _mm256_madd_epi16(even[v], x_even));
        sums[i][v] = _mm256_add_epi32(sums[i][v], _mm256_madd_epi16(odd[v], x_odd));
      }
    }
  }
  for (int i = 0; i < kRowsAtOnce; ++i) {
    const __m256 x_scale = _mm256_set1_ps(x.scales[first + i]);
    for (int v = 0; v < kVectors; ++v) {
      float* const out = y + kColumns * (first + i) + 8 * v;
      const __m256 part =
          _mm256_mul_ps(_mm256_cvtepi32_ps(sums[i][v]), _mm256_loadu_ps(w.scales + 8 * v));
      _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), _mm256_mul_ps(part, x_scale)));
    }
  }
}

void multiply(const Int8Activations* x, const Int8Weights* w, std::int64_t blocks, float* y) {
  std::fill(y, y + kRows * kColumns, 0.f);
  for (std::int64_t b = 0; b < blocks; ++b) {
    for (int first = 0; first < kRows; first += kRowsAtOnce) add_block(x[b], w[b], first, y);
  }
}

constexpr Int8Table kTable = {
    .set = InstructionSet::avx2,
    .quantize_activations = quantize_activations,
    .quantize_weights = quantize_weights,
    .quantize_transposed_weights = quantize_transposed_weights,
    .multiply = multiply,
};

}  // namespace

const Int8Table& int8_avx2_table() {
  return kTable;
}

}  // namespace qloft::kernels

#pragma GCC pop_options
#endif
