#pragma once
// kernels: the raw-pointer loops under quant and model, in several instruction sets behind one
// table.
//
// No kernel allocates, throws, starts a thread or opens a file. Pointers need no alignment beyond
// their element type's. Packed rows have the layout of docs/formats.md: groups of 32 codes, then a
// tail that is packed bit by bit.
//
// What chooses codes and scales or reads them back gives the same bits in every instruction set, so
// that a file does not depend on the machine that wrote it. Products round as their vectors do.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "qloft/core/cpu.h"
#include "qloft/core/element.h"

namespace qloft::kernels {

// Codes in one group of a packed row.
inline constexpr std::int64_t kGroup = 32;

// Bytes of a packed row of `count` codes: whole groups of 4 * bits bytes, then the tail.
constexpr std::int64_t packed_bytes(std::int64_t count, int bits) {
  return count / kGroup * 4 * bits + (count % kGroup * bits + 7) / 8;
}

// Where bits of a code lie in its group of 32: (group[byte] >> shift) & (2^bits - 1) are those of
// the code from bit `to` on.
struct CodeField {
  int byte, shift, bits, to;
};
// Of each element of a group; the parts of codes of `bits` bits one after the other.
std::vector<std::array<CodeField, kGroup>> code_fields(int bits);

// A trellis code begins anew with every so many rows of a matrix.
inline constexpr std::int64_t kTrellisRows = 256;
// Bits of the codes above each other that choose a value of a trellis code, and the values.
inline constexpr int kTrellisWindowBits = 12;
inline constexpr int kTrellisLevels = 64;
// What search() needs to work in, aligned to 8 bytes.
inline constexpr std::size_t kSearchBytes = 600 << 10;

// The values that codes stand for, made ready for the kernels by prepare().
//
// With a multiplier they are those of a trellis code (Marcellin & Fischer 1990, "Trellis coded
// quantization"; the bit-shift trellis of QTIP, Tseng et al. 2024): the codes of the element and of
// those above it in its column, as far as they lie in the same kTrellisRows rows, are a string of
// bits, the newest code lowest; its last 12 bits are the window w, and the element's value is
// number ((w * multiplier) mod 2^12) / 2^6 of 64. A multiplier that is a multiple of 2^(6 - bits)
// leaves the choice to the last 6 + bits bits: a short window, whose search visits 64 states a row.
struct CodeValues {
  int bits = 0;                  // stored width, 1 to 8; of a trellis code 1 to 4
  int levels = 0;                // values in use: 2^bits, 3 for ternary, 64 of a trellis code
  std::uint16_t multiplier = 0;  // 0: a code is the number of its value
  // Rising; entries from `levels` on repeat the last value, so that no code is out of range.
  alignas(64) float values[256] = {};
  // thresholds[i] lies halfway between values i and i + 1; entries from levels - 1 on are +inf.
  alignas(64) float thresholds[256] = {};
  // The values of up to 4 bits and of a trellis code as 15-bit integers times fixed_scale,
  // repeated, and the low and high bytes of the first 16.
  float fixed_scale = 0;
  alignas(64) std::int16_t fixed[64] = {};
  alignas(16) std::uint8_t fixed_low[16] = {};
  alignas(16) std::uint8_t fixed_high[16] = {};
  // Those of 5 to 8 bits as 15-bit integers times fixed_scale: their low and their high bytes.
  alignas(64) std::uint8_t fixed_bytes[2][256] = {};
  // Byte k of all values.
  alignas(64) std::uint8_t value_bytes[4][256] = {};
  // The lower and the upper halves of all values.
  alignas(64) std::uint16_t value_halves[2][256] = {};

  // Codes in use.
  int codes() const { return multiplier != 0 ? 1 << bits : levels; }
};

// `values` rising, `levels` of them, levels <= 2^bits; 64 of them with a multiplier, bits <= 4. The
// multiplier is odd, or an odd number times 2^(6 - bits).
void prepare(CodeValues& book, const float* values, int levels, int bits,
             std::uint16_t multiplier = 0);

// One packed row. Element j is scales[j / block] * book.values[code j] + offsets[j / block]; of a
// trellis code scales[j / block] * book.values[value of windows[j]], codes and offsets unused.
struct PackedRow {
  const std::uint8_t* codes = nullptr;
  const float* scales = nullptr;
  const float* offsets = nullptr;  // null: zeros
  std::int64_t block = 0;          // a multiple of 16
  // By column, as advance_windows() leaves them; set with a trellis code only. Where a range of
  // columns is read the others need not be there.
  const std::uint16_t* windows = nullptr;
};

// Columns that fixed-point activations of a row take: whole groups, with room for whole vectors.
constexpr std::int64_t fixed_columns(std::int64_t columns) {
  return (columns / kGroup * kGroup + 511) / 512 * 512;
}

// Windows that dot_trellis() works with: those of whole vectors, and of a last, unfinished group.
constexpr std::int64_t trellis_windows(std::int64_t columns) {
  return fixed_columns(columns) + kGroup;
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
  // dot() takes fixed-point activations for codes of 8 bits, too.
  bool fixed_eight_bits = false;

  // Whether dot() takes fixed-point activations for this code book.
  bool takes_fixed(const CodeValues& book) const {
    return book.bits <= 4 || (book.bits == 8 && fixed_eight_bits);
  }

  // The largest magnitude; infinity or NaN if x holds one. count may be 0.
  float (*absmax)(const float* x, std::int64_t count);
  // Smallest and largest value of finite x, count >= 1; a zero is +0.
  void (*minmax)(const float* x, std::int64_t count, float* smallest, float* largest);

  // codes[i] = number of thresholds t with (x[i] - offset) * inverse > t: the nearest code, a tie
  // going down, as bitsandbytes rounds.
  void (*encode)(const CodeValues& book, const float* x, std::int64_t count, float offset,
                 float inverse, std::uint8_t* codes);
  // The scale s >= 0 that minimises sum (x - s c)^2 over s and the nearest codes c: a grid of
  // candidates below `absmax`, then alternating least squares. absmax > 0, x finite.
  float (*fit_scale)(const CodeValues& book, const float* x, std::int64_t count, float absmax);

  // count codes, each below 2^bits, to packed_bytes(count, bits) bytes and back.
  void (*pack)(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed);
  void (*unpack)(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes);

  // out[i] = book.values[codes[i]] * scale + offset, each operation rounded once; codes lie one a
  // byte: scales of a second level.
  void (*decode_scales)(const CodeValues& book, const std::uint8_t* codes, std::int64_t count,
                        float scale, float offset, float* out);

  // The windows of a trellis code's row from those of the row above it (null: the first row) and
  // its packed codes, for columns [0, count). `after` may be `before`.
  void (*advance_windows)(const std::uint8_t* packed, std::int64_t count, int bits,
                          const std::uint16_t* before, std::uint16_t* after);
  // The codes down one column of a trellis code, count <= kTrellisRows of them from where windows
  // begin, that make sum (x[i] - scales[i] * value i)^2 least, but for rounding to whole numbers of
  // 16 bits (Viterbi's algorithm). The same codes in every instruction set.
  void (*search)(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
                 void* workspace, std::uint8_t* codes);

  // What such codes stand for, count <= kTrellisRows of them: scales[i] * value i.
  void (*trellis_values)(const CodeValues& book, const std::uint8_t* codes, const float* scales,
                         std::int64_t count, float* values);

  // Elements [first, first + count) of a row of `columns`; first is a multiple of 32.
  void (*decode_f32)(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                     std::int64_t first, std::int64_t count, float* out);
  void (*decode_bf16)(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                      std::int64_t first, std::int64_t count, BFloat16* out);

  // Fills fixed, fixed_scales and sums (null: left out) of one row of activations, for products
  // with this code book; fixed where takes_fixed() says so.
  void (*prepare_activations)(const CodeValues& book, const float* x, std::int64_t columns,
                              std::int16_t* fixed, float* fixed_scales, float* sums);
  // y[i * y_stride + r] = sum over columns of x[i, j] * element j of rows[r], r < count; all rows
  // have one block length. Code books that takes_fixed() names go through 15-bit fixed point
  // (relative error about 3e-5) where x.fixed is given.
  void (*dot)(const CodeValues& book, const PackedRow* rows, std::int64_t count,
              const Activations& x, float* y, std::int64_t y_stride);

  // The same of rows of a trellis code that follow each other in the matrix, within the rows from
  // which windows begin; they need no windows of their own. `windows` [trellis_windows(columns)],
  // in an order of the table's own, are those of the row above (zeros: none) and become those of
  // the last row. x.rows >= 1.
  void (*dot_trellis)(const CodeValues& book, const PackedRow* rows, std::int64_t count,
                      const Activations& x, float* y, std::int64_t y_stride,
                      std::uint16_t* windows);

  // y[j] += sum over i of p[i] * w[i * stride + j], j < count, in rising order of i, each product
  // rounded before it is added.
  void (*add_rows)(const float* w, std::int64_t stride, std::int64_t rows, const float* p,
                   std::int64_t count, float* y);

  void (*bf16_to_f32)(const BFloat16* x, std::int64_t count, float* out);
  void (*f32_to_bf16)(const float* x, std::int64_t count, BFloat16* out);
};

// The value of a trellis code's next element down a column, whose windows begin with 0.
float next_trellis_value(const CodeValues& book, int code, std::uint16_t& window);

// The table of one instruction set. It may only be called where this machine supports the set.
const Table& table(InstructionSet set);
// The table of core's chosen_instruction_set(), chosen once.
const Table& table();

}  // namespace qloft::kernels
