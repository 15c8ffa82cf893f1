// Windows of trellis codes, and their search.
#include "table.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
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

constexpr int kLanes = 16;
typedef std::uint16_t Counts __attribute__((vector_size(2 * kLanes)));
inline Counts add_saturated(Counts a, Counts b) {
  return reinterpret_cast<Counts>(
      _mm256_adds_epu16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
inline Counts high_product(Counts a, Counts b) {
  return reinterpret_cast<Counts>(
      _mm256_mulhi_epu16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
#include "trellis_loops.h"

// The distances of one row as four tables of 16, their lower bytes in one half of a vector and the
// upper ones in the other.
struct Lookup {
  Lookup(const SearchSpace& space, const std::uint16_t* distances, std::uint16_t floor)
      : indices(space.indices) {
    const __m256i off = _mm256_set1_epi16(static_cast<short>(floor));
    const __m256i low_bytes = _mm256_set1_epi16(0xff);
    for (int t = 0; t < 4; ++t) {
      const __m256i words = _mm256_sub_epi16(load256(distances + 16 * t), off);
      // Both halves of a vector pack by themselves: 8 lower bytes, 8 upper ones, and again.
      const __m256i packed =
          _mm256_packus_epi16(_mm256_and_si256(words, low_bytes), _mm256_srli_epi16(words, 8));
      tables[t] = _mm256_permute4x64_epi64(packed, 0xd8);
    }
  }
  Counts operator()(int window) const {
    const __m256i words = load256(indices + window);
    const __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    const __m256i index = _mm256_broadcastsi128_si256(bytes);
    __m256i found = _mm256_setzero_si256();
    for (int t = 0; t < 4; ++t) {
      // What lies in another table gets its uppermost bit set, for which zero is found.
      const __m256i within =
          _mm256_adds_epu8(_mm256_xor_si256(index, _mm256_set1_epi8(static_cast<char>(16 * t))),
                           _mm256_set1_epi8(0x70));
      found = _mm256_or_si256(found, _mm256_shuffle_epi8(tables[t], within));
    }
    const __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(found));
    const __m256i high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(found, 1));
    return reinterpret_cast<Counts>(_mm256_or_si256(low, _mm256_slli_epi16(high, 8)));
  }
  template <int kBits>
  static Counts spread(const std::uint16_t* costs) {
    alignas(32) static constexpr auto kFrom = [] {
      std::array<std::uint8_t, 2 * kLanes> from = {};
      for (std::size_t i = 0; i < from.size(); ++i) {
        from[i] = static_cast<std::uint8_t>(2 * (i / 2 >> kBits) + i % 2);
      }
      return from;
    }();
    const __m256i twice =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(costs)));
    return reinterpret_cast<Counts>(_mm256_shuffle_epi8(twice, load256(kFrom.data())));
  }

  const std::uint16_t* indices;
  __m256i tables[4];
};

void search(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
            void* workspace, std::uint8_t* codes) {
  search_by<Lookup>(book, x, scales, count, workspace, codes);
}

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

void dot_trellis(const CodeValues& book, const PackedRow* rows, std::int64_t count,
                 const Activations& x, float* y, std::int64_t y_stride, std::uint16_t* windows) {
  dot_trellis_by_row(advance_windows, avx2_table().dot, book, rows, count, x, y, y_stride, windows);
}

}  // namespace

void add_trellis(Table& table) {
  table.dot_trellis = dot_trellis;
  table.advance_windows = advance_windows;
  table.search = search;
  table.trellis_values = trellis_values;
}

}  // namespace qloft::kernels::avx2

#pragma GCC pop_options

#endif  // __x86_64__
