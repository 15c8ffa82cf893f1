#pragma once
// kernels: the raw-pointer loops under quant and model, in several instruction sets behind one
// table.
//
// No kernel allocates, throws, starts a thread or opens a file. Pointers need no alignment beyond
// their element type's. Packed rows have the layout of docs/formats.md: groups of 32 codes, then a
// tail that is packed bit by bit.

#include <cstddef>
#include <cstdint>

#include "qloft/core/cpu.h"
#include "qloft/core/element.h"

namespace qloft::kernels {

// Codes in one group of a packed row.
inline constexpr std::int64_t kGroup = 32;

// Bytes of a packed row of `count` codes: whole groups of 4 * bits bytes, then the tail.
constexpr std::int64_t packed_bytes(std::int64_t count, int bits) {
  return count / kGroup * 4 * bits + (count % kGroup * bits + 7) / 8;
}

// A code book made ready for the kernels by prepare().
struct Codebook {
  int bits = 0;    // stored width, 1 to 8
  int levels = 0;  // values in use: 2^bits, 3 for ternary
  // Rising; entries from `levels` on repeat the last value, so that no code is out of range.
  alignas(64) float values[256] = {};
  // thresholds[i] lies halfway between values i and i + 1; entries from levels - 1 on are +inf.
  alignas(64) float thresholds[256] = {};
  // The values of up to 4 bits as 15-bit integers times fixed_scale, repeated, and the low and high
  // bytes of the first 16.
  float fixed_scale = 0;
  alignas(64) std::int16_t fixed[32] = {};
  alignas(16) std::uint8_t fixed_low[16] = {};
  alignas(16) std::uint8_t fixed_high[16] = {};
  // Byte k of the first 16 values.
  alignas(16) std::uint8_t value_bytes[4][16] = {};
};

// `values` rising, `levels` of them, levels <= 2^bits.
void prepare(Codebook& book, const float* values, int levels, int bits);

// One packed row. Element j is scales[j / block] * book.values[code j] + offsets[j / block].
struct PackedRow {
  const std::uint8_t* codes = nullptr;
  const float* scales = nullptr;
  const float* offsets = nullptr;  // null: zeros
  std::int64_t block = 0;          // a multiple of 16
};

// Columns that fixed-point activations of a row take: whole groups, with room for whole vectors.
constexpr std::int64_t fixed_columns(std::int64_t columns) {
  return (columns / kGroup * kGroup + 511) / 512 * 512;
}

// Rows of activations, ready for dot(). `fixed` holds every whole group as 16-bit integers, and
// `fixed_scales` their scales (x = fixed * scale), in an order of the table's own. `sums` holds the
// sum of every 16 elements (the last may be fewer), as offsets need them.
struct Activations {
  const float* x = nullptr;  // [rows, columns], row i at x + i * stride
  std::int64_t stride = 0;
  const std::int16_t* fixed = nullptr;  // [rows, fixed_columns(columns)]
  const float* fixed_scales = nullptr;  // [rows, fixed_columns(columns) / 32]
  const float* sums = nullptr;          // [rows, ceil(columns / 16)]
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

struct Table {
  InstructionSet set = InstructionSet::portable;

  // The largest magnitude; infinity or NaN if x holds one. count may be 0.
  float (*absmax)(const float* x, std::int64_t count);
  // Smallest and largest value of finite x, count >= 1.
  void (*minmax)(const float* x, std::int64_t count, float* smallest, float* largest);

  // codes[i] = number of thresholds t with (x[i] - offset) * inverse > t: the nearest code, a tie
  // going down, as bitsandbytes rounds.
  void (*encode)(const Codebook& book, const float* x, std::int64_t count, float offset,
                 float inverse, std::uint8_t* codes);
  // The scale s >= 0 that minimises sum (x - s c)^2 over s and the nearest codes c: a grid of
  // candidates below `absmax`, then alternating least squares. absmax > 0.
  float (*fit_scale)(const Codebook& book, const float* x, std::int64_t count, float absmax);

  // count codes, each below 2^bits, to packed_bytes(count, bits) bytes and back.
  void (*pack)(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed);
  void (*unpack)(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes);

  // Elements [first, first + count) of a row of `columns`; first is a multiple of 32.
  void (*decode_f32)(const Codebook& book, const PackedRow& row, std::int64_t columns,
                     std::int64_t first, std::int64_t count, float* out);
  void (*decode_bf16)(const Codebook& book, const PackedRow& row, std::int64_t columns,
                      std::int64_t first, std::int64_t count, BFloat16* out);

  // Fills fixed, fixed_scales and sums (null: left out) of one row of activations, for products
  // with code books of `bits`.
  void (*prepare_activations)(const float* x, std::int64_t columns, int bits, std::int16_t* fixed,
                              float* fixed_scales, float* sums);
  // y[i * y_stride + r] = sum over columns of x[i, j] * element j of rows[r], r < count; all rows
  // have one block length. Code books of at most 4 bits go through 15-bit fixed point (relative
  // error about 3e-5) where x.fixed is given.
  void (*dot)(const Codebook& book, const PackedRow* rows, std::int64_t count, const Activations& x,
              float* y, std::int64_t y_stride);

  void (*bf16_to_f32)(const BFloat16* x, std::int64_t count, float* out);
  void (*f32_to_bf16)(const float* x, std::int64_t count, BFloat16* out);
};

// The table of one instruction set. It may only be called where this machine supports the set.
const Table& table(InstructionSet set);
// The table of core's chosen_instruction_set(), chosen once.
const Table& table();

}  // namespace qloft::kernels
