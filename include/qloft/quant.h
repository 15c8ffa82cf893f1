#pragma once
// quant: low-bit formats as data, and matrices packed by them.
//
//   Q[i, j] = scale[i, j / block] * codebook[code[i, j]]      (+ offset for uniform-asymmetric)
//
// Blocks run along a row and begin anew with every row; the last block of a row may be shorter.
// The layout in memory is the layout on disk (docs/formats.md).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/element.h"
#include "qloft/core/matrix.h"

namespace qloft::kernels {
struct CodeValues;
}

namespace qloft::quant {

struct Coding;

// nf: NormalFloat as QLoRA (4 bits, bit-equal to bitsandbytes) and LoftQ (2, 3, 8 bits) define it.
// uniform: symmetric, equidistant in [-1, 1]. uniform_asymmetric: equidistant between the block's
// minimum and maximum, stored as scale and offset. lloyd: the code that minimises the mean squared
// error of a block of normal values scaled by the block's rule. binary: {-1, 1} (1 bit).
// ternary: {-1, 0, 1}, stored in 2 bits. residual_binary: sums of one sign times a factor for every
// bit, the factors those of binarizing what the bits before left of normal values (residual
// binarization; Guo et al. 2017, "Network sketching", algorithm 1): 1 to 4 bits.
// trellis: a trellis-coded quantizer of normal values, 1 to 4 bits (Marcellin & Fischer 1990; the
// bit-shift trellis of QTIP, Tseng et al. 2024): one of 64 values, chosen by a hash of the last 12
// bits of the codes down the column, the element's own code lowest; begins anew every 256 rows. The
// codes of a column are chosen together. Its scales are always fitted (mse). trellis_short: the
// same by the last 6 + bits bits alone, whose search has 64 states in place of 2^(12 - bits). The
// mse scale of binary is the block's mean magnitude (XNOR-Net, BinaryBERT); that of ternary is the
// mean of the magnitudes above half of it (ternary weight networks).
enum class Codebook : std::uint8_t {
  nf,
  uniform,
  uniform_asymmetric,
  lloyd,
  binary,
  ternary,
  residual_binary,
  trellis,
  trellis_short
};
// absmax: the block's largest magnitude. mse: the scale that minimises the block's squared error.
// deviation: one range for the whole matrix, its mean and two standard deviations to either side,
// as LoftQ's uniform quantizer has it (Li et al. 2023, section 3.1); with offsets, one block a row.
enum class ScaleRule : std::uint8_t { absmax, mse, deviation };

// dynamic: bitsandbytes' signed 8-bit dynamic map around the mean of all scales (QLoRA's double
// quantization; the weights' codes are chosen with the scales before they are quantized, as there).
// uniform: equidistant between the smallest of all scales and the block's largest (LQ-LoRA; the
// weights' codes are chosen with the scales as stored).
enum class ScaleCode : std::uint8_t { dynamic, uniform };

// How scales that are quantized themselves are stored: codes of `bits` bits for blocks of `block`
// first-level scales in row-major order, which share one scale of `type`, and one f32 offset for
// the whole matrix: scale = scale_scale * value(code) + offset. QLoRA: 8 bits, 256, f32, dynamic.
// LQ-LoRA: 2, 3, 4, 8 bits in blocks of 16, 64, 256, uniform.
struct SecondLevel {
  int bits = 8;              // 2 to 8; dynamic: 8
  std::int64_t block = 256;  // 16 to 4096
  ElementType type = ElementType::f32;
  ScaleCode code = ScaleCode::dynamic;
  bool operator==(const SecondLevel&) const = default;
};

struct Format {
  int bits = 4;  // 1 to 8
  Codebook codebook = Codebook::nf;
  std::int64_t block = 64;  // a multiple of 16 from 16 to 4096; 0: one block a row
  ScaleRule scale_rule = ScaleRule::absmax;
  ElementType scale_type = ElementType::f32;  // f32, bf16 or f16; not used with second_level
  std::optional<SecondLevel> second_level;

  bool operator==(const Format&) const = default;
  // Throws InputError naming the field that is out of range or does not fit the others.
  void validate() const;
  // Stored bits over elements for a matrix of this shape: codes with their padding, scales,
  // offsets, second-level scales, everything that is on disk.
  double bits_per_weight(std::int64_t rows, std::int64_t columns) const;
  std::int64_t blocks_per_row(std::int64_t columns) const;
  // "nf2 block 64 absmax f32", for tables and reports.
  std::string describe() const;
};

// The names at the prompt and in files: "uniform-asymmetric", "mse". Empty if unknown.
std::string_view name(Codebook codebook);
std::string_view name(ScaleRule rule);
std::string_view name(ScaleCode code);
std::optional<Codebook> codebook_from_name(std::string_view name);
std::optional<ScaleRule> scale_rule_from_name(std::string_view name);
std::optional<ScaleCode> scale_code_from_name(std::string_view name);
std::vector<std::string_view> codebook_names();

// The widths that a code book has.
struct BitRange {
  int least, most;
};
BitRange bit_range(Codebook codebook);

// The 2^bits (ternary: 3) code values in rising order, in [-1, 1]; for lloyd they depend on the
// block size and the scale rule; for trellis codes they are the 64 values that windows give. Throws
// InputError where the codebook has no code of that width.
std::vector<float> code_values(const Format& format);
// The values of second-level codes: bitsandbytes' dynamic map, or 2^bits values from 0 to 1.
std::vector<float> code_values(const SecondLevel& second);

// Of a trellis code the value of each of its 2^12 windows, the newest code lowest; else empty.
std::vector<float> window_values(const Format& format);

// A part of a packed matrix as it is stored: its suffix under the weight's name, and its type.
struct Part {
  std::string_view suffix;  // "codes", "scales", "offsets", "scale_codes", "scale_scales", ...
  ElementType type = ElementType::u8;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;
};
// Every part that a matrix of this format and shape stores, in file order.
std::vector<Part> parts(const Format& format, std::int64_t rows, std::int64_t columns);

// rows x columns weights packed by `format`. A value; the bytes are its own.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // All parts allocated and zero.
  PackedMatrix(const Format& format, std::int64_t rows, std::int64_t columns);

  const Format& format() const { return format_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  std::vector<Part> parts() const { return quant::parts(format_, rows_, columns_); }
  // The bytes of parts()[index].
  std::span<std::byte> bytes(std::size_t index) { return bytes_[index]; }
  std::span<const std::byte> bytes(std::size_t index) const { return bytes_[index]; }
  std::uint64_t stored_bytes() const;

 private:
  Format format_;
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  std::vector<std::vector<std::byte>> bytes_;
};

// Nearest code of each element, with block scales by the format's rule. Neither the number of
// threads nor the instruction set changes a bit. Throws InputError on a value that is not finite.
PackedMatrix quantize(MatrixView<const float> weight, const Format& format);

// The f32 scale of each block after it was stored and read back: rows x blocks_per_row.
Matrix block_scales(const PackedMatrix& packed);
// Their f32 offsets (uniform-asymmetric; else an empty matrix).
Matrix block_offsets(const PackedMatrix& packed);

// For quantizers that choose codes or scales themselves. Codes row by row, rows * columns of them;
// throws InputError for one that the code book lacks. Scales [rows, blocks_per_row], stored as the
// format says; the codes stay. Throws Error where a shape disagrees, InputError on a scale that is
// not finite.
void set_codes(PackedMatrix& packed, std::span<const std::uint8_t> codes);
void set_scales(PackedMatrix& packed, MatrixView<const float> scales);

// Chooses codes column by column, as the feedback of GPTQ needs it. One object a thread.
class ColumnEncoder {
 public:
  explicit ColumnEncoder(const Format& format);
  // Rows whose codes may depend on each other: columns are cut at multiples of it. 1 but for
  // trellis codes.
  static std::int64_t rows_together(const Format& format);
  // The codes of `count` elements down a column, and the values that they stand for. For a trellis
  // code the first lies in a row that is a multiple of rows_together, and count is at most that.
  void encode(const float* x, const float* scales, const float* offsets, std::int64_t count,
              std::uint8_t* codes, float* values);

 private:
  const Coding& coding_;
  const kernels::CodeValues& book_;
  std::vector<std::byte> workspace_;
};

// Rows [first_row, first_row + out.rows) into `out` (out.columns == packed.columns()).
void dequantize(const PackedMatrix& packed, MatrixView<float> out, std::int64_t first_row = 0);
void dequantize(const PackedMatrix& packed, MatrixView<BFloat16> out, std::int64_t first_row = 0);

// The tile of rows [first_row, first_row + out.rows) and columns [first_column, first_column +
// out.columns), in the calling thread only: for products that dequantize as they go, inside their
// own parallel loop. first_column is a multiple of 32; throws InputError otherwise.
void dequantize_tile(const PackedMatrix& packed, MatrixView<float> out, std::int64_t first_row,
                     std::int64_t first_column);
void dequantize_tile(const PackedMatrix& packed, MatrixView<BFloat16> out, std::int64_t first_row,
                     std::int64_t first_column);

// True if every stored code is one of its code book (false only for a ternary code 3), every scale
// finite: what a reader of files checks before it trusts the bytes.
bool is_valid(const PackedMatrix& packed);

// y = x * Q^T without a dequantized copy: x [n, columns], y [n, rows]; made for small n (decoding).
// On all threads; row i of y depends on row i of x alone, not on the number of threads or rows. Up
// to 4 bits, and at 8 bits with AVX-512 and VBMI, it runs in 16-bit fixed point with a scale for
// every 32 activations: the error is at most 1e-4 |x| |q|, in practice a third of it. Else it runs
// in f32.
void multiply_transposed(MatrixView<const float> x, const PackedMatrix& q, MatrixView<float> y);

// One of several products: y = x * matrix^T, or y += that.
struct Product {
  const PackedMatrix* matrix;
  MatrixView<const float> x;
  MatrixView<float> y;
  bool add = false;
};
// All of them at once, as q, k and v of a layer allow; no y is written twice. What matrices of the
// same code book that follow each other multiply is prepared once. The values are those of the
// products one by one.
void multiply_transposed(std::span<const Product> products);

}  // namespace qloft::quant
