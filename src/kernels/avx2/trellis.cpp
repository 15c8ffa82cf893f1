// Windows of trellis codes, and their search.
#include "parts.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "avx2.h"
#include "layout.h"
#include "portable.h"
#include "trellis.h"
#include "widths.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")  // as the portable twin: bit-equal where it matters

#include "codes.h"  // compiled for AVX2 too

namespace qloft::kernels::avx2 {

namespace {

constexpr int kLanes = 8;
#include "trellis_loops.h"

template <int kBits>
void advance_groups(const std::uint8_t* packed, std::int64_t groups, const std::uint16_t* before,
                    std::uint16_t* after) {
  for (std::int64_t g = 0; g < groups; ++g, packed += 4 * kBits, after += kGroup) {
    const __m256i codes = to_elements(group_codes<kBits>(packed));
    for (int h = 0; h < 2; ++h) {
      const __m128i half =
          h == 0 ? _mm256_castsi256_si128(codes) : _mm256_extracti128_si256(codes, 1);
      __m256i window = _mm256_slli_epi16(_mm256_cvtepu8_epi16(half), kWindowShift);
      if (before != nullptr) {
        const __m256i above = load256(before + g * kGroup + 16 * h);
        window = _mm256_or_si256(window, _mm256_slli_epi16(above, kBits));
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(after + 16 * h), window);
    }
  }
}

void advance_windows(const std::uint8_t* packed, std::int64_t count, int bits,
                     const std::uint16_t* before, std::uint16_t* after) {
  const std::int64_t groups = count / kGroup, whole = groups * kGroup;
  with_width<4>(bits, [&](auto width) { advance_groups<width()>(packed, groups, before, after); });
  if (whole == count) return;
  portable::advance_windows(packed + groups * 4 * bits, count - whole, bits,
                            before != nullptr ? before + whole : nullptr, after + whole);
}

void dot_trellis(const Codebook& book, const PackedRow* rows, std::int64_t count,
                 const Activations& x, float* y, std::int64_t y_stride, std::uint16_t* windows) {
  dot_trellis_by_row(advance_windows, avx2_table().dot, book, rows, count, x, y, y_stride, windows);
}

}  // namespace

void add_trellis(Table& table) {
  table.dot_trellis = dot_trellis;
  table.advance_windows = advance_windows;
  table.search = search;
}

}  // namespace qloft::kernels::avx2

#pragma GCC pop_options

#endif  // __x86_64__
