#pragma once
// Products of small bf16 matrices with f32 sums, in the calling thread: by the processor's matrix
// or vector units for bf16 where it has them (oneDNN's micro-kernels, which torch exports), else by
// a plain loop, which serves tests alone.
//
// The right factor is packed: its rows two by two, the values of a pair side by side,
// [k / 2][n][2].

#include <cstdint>

#include "qloft/core/checked.h"
#include "qloft/core/element.h"
#include "qloft/core/matrix.h"

namespace qloft::backend {

// Whether this processor has units for bf16 and the micro-kernels do here what multiply_block says.
bool has_block_units();

// c [m, n] = a [m, k] * b [k, n], or is added to. k is a multiple of 2, strides are in elements.
// Micro-kernels are made for each set of sizes and kept: let there be few.
struct BlockProduct {
  std::int64_t m, n, k;
  const BFloat16* a;
  std::int64_t a_stride;
  const BFloat16* b;
  float* c;
  std::int64_t c_stride;
  bool add = false;
};
void multiply_block(const BlockProduct& product);
// The twin for processors without units.
void multiply_block_portable(const BlockProduct& product);

// While one lives the thread's units may stay set up for micro-kernels. Other products of the
// thread come before or after.
struct BlockUnits {
  BlockUnits() = default;
  ~BlockUnits();
  BlockUnits(const BlockUnits&) = delete;
  BlockUnits& operator=(const BlockUnits&) = delete;
};

// Rows of a block.
inline constexpr std::int64_t kBlockRows = 64;
// What the units like: a row's elements, with zeros up to a multiple of 32.
constexpr std::int64_t padded_width(std::int64_t columns) {
  return round_up(columns, std::int64_t{32});
}

// A block [kBlockRows][width] of up to as many rows and columns, padded with zeros.
void copy_block(MatrixView<const BFloat16> x, std::int64_t width, BFloat16* out);
// A block as the right factor, [kBlockRows / 2][width][2].
void pack_block(const BFloat16* block, std::int64_t width, BFloat16* out);
// Its transpose as the right factor, [width / 2][kBlockRows][2].
void pack_transposed_block(const BFloat16* block, std::int64_t width, BFloat16* out);
// A packed block's transpose, [width][kBlockRows].
void transpose_packed_block(const BFloat16* packed, std::int64_t width, BFloat16* out);

// out [columns][rows] = in [rows][columns]; both are multiples of 4.
void transpose_words(const float* in, std::int64_t rows, std::int64_t columns, float* out);

}  // namespace qloft::backend
