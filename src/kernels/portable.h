#pragma once
// The plain twin of every kernel: what the others must agree with, and what they call for tails.

#include <algorithm>
#include <cmath>

#include "qloft/kernels.h"

namespace qloft::kernels::portable {

float absmax(const float* x, std::int64_t count);
void minmax(const float* x, std::int64_t count, float* smallest, float* largest);
void encode(const CodeValues& book, const float* x, std::int64_t count, float offset, float inverse,
            std::uint8_t* codes);
float fit_scale(const CodeValues& book, const float* x, std::int64_t count, float absmax);
void pack(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed);
void unpack(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes);
void decode_scales(const CodeValues& book, const std::uint8_t* codes, std::int64_t count,
                   float scale, float offset, float* out);
void advance_windows(const std::uint8_t* packed, std::int64_t count, int bits,
                     const std::uint16_t* before, std::uint16_t* after);
void search(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
            void* workspace, std::uint8_t* codes);
void trellis_values(const CodeValues& book, const std::uint8_t* codes, const float* scales,
                    std::int64_t count, float* values);
void decode_f32(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                std::int64_t first, std::int64_t count, float* out);
void decode_bf16(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, BFloat16* out);
void prepare_activations(const CodeValues& book, const float* x, std::int64_t columns,
                         std::int16_t* fixed, float* fixed_scales, float* sums);
void dot(const CodeValues& book, const PackedRow* rows, std::int64_t count, const Activations& x,
         float* y, std::int64_t y_stride);
void dot_trellis(const CodeValues& book, const PackedRow* rows, std::int64_t count,
                 const Activations& x, float* y, std::int64_t y_stride, std::uint16_t* windows);
void add_rows(const float* w, std::int64_t stride, std::int64_t rows, const float* p,
              std::int64_t count, float* y);
void bf16_to_f32(const BFloat16* x, std::int64_t count, float* out);
void f32_to_bf16(const float* x, std::int64_t count, BFloat16* out);

// bitsandbytes takes 1e-38 for a smaller scale before it divides.
inline float inverse_of(float scale) {
  return 1.f / std::max(scale, 1e-38f);
}

// fit_scale's sums: element i is added to sum i % kFitLanes, in f32 with each operation rounded,
// then the upper half of the sums to the lower until one is left. So every set finds the same
// scale.
inline constexpr int kFitLanes = 8;
inline float sum_of(float (&lanes)[kFitLanes]) {
  for (int half = kFitLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// fit_scale's candidates: absmax times powers of a ratio. Up to 16 levels they end a step above 0.7
// times the mean magnitude, below which no code book has its best scale; finer codes never cut more
// than the uppermost values off. Square roots, since the C library may round its pow otherwise on
// another processor.
inline constexpr int kScaleRefinements = 8;
struct ScaleGrid {
  int candidates;
  float ratio;
};
inline ScaleGrid scale_grid(const CodeValues& book, const float* x, std::int64_t count,
                            float absmax_of_x) {
  if (book.levels > 16) return {6, 0.9f};
  float lanes[kFitLanes] = {};
  std::int64_t i = 0;
  for (; i + kFitLanes <= count; i += kFitLanes) {
    for (int lane = 0; lane < kFitLanes; ++lane) lanes[lane] += std::abs(x[i + lane]);
  }
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += std::abs(x[i]);
  const float lowest = 0.7f * sum_of(lanes) / static_cast<float>(count);
  return {16, std::sqrt(std::sqrt(std::sqrt(std::sqrt(lowest / absmax_of_x))))};
}

// The codes of a tail of fewer than 32, packed from the least significant bit on.
void pack_tail(const std::uint8_t* codes, int count, int bits, std::uint8_t* packed);
void unpack_tail(const std::uint8_t* packed, int count, int bits, std::uint8_t* codes);
// sum over the tail columns [first, x.columns) of x row i, times the row's elements.
float dot_tail(const CodeValues& book, const PackedRow& row, const Activations& x, std::int64_t i,
               std::int64_t first);
// sum over blocks of offset * sum of x row i; 0 without offsets.
float dot_offsets(const PackedRow& row, const Activations& x, std::int64_t i);

}  // namespace qloft::kernels::portable
