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
typedef std::uint16_t Counts __attribute__((vector_size(2 * kLanes)));
inline Counts add_saturated(Counts a, Counts b) {
  return reinterpret_cast<Counts>(
      _mm512_adds_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
inline Counts high_product(Counts a, Counts b) {
  return reinterpret_cast<Counts>(
      _mm512_mulhi_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
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

// Short windows: the costs of all 64 states in two vectors, of even and of odd ones, so that what
// one oldest code leads to is one permutation of both. Of the candidates for a state two each are
// compared, then the better ones, and so on; each comparison leaves a mask, by whose numbers the
// path is traced back as down a heap.
template <int kBits>
class ShortSearch {
 public:
  ShortSearch(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
              void* workspace)
      : count_(count),
        places_(static_cast<Places*>(workspace)),
        masks_(reinterpret_cast<std::uint64_t*>(places_ + 1)) {
    find_places(book, x, scales, count, *places_);
    values_[0] = _mm512_loadu_si512(book.fixed);
    values_[1] = _mm512_loadu_si512(book.fixed + 32);
    largest_ = _mm512_set1_epi16(static_cast<short>(largest_distance(book)));
    alignas(64) std::uint16_t first[32];
    for (int lane = 0; lane < 32; ++lane) first[lane] = static_cast<std::uint16_t>(lane);
    const __m512i lanes = _mm512_load_si512(first);
    const __m512i multiplier = _mm512_set1_epi16(static_cast<short>(book.multiplier));
    for (int oldest = 0; oldest < kChoices; ++oldest) {
      for (int odd = 0; odd < 2; ++odd) {
        const __m512i windows =
            _mm512_add_epi16(_mm512_add_epi16(lanes, lanes),
                             _mm512_set1_epi16(static_cast<short>(64 * oldest + odd)));
        indices_[oldest][odd] = _mm512_srli_epi16(
            _mm512_mullo_epi16(_mm512_slli_epi16(windows, kWindowShift), multiplier), kIndexShift);
      }
      const __m512i states =
          _mm512_add_epi16(_mm512_srli_epi16(lanes, kBits - 1),
                           _mm512_set1_epi16(static_cast<short>(oldest * kStatesOfOldest)));
      from_[oldest] =
          _mm512_add_epi16(_mm512_srli_epi16(states, 1),
                           _mm512_slli_epi16(_mm512_and_si512(states, _mm512_set1_epi16(1)), 5));
    }
    costs_[0] = _mm512_mask_mov_epi16(_mm512_set1_epi16(static_cast<short>(never(book))), 1,
                                      _mm512_setzero_si512());
    costs_[1] = _mm512_set1_epi16(static_cast<short>(never(book)));
  }

  // What is taken off the costs, every other row, is the least of them two rows before, less what
  // was taken off since: so no row waits for it, and four rows' distances, for which there is room
  // (trellis.h), lie above what lies between any two costs.
  QLOFT_AVX512_INLINE void run() {
    __m512i costs[2] = {costs_[0], costs_[1]};
    const __m512i nothing = _mm512_setzero_si512();
    __m512i floor = nothing, last = nothing;
    for (std::int64_t i = 0; i < count_; i += 2) {
      floor = _mm512_sub_epi16(last, floor);
      last = least(costs);
      add_row(i, floor, costs);
      if (i + 1 < count_) add_row(i + 1, nothing, costs);
    }
    costs_[0] = costs[0];
    costs_[1] = costs[1];
  }

  void trace_back(std::uint8_t* codes) const {
    alignas(64) std::uint16_t costs[2][32];
    _mm512_store_si512(costs[0], costs_[0]);
    _mm512_store_si512(costs[1], costs_[1]);
    unsigned state = 0;  // a mask has it at bit state / 2, if it is odd 32 further up
    for (unsigned s = 1; s < 64; ++s) {
      if (costs[s & 1][s >> 1] < costs[state & 1][state >> 1]) state = s;
    }
    auto bit = static_cast<int>(state >> 1 | (state & 1) << 5);
    for (std::int64_t i = count_ - 1; i >= 0; --i) {
      codes[i] = static_cast<std::uint8_t>((bit << 1 | bit >> 5) & (kChoices - 1));
      std::uint64_t chosen[kBits];
      choose(masks_ + i * kChoices, chosen);
      int next = (bit & 31) >> kBits | (bit >> (kBits - 1) & 1) << 5;
#pragma GCC unroll 4
      for (int b = 0; b < kBits; ++b) {
        next |= static_cast<int>(std::rotr(chosen[b], bit)) & (1 << (4 - b));
      }
      bit = next;
    }
  }

 private:
  static constexpr int kChoices = 1 << kBits;
  static constexpr int kStatesOfOldest = 64 >> kBits;  // that the same code leads out of

  // The bits of each state's oldest code, the highest first, bit b 4 - b places up, where the mask
  // that it leads to wants it. For all states at once, so that the path waits for one shift a row.
  static void choose(const std::uint64_t* masks, std::uint64_t (&chosen)[kBits]) {
#pragma GCC unroll 4
    for (int b = 0; b < kBits; ++b) {
      std::uint64_t nodes[kChoices / 2];
      std::copy_n(masks + (1 << b), 1 << b, nodes);
#pragma GCC unroll 3
      for (int above = 0; above < b; ++above) {
        const int half = 1 << (b - 1 - above);
#pragma GCC unroll 4
        for (int k = 0; k < half; ++k) {
          nodes[k] ^= (nodes[k] ^ nodes[half + k]) & chosen[above];
        }
      }
      chosen[b] = nodes[0];
    }
#pragma GCC unroll 4
    for (int b = 0; b < kBits; ++b) chosen[b] = std::rotl(chosen[b], 4 - b);
  }

  QLOFT_AVX512_INLINE void add_row(std::int64_t i, __m512i floor, __m512i (&costs)[2]) {
    __m512i distances[2];
    for (int h = 0; h < 2; ++h) {
      const Counts found = distances_of<distance_shift(kBits)>(
          *places_, i, reinterpret_cast<Signed>(values_[h]), reinterpret_cast<Counts>(largest_));
      distances[h] = _mm512_sub_epi16(reinterpret_cast<__m512i>(found), floor);
    }
    __m512i candidates[2][kChoices];
    for (int oldest = 0; oldest < kChoices; ++oldest) {
      const __m512i reached = _mm512_permutex2var_epi16(costs[0], from_[oldest], costs[1]);
      for (int odd = 0; odd < 2; ++odd) {
        candidates[odd][oldest] = _mm512_add_epi16(
            reached, _mm512_permutex2var_epi16(distances[0], indices_[oldest][odd], distances[1]));
      }
    }
    char* const masks = reinterpret_cast<char*>(masks_ + i * kChoices);
    for (int pairs = kChoices / 2; pairs > 0; pairs /= 2) {
      for (int k = 0; k < pairs; ++k) {
        for (int odd = 0; odd < 2; ++odd) {
          __m512i* const c = candidates[odd];
          const std::uint32_t better = _mm512_cmplt_epu16_mask(c[2 * k + 1], c[2 * k]);
          std::memcpy(masks + 8 * (pairs + k) + 4 * odd, &better, 4);
          c[k] = _mm512_min_epu16(c[2 * k], c[2 * k + 1]);
        }
      }
    }
    costs[0] = candidates[0][0];
    costs[1] = candidates[1][0];
  }

  static QLOFT_AVX512_INLINE __m512i least(const __m512i (&costs)[2]) {
    const __m512i all = _mm512_min_epu16(costs[0], costs[1]);
    const __m256i half =
        _mm256_min_epu16(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    const __m128i quarter =
        _mm_min_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    return _mm512_broadcastw_epi16(_mm_minpos_epu16(quarter));
  }

  std::int64_t count_;
  Places* places_;
  std::uint64_t* masks_;  // [rows, kChoices]: a bit for each state
  __m512i values_[2], largest_, costs_[2];
  __m512i indices_[kChoices][2], from_[kChoices];
};
static_assert(kSearchBytes >= sizeof(Places) + 8 * 16 * kTrellisRows);

void search(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
            void* workspace, std::uint8_t* codes) {
  if (window_bits(book) == kWindowBits) {
    search_by<Lookup>(book, x, scales, count, workspace, codes);
    return;
  }
  with_width<4>(book.bits, [&](auto width) {
    ShortSearch<width()> short_search(book, x, scales, count, workspace);
    short_search.run();
    short_search.trace_back(codes);
  });
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
  table.trellis_values = trellis_values;
  table.dot_trellis = dot_trellis;
}

}  // namespace qloft::kernels::avx512_kernels

#include "end_avx512.h"

#endif  // __x86_64__
