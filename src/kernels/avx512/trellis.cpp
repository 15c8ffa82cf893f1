// The search for trellis codes, and their products in fixed point.
#include "table.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "../avx2.h"
#include "../layout.h"
#include "../portable.h"
#include "../trellis.h"
#include "../widths.h"
#include "begin_avx512.h"
#include "chunks.h"  // compiled for AVX-512 too

namespace qloft::kernels::avx512_kernels {

namespace {

constexpr int kLanes = 32;
#include "../trellis_loops.h"

// The distances of one row, in two vectors.
struct Lookup {
  Lookup(const SearchSpace& space, const std::uint16_t* distances, std::uint16_t floor)
      : indices(space.indices) {
    const __m512i off = _mm512_set1_epi16(static_cast<short>(floor));
    low = _mm512_sub_epi16(_mm512_loadu_si512(distances), off);
    high = _mm512_sub_epi16(_mm512_loadu_si512(distances + 32), off);
  }
  Counts operator()(int window) const {
    return reinterpret_cast<Counts>(
        _mm512_permutex2var_epi16(low, _mm512_loadu_si512(indices + window), high));
  }
  template <int kBits>
  static Counts spread(const std::uint16_t* costs) {
    alignas(64) static constexpr auto kFrom = [] {
      std::array<std::uint16_t, kLanes> from = {};
      for (std::size_t i = 0; i < from.size(); ++i)
        from[i] = static_cast<std::uint16_t>(i >> kBits);
      return from;
    }();
    return reinterpret_cast<Counts>(
        _mm512_permutexvar_epi16(_mm512_loadu_si512(kFrom.data()), _mm512_loadu_si512(costs)));
  }

  const std::uint16_t* indices;
  __m512i low, high;
};

void search(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
            void* workspace, std::uint8_t* codes) {
  search_by<Lookup>(book, x, scales, count, workspace, codes);
}

// Columns of whole chunks, and behind them those of the tail one by one. Inlined to the last step,
// or the sums would lie in memory.
template <int kBits, int kRows, int kInputs>
struct WindowProduct {
  using C = Chunk<kBits>;

  WindowProduct(const CodeValues& book, const PackedRow* packed, const Activations& x,
                std::int64_t input)
      : rows(packed),
        shift(std::countr_zero(static_cast<std::uint64_t>(packed->block))),
        stride(fixed_columns(x.columns)),
        fixed(x.fixed + input * stride),
        fixed_scales(x.fixed_scales + input * (stride / kGroup)) {
    low = _mm512_loadu_si512(book.fixed);
    high = _mm512_loadu_si512(book.fixed + 32);
    multiplier = _mm512_set1_epi16(static_cast<short>(book.multiplier));
    newest = _mm512_set1_epi16(static_cast<short>(((1 << kBits) - 1) << kWindowShift));
    block_of_lane = avx512_kernels::block_of_lane<kBits>(shift);
    for (auto& row : total) {
      for (__m512& sum : row) sum = _mm512_setzero_ps();
    }
  }

  // The groups from column `first` on; windows [C::kColumns] in the order of the steps.
  QLOFT_AVX512_INLINE void add(std::int64_t first, std::int64_t groups, const std::uint16_t* before,
                               std::uint16_t* after) {
    const __mmask16 blocks = first_lanes(((groups * kGroup - 1) >> shift) + 1);
    const RowChunks<kBits, kRows> chunk(rows, first, groups, blocks, shift, block_of_lane);
    add_steps(chunk.words, chunk.scales, first, before, after,
              std::make_integer_sequence<int, C::kSteps / 4>());
  }

  template <int... kFour>
  QLOFT_AVX512_INLINE void add_steps(const Words<kBits> (&words)[kRows],
                                     const __m512 (&scales)[kRows], std::int64_t first,
                                     const std::uint16_t* before, std::uint16_t* after,
                                     std::integer_sequence<int, kFour...>) {
    (add_four_steps<4 * kFour>(words, scales, first, before, after), ...);
  }

  // As many products as 32 bits hold (layout.h).
  template <int kStep>
  QLOFT_AVX512_INLINE void add_four_steps(const Words<kBits> (&words)[kRows],
                                          const __m512 (&scales)[kRows], std::int64_t first,
                                          const std::uint16_t* before, std::uint16_t* after) {
    __m512i sums[kRows][kInputs];
    for (auto& row : sums) {
      for (__m512i& sum : row) sum = _mm512_setzero_si512();
    }
    add_step<kStep>(words, first, before, after, sums);
    add_step<kStep + 1>(words, first, before, after, sums);
    add_step<kStep + 2>(words, first, before, after, sums);
    add_step<kStep + 3>(words, first, before, after, sums);
    for (int i = 0; i < kInputs; ++i) {
      const __m512 x_scale = _mm512_set1_ps(fixed_scales[(i * stride + first) / kGroup]);
      for (int r = 0; r < kRows; ++r) {
        total[r][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][i]),
                                      _mm512_mul_ps(scales[r], x_scale), total[r][i]);
      }
    }
  }

  template <int kStep>
  QLOFT_AVX512_INLINE void add_step(const Words<kBits> (&words)[kRows], std::int64_t first,
                                    const std::uint16_t* before, std::uint16_t* after,
                                    __m512i (&sums)[kRows][kInputs]) {
    __m512i window = _mm512_loadu_si512(before + 32 * kStep);
    for (int r = 0; r < kRows; ++r) {
      constexpr int kOrOfAnd = 0xf8;  // first | (second & third)
      const __m512i codes = words[r].template codes<kStep, kWindowShift>();
      window = _mm512_ternarylogic_epi32(_mm512_slli_epi16(window, kBits), codes, newest, kOrOfAnd);
      const __m512i n = _mm512_srli_epi16(_mm512_mullo_epi16(window, multiplier), kIndexShift);
      const __m512i values = _mm512_permutex2var_epi16(low, n, high);
      for (int i = 0; i < kInputs; ++i) {
        const std::int16_t* x = fixed + i * stride + first + 32 * kStep;
        sums[r][i] = _mm512_dpwssd_epi32(sums[r][i], values, _mm512_loadu_si512(x));
      }
    }
    if (after != nullptr) _mm512_storeu_si512(after + 32 * kStep, window);
  }

  const PackedRow* rows;
  int shift;
  std::int64_t stride;
  const std::int16_t* fixed;
  const float* fixed_scales;
  __m512i low, high, multiplier, newest, block_of_lane;
  __m512 total[kRows][kInputs];
};

// The tail's part of y, and its windows, which lie behind those of all chunks.
template <int kRows>
void add_tail(const CodeValues& book, const PackedRow* rows, const Activations& x, float* y,
              std::int64_t y_stride, std::uint16_t* windows) {
  const std::int64_t first = x.columns / kGroup * kGroup, count = x.columns - first;
  if (count == 0) return;
  std::uint16_t* const tail = windows + fixed_columns(x.columns);
  for (int r = 0; r < kRows; ++r) {
    portable::advance_windows(rows[r].codes + first / kGroup * 4 * book.bits, count, book.bits,
                              tail, tail);
    for (std::int64_t j = 0; j < count; ++j) {
      const float value = book.values[value_index(tail[j], book.multiplier)] *
                          rows[r].scales[(first + j) / rows[r].block];
      for (std::int64_t i = 0; i < x.rows; ++i) {
        y[i * y_stride + r] += value * x.x[i * x.stride + first + j];
      }
    }
  }
}

template <int kBits, int kRows, int kInputs>
void window_tile(const CodeValues& book, const PackedRow* rows, const Activations& x,
                 std::int64_t input, float* y, std::int64_t y_stride, const std::uint16_t* before,
                 std::uint16_t* after) {
  using C = Chunk<kBits>;
  WindowProduct<kBits, kRows, kInputs> product(book, rows, x, input);
  const std::int64_t groups = x.columns / kGroup;
  for (std::int64_t g = 0; g < groups; g += C::kGroups) {
    product.add(g * kGroup, std::min<std::int64_t>(C::kGroups, groups - g), before + g * kGroup,
                after != nullptr ? after + g * kGroup : nullptr);
  }
  for (int r = 0; r < kRows; ++r) {
    for (int i = 0; i < kInputs; ++i) {
      y[(input + i) * y_stride + r] = book.fixed_scale * _mm512_reduce_add_ps(product.total[r][i]);
    }
  }
}

// All rows of activations begin at the same windows: the last tile alone leaves new ones.
template <int kBits, int kRows>
void window_inputs(const CodeValues& book, const PackedRow* rows, const Activations& x, float* y,
                   std::int64_t y_stride, std::uint16_t* windows) {
  std::int64_t i = 0;
  for (; i + 4 < x.rows; i += 4) {
    window_tile<kBits, kRows, 4>(book, rows, x, i, y, y_stride, windows, nullptr);
  }
  for (; i + 1 < x.rows; ++i) {
    window_tile<kBits, kRows, 1>(book, rows, x, i, y, y_stride, windows, nullptr);
  }
  window_tile<kBits, kRows, 1>(book, rows, x, i, y, y_stride, windows, windows);
  add_tail<kRows>(book, rows, x, y, y_stride, windows);
}

void dot_trellis(const CodeValues& book, const PackedRow* rows, std::int64_t count,
                 const Activations& x, float* y, std::int64_t y_stride, std::uint16_t* windows) {
  if (count == 0 || x.rows == 0) return;
  const bool has_blocks =
      std::has_single_bit(static_cast<std::uint64_t>(rows->block)) && rows->block >= kGroup;
  if (x.fixed == nullptr || !has_blocks) {
    Activations plain = x;
    plain.fixed = nullptr;  // its order is this folder's own
    return avx2_table().dot_trellis(book, rows, count, plain, y, y_stride, windows);
  }
  with_width<4>(book.bits, [&](auto width) {
    std::int64_t r = 0;
    for (; r + 2 <= count; r += 2) {
      window_inputs<width(), 2>(book, rows + r, x, y + r, y_stride, windows);
    }
    for (; r < count; ++r) window_inputs<width(), 1>(book, rows + r, x, y + r, y_stride, windows);
  });
}

}  // namespace

void add_trellis(Table& table) {
  table.search = search;
  table.dot_trellis = dot_trellis;
}

}  // namespace qloft::kernels::avx512_kernels

#include "end_avx512.h"

#endif  // __x86_64__
