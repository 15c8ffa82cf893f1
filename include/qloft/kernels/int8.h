#pragma once
// kernels: products of two matrices in 8 bits, each block of 64 elements along the sum with a scale
// of its own on either side, as Jetfire (Xi et al. 2024) and llama.cpp's Q8_0 have them:
//
//   y[i, j] = sum over blocks b of s[i, b] t[j, b] (sum over k of 64 of x[i, b, k] w[j, b, k])
//
// The sum of a block is exact; blocks are added up in f32.

#include <cstdint>

#include "qloft/core/cpu.h"

namespace qloft::kernels {

// Elements along the sum that share a scale.
inline constexpr std::int64_t kInt8Block = 64;
// Rows of x, and of w, that are multiplied at once.
inline constexpr std::int64_t kInt8Rows = 12;
inline constexpr std::int64_t kInt8Columns = 16;
// The largest code: element = code * scale, scale = largest magnitude of the block / kInt8Most.
inline constexpr int kInt8Most = 127;

// One block of kInt8Rows rows of x. Element 4 q + e of row i is codes[q][i][e].
struct Int8Activations {
  std::int8_t codes[kInt8Block / 4][kInt8Rows][4];
  std::int32_t sums[kInt8Rows];  // -kInt8Zero times the sum of the row's codes
  float scales[kInt8Rows];
};
// What is added to codes of w, so that they are not negative.
inline constexpr int kInt8Zero = 128;
// One block of kInt8Columns rows of w, in the same order.
struct Int8Weights {
  std::uint8_t codes[kInt8Block / 4][kInt8Columns][4];
  float scales[kInt8Columns];
};

// Codes are rounded to the nearest, ties to even; those of blocks that hold infinity or NaN are
// zeros and their scale is NaN. What lies beyond the given rows and columns is taken for zeros.
struct Int8Table {
  InstructionSet set = InstructionSet::portable;

  // x [rows, columns], rows <= kInt8Rows, row i at x + i * stride, to ceil(columns / kInt8Block)
  // blocks.
  void (*quantize_activations)(const float* x, std::int64_t stride, std::int64_t rows,
                               std::int64_t columns, Int8Activations* out);
  // The same of w, rows <= kInt8Columns.
  void (*quantize_weights)(const float* w, std::int64_t stride, std::int64_t rows,
                           std::int64_t columns, Int8Weights* out);
  // The transpose of w [rows, columns], rows <= kInt8Block, columns <= kInt8Columns, to one block.
  void (*quantize_transposed_weights)(const float* w, std::int64_t stride, std::int64_t rows,
                                      std::int64_t columns, Int8Weights* out);

  // y [kInt8Rows, kInt8Columns], row i at y + i * kInt8Columns, from `blocks` blocks: the block's
  // sum times w's scale, times x's, is added, each rounded: the same bits in every set.
  void (*multiply)(const Int8Activations* x, const Int8Weights* w, std::int64_t blocks, float* y);
};

// The table of one instruction set. It may only be called where this machine supports the set.
const Int8Table& int8_table(InstructionSet set);
// The table of core's chosen_instruction_set(), chosen once.
const Int8Table& int8_table();

}  // namespace qloft::kernels
