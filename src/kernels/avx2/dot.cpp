// Products of packed rows with activations.
#include "table.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "layout.h"
#include "portable.h"
#include "trellis.h"
#include "widths.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=off")  // as the portable twin: bit-equal where it matters

#include "decoder.h"  // compiled for AVX2 too

namespace qloft::kernels::avx2 {

namespace {

void prepare_activations(const CodeValues& book, const float* x, std::int64_t columns,
                         std::int16_t* fixed, float* fixed_scales, float* sums) {
  portable::prepare_activations(book, x, columns, nullptr, nullptr, sums);
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
  explicit FixedDecoder(const CodeValues& book)
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

// Adds the product of one group within one block; `scale` is the block's.
template <int kBits, int kRows>
inline void add_group(const FixedDecoder<kBits>& decoder, const std::uint8_t* in,
                      const std::int16_t* fixed, const float* fixed_scales, std::int64_t stride,
                      __m256 scale, __m256 total[kRows]) {
  __m256i first;
  __m256i second;
  decoder.group(in, first, second);
  for (int r = 0; r < kRows; ++r) {
    const std::int16_t* x = fixed + r * stride;
    const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(first, load256(x)),
                                         _mm256_madd_epi16(second, load256(x + 16)));
    const __m256 s = _mm256_mul_ps(_mm256_broadcast_ss(fixed_scales + r * stride / kGroup), scale);
    total[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), s, total[r]);
  }
}

template <int kBits, int kRows>
void dot_fixed(const CodeValues& book, const PackedRow& row, const Activations& x, std::int64_t i,
               float* y, std::int64_t y_stride) {
  const std::int64_t groups = x.columns / kGroup;
  const std::int64_t stride = fixed_columns(x.columns);
  const FixedDecoder<kBits> decoder(book);
  __m256 even[kRows];
  __m256 odd[kRows];
  for (int r = 0; r < kRows; ++r) even[r] = odd[r] = _mm256_setzero_ps();
  const std::uint8_t* in = row.codes;
  const std::int16_t* fixed = x.fixed + i * stride;
  const float* fixed_scales = x.fixed_scales + i * stride / kGroup;
  if (row.block % kGroup == 0) {
    const std::int64_t groups_a_block = row.block / kGroup;
    const float* scale = row.scales;
    for (std::int64_t g = 0; g < groups; ++scale) {
      const __m256 s = _mm256_broadcast_ss(scale);
      const std::int64_t end = std::min(groups, g + groups_a_block);
      for (; g + 2 <= end; g += 2, in += 8 * kBits) {
        add_group<kBits, kRows>(decoder, in, fixed + g * kGroup, fixed_scales + g, stride, s, even);
        add_group<kBits, kRows>(decoder, in + 4 * kBits, fixed + (g + 1) * kGroup,
                                fixed_scales + g + 1, stride, s, odd);
      }
      for (; g < end; ++g, in += 4 * kBits) {
        add_group<kBits, kRows>(decoder, in, fixed + g * kGroup, fixed_scales + g, stride, s, even);
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
        const std::int16_t* xf = fixed + r * stride + g * kGroup;
        const __m256 p0 = _mm256_cvtepi32_ps(_mm256_madd_epi16(first, load256(xf)));
        const __m256 p1 = _mm256_cvtepi32_ps(_mm256_madd_epi16(second, load256(xf + 16)));
        const __m256 xs = _mm256_broadcast_ss(fixed_scales + r * stride / kGroup + g);
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

template <typename D, int kRows>
void dot_float(const CodeValues& book, const PackedRow& row, const Activations& x, std::int64_t i,
               float* y, std::int64_t y_stride) {
  const std::int64_t groups = x.columns / kGroup;
  const D decoder(book);
  BlockWalk walk(row.block, 0);
  __m256 total[kRows];
  for (int r = 0; r < kRows; ++r) total[r] = _mm256_setzero_ps();
  auto in = D::input(row, 0);
  for (std::int64_t g = 0; g < groups; ++g, in += D::kStep) {
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

template <typename D>
void dot_floats(const CodeValues& book, const PackedRow& row, const Activations& x, float* y,
                std::int64_t y_stride) {
  std::int64_t i = 0;
  for (; i + 8 <= x.rows; i += 8) dot_float<D, 8>(book, row, x, i, y, y_stride);
  for (; i + 4 <= x.rows; i += 4) dot_float<D, 4>(book, row, x, i, y, y_stride);
  for (; i + 2 <= x.rows; i += 2) dot_float<D, 2>(book, row, x, i, y, y_stride);
  for (; i < x.rows; ++i) dot_float<D, 1>(book, row, x, i, y, y_stride);
}

template <int kBits>
void dot_bits(const CodeValues& book, const PackedRow& row, const Activations& x, float* y,
              std::int64_t y_stride) {
  if constexpr (kBits <= 4) {
    if (x.fixed != nullptr) {
      std::int64_t i = 0;
      for (; i + 4 <= x.rows; i += 4) dot_fixed<kBits, 4>(book, row, x, i, y, y_stride);
      for (; i + 2 <= x.rows; i += 2) dot_fixed<kBits, 2>(book, row, x, i, y, y_stride);
      for (; i < x.rows; ++i) dot_fixed<kBits, 1>(book, row, x, i, y, y_stride);
      return;
    }
  }
  dot_floats<Decoder<kBits>>(book, row, x, y, y_stride);
}

void dot(const CodeValues& book, const PackedRow* rows, std::int64_t count, const Activations& x,
         float* y, std::int64_t y_stride) {
  if (book.multiplier != 0) {
    for (std::int64_t r = 0; r < count; ++r) {
      dot_floats<WindowDecoder>(book, rows[r], x, y + r, y_stride);
    }
    return;
  }
  with_width(book.bits, [&](auto width) {
    for (std::int64_t r = 0; r < count; ++r) dot_bits<width()>(book, rows[r], x, y + r, y_stride);
  });
}

}  // namespace

void add_products(Table& table) {
  table.prepare_activations = prepare_activations;
  table.dot = dot;
}

}  // namespace qloft::kernels::avx2

#pragma GCC pop_options

#endif  // __x86_64__
