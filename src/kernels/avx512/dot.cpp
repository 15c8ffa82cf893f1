// Products of packed rows with activations: up to 4 bits in fixed point, and 8 (dot_bytes.h). Other
// widths, block sizes that are no power of two from 32 on (64 for 8 bits) and activations without
// fixed point go to AVX2.
#include "table.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include "../avx2.h"
#include "../layout.h"
#include "../portable.h"
#include "../widths.h"
#include "begin_avx512.h"
#include "chunks.h"  // compiled for AVX-512 too
#include "dot_bytes.h"
#include "sums.h"

namespace qloft::kernels::avx512_kernels {

namespace {

// x * f as integers of 16 bits, count a multiple of 32.
inline void round_to_16(const float* x, std::int64_t count, float f, std::int16_t* out) {
  const __m256 factor = _mm256_set1_ps(f);
  for (std::int64_t i = 0; i < count; i += 16) {
    const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor));
    const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), factor));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8));
  }
}

// Chunk by chunk in the order in which dot() meets the columns, one scale a chunk.
template <int kBits>
void prepare_chunks(const float* x, std::int64_t columns, std::int16_t* fixed,
                    float* fixed_scales) {
  using C = Chunk<kBits>;
  static constexpr auto kOrder = C::order();
  for (std::int64_t first = 0; first < columns; first += C::kColumns) {
    const std::int64_t count = std::min<std::int64_t>(C::kColumns, columns - first);
    const float largest = avx2_table().absmax(x + first, count);
    std::int16_t rounded[C::kColumns] = {};
    round_to_16(x + first, count, largest > 0 ? kFixedActivation / largest : 0.f, rounded);
    for (std::size_t i = 0; i < kOrder.size(); ++i)
      fixed[first + static_cast<std::int64_t>(i)] = rounded[kOrder[i]];
    fixed_scales[first / kGroup] = largest / kFixedActivation;
  }
}

void prepare_activations(const CodeValues& book, const float* x, std::int64_t columns,
                         std::int16_t* fixed, float* fixed_scales, float* sums) {
  portable::prepare_activations(book, x, columns, nullptr, nullptr, sums);
  if (fixed == nullptr) return;
  if (book.bits == 8) return prepare_for_bytes(x, columns / kGroup * kGroup, fixed, fixed_scales);
  with_width<4>(book.bits, [&](auto width) {
    prepare_chunks<width()>(x, columns / kGroup * kGroup, fixed, fixed_scales);
  });
}

// Products of kRows packed rows with kInputs rows of activations, beside each other, so that loads
// are shared and latencies overlap. Inlined to the last step, or the sums would lie in memory.
template <int kBits, int kRows, int kInputs>
struct Product {
  using C = Chunk<kBits>;
  // Each value four times over, for codes with two other bits below them.
  static constexpr auto kFourTimes = [] {
    std::array<std::uint16_t, 32> out = {};
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint16_t>(i / 4);
    return out;
  }();

  Product(const CodeValues& book, const PackedRow* packed, const Activations& x, std::int64_t input)
      : rows(packed),
        shift(std::countr_zero(static_cast<std::uint64_t>(packed->block))),
        stride(fixed_columns(x.columns)),
        fixed(x.fixed + input * stride),
        fixed_scales(x.fixed_scales + input * (stride / kGroup)) {
    const std::int64_t row_bytes = packed_bytes(x.columns, kBits);
    next = reinterpret_cast<const char*>(packed[kRows - 1].codes + row_bytes);
    table = _mm512_loadu_si512(book.fixed);
    table_two_up = _mm512_permutexvar_epi16(_mm512_loadu_si512(kFourTimes.data()), table);
    block_of_lane = avx512_kernels::block_of_lane<kBits>(shift);
    whole_blocks = first_lanes(((C::kColumns - 1) >> shift) + 1);
    for (auto& row : total) {
      for (__m512& sum : row) sum = _mm512_setzero_ps();
    }
  }

  void add_whole(std::int64_t first) {
    // The processor follows one stream of codes by itself, but not several beside each other. The
    // second cache has room for more lines on their way than the first.
    if constexpr (kRows > 1) {
      constexpr int kBytes = 4 * kBits * C::kGroups * kRows;
      constexpr int kAhead = 6 << 10;
      for (int line = 0; line < kBytes; line += 64) _mm_prefetch(next + kAhead + line, _MM_HINT_T1);
      next += kBytes;
    }
    add(first, C::kGroups, whole_blocks);
  }
  void add_some(std::int64_t first, std::int64_t groups) {
    add(first, groups, first_lanes(((groups * kGroup - 1) >> shift) + 1));
  }

  // The groups from column `first` on, which `blocks` of the blocks from there reach into.
  QLOFT_AVX512_INLINE void add(std::int64_t first, std::int64_t groups, __mmask16 blocks) {
    const RowChunks<kBits, kRows> chunk(rows, first, groups, blocks, shift, block_of_lane);
    add_steps(chunk.words, chunk.scales, first, std::make_integer_sequence<int, C::kSteps / 4>());
  }

  template <int... kFour>
  QLOFT_AVX512_INLINE void add_steps(const Words<kBits> (&words)[kRows],
                                     const __m512 (&scales)[kRows], std::int64_t first,
                                     std::integer_sequence<int, kFour...>) {
    (add_four_steps<4 * kFour>(words, scales, first), ...);
  }

  // As many products as 32 bits hold (layout.h).
  template <int kStep>
  QLOFT_AVX512_INLINE void add_four_steps(const Words<kBits> (&words)[kRows],
                                          const __m512 (&scales)[kRows], std::int64_t first) {
    __m512i sums[kRows][kInputs];
    add_step<kStep, true>(words, first, sums);
    add_step<kStep + 1, false>(words, first, sums);
    add_step<kStep + 2, false>(words, first, sums);
    add_step<kStep + 3, false>(words, first, sums);
    for (int i = 0; i < kInputs; ++i) {
      const __m512 x_scale = _mm512_set1_ps(fixed_scales[(i * stride + first) / kGroup]);
      for (int r = 0; r < kRows; ++r) {
        total[r][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][i]),
                                      _mm512_mul_ps(scales[r], x_scale), total[r][i]);
      }
    }
  }

  template <int kStep, bool kFirst>
  QLOFT_AVX512_INLINE void add_step(const Words<kBits> (&words)[kRows], std::int64_t first,
                                    __m512i (&sums)[kRows][kInputs]) {
    for (int r = 0; r < kRows; ++r) {
      // Words hold more than a code, which the tables make up for by repeating.
      constexpr int kUp = kBits == 3 ? C::start_bit(kStep) % 4 : 0;
      const __m512i codes = words[r].template codes<kStep, kUp>();
      const __m512i values = _mm512_permutexvar_epi16(codes, kUp == 0 ? table : table_two_up);
      for (int i = 0; i < kInputs; ++i) {
        const std::int16_t* x = fixed + i * stride + first + 32 * kStep;
        const __m512i before = kFirst ? _mm512_setzero_si512() : sums[r][i];
        sums[r][i] = _mm512_dpwssd_epi32(before, values, _mm512_loadu_si512(x));
      }
    }
  }

  const PackedRow* rows;
  const char* next;  // codes of the rows to come, if they follow in memory
  int shift;
  std::int64_t stride;
  const std::int16_t* fixed;
  const float* fixed_scales;
  __m512i table, block_of_lane;
  __m512i table_two_up;  // by codes that begin at bit 2, as some of 3 bits do
  __mmask16 whole_blocks;
  __m512 total[kRows][kInputs];
};

// `kRows` rows with `kInputs` rows of activations: at most four sums.
template <int kBits, int kRows, int kInputs>
void dot_tile(const CodeValues& book, const PackedRow* rows, const Activations& x,
              std::int64_t input, float* y, std::int64_t y_stride) {
  using C = Chunk<kBits>;
  Product<kBits, kRows, kInputs> product(book, rows, x, input);
  const std::int64_t groups = x.columns / kGroup;
  std::int64_t g = 0;
  for (; g + C::kGroups <= groups; g += C::kGroups) product.add_whole(g * kGroup);
  if (g < groups) product.add_some(g * kGroup, groups - g);

  const auto total = [&product](int i) {
    return i < kRows * kInputs ? product.total[i / kInputs][i % kInputs] : _mm512_setzero_ps();
  };
  float sums[4];
  _mm_storeu_ps(sums, _mm_mul_ps(_mm_set1_ps(book.fixed_scale),
                                 reduce_four(total(0), total(1), total(2), total(3))));
  const bool ragged = x.columns != groups * kGroup || rows->offsets != nullptr;
  for (int r = 0; r < kRows; ++r) {
    for (int i = 0; i < kInputs; ++i) {
      float& out = y[(input + i) * y_stride + r];
      out = sums[r * kInputs + i];
      if (!ragged) continue;
      out = out + portable::dot_tail(book, rows[r], x, input + i, groups * kGroup) +
            portable::dot_offsets(rows[r], x, input + i);
    }
  }
}

template <int kBits, int kRows>
void dot_inputs(const CodeValues& book, const PackedRow* rows, const Activations& x, float* y,
                std::int64_t y_stride) {
  std::int64_t i = 0;
  for (; i + 4 <= x.rows; i += 4) {
    for (int r = 0; r < kRows; ++r) dot_tile<kBits, 1, 4>(book, rows + r, x, i, y + r, y_stride);
  }
  for (; i + 2 <= x.rows; i += 2) {
    constexpr int kPair = std::min(kRows, 2);
    for (int r = 0; r < kRows; r += kPair) {
      dot_tile<kBits, kPair, 2>(book, rows + r, x, i, y + r, y_stride);
    }
  }
  for (; i < x.rows; ++i) dot_tile<kBits, kRows, 1>(book, rows, x, i, y, y_stride);
}

void dot(const CodeValues& book, const PackedRow* rows, std::int64_t count, const Activations& x,
         float* y, std::int64_t y_stride) {
  if (count == 0) return;
  const std::int64_t least_block = book.bits == 8 ? 2 * kGroup : kGroup;
  const bool has_blocks =
      std::has_single_bit(static_cast<std::uint64_t>(rows->block)) && rows->block >= least_block;
  if (book.bits == 8 && x.fixed != nullptr && has_blocks) {
    return dot_bytes(book, rows, count, x, y, y_stride);
  }
  if (book.bits > 4 || book.multiplier != 0 || x.fixed == nullptr || !has_blocks) {
    Activations plain = x;
    plain.fixed = nullptr;  // its order is this file's own
    return avx2_table().dot(book, rows, count, plain, y, y_stride);
  }
  with_width<4>(book.bits, [&](auto width) {
    constexpr int kAtOnce = 2;
    std::int64_t r = 0;
    for (; r + kAtOnce <= count; r += kAtOnce)
      dot_inputs<width(), kAtOnce>(book, rows + r, x, y + r, y_stride);
    for (; r < count; ++r) dot_inputs<width(), 1>(book, rows + r, x, y + r, y_stride);
  });
}

}  // namespace

void add_products(Table& table) {
  table.fixed_eight_bits = multiplies_bytes();
  table.prepare_activations = prepare_activations;
  table.dot = dot;
}

}  // namespace qloft::kernels::avx512_kernels

#include "end_avx512.h"

#endif  // __x86_64__
