#include <algorithm>
#include <bit>
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

#include "../int8_loops.h"

constexpr int kVectors = kColumns / 8;
constexpr int kRowsAtOnce = 3;  // whose sums fit the registers

// Rows [first, first + kRowsAtOnce). Bytes are spread to words of 16 bits, even and odd ones apart:
// vpmaddubsw would saturate.
inline void add_block(const Int8Activations& x, const Int8Weights& w, int first, float* y) {
  __m256i sums[kRowsAtOnce][kVectors];
  for (int i = 0; i < kRowsAtOnce; ++i) {
    for (__m256i& sum : sums[i]) sum = _mm256_set1_epi32(x.sums[first + i]);
  }
  const __m256i low = _mm256_set1_epi16(0xff);
  for (int q = 0; q < kBlock / 4; ++q) {
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
      _mm256_storeu_ps(out, _mm256_fmadd_ps(part, x_scale, _mm256_loadu_ps(out)));
    }
  }
}

void multiply(const Int8Activations* x, const Int8Weights* w, std::int64_t blocks, float* y) {
  std::fill(y, y + kRows * kColumns, 0.f);
  for (std::int64_t b = 0; b < blocks; ++b) {
    for (int first = 0; first < kRows; first += kRowsAtOnce) add_block(x[b], w[b], first, y);
  }
}

constexpr Int8Table kTable = table_of(InstructionSet::avx2);

}  // namespace

const Int8Table& int8_avx2_table() {
  return kTable;
}

}  // namespace qloft::kernels

#pragma GCC pop_options
#endif
