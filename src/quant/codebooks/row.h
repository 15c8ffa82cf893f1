#pragma once
// What a code book is: one row of data, in a file of its own. The others in src/quant know no code
// book by name. Their table is table.cpp.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "qloft/kernels.h"
#include "qloft/quant.h"
#include "qloft/quant/scales.h"

namespace qloft::quant {

// One block's scale and offset before they are stored.
struct BlockScale {
  float scale = 0;
  float offset = 0;
};

// How the codes of a matrix are chosen and read: element by element (elementwise.cpp), or those of
// a column together (trellis.cpp).
struct Coding {
  std::int64_t rows_together = 1;  // see ColumnEncoder::rows_together
  bool windows = false;            // an element's value depends on the codes above it (windows.h)
  std::size_t workspace_bytes = 0;
  std::int64_t product_rows = 0;  // rows of a task of a product; 0: by their size

  // All codes of a matrix whose scales are stored; `found` are those before.
  void (*encode)(MatrixView<const float> weight, const BlockScales& found, PackedMatrix& packed);
  // See ColumnEncoder::encode.
  void (*encode_column)(const kernels::CodeValues& book, const float* x, const float* scales,
                        const float* offsets, std::int64_t count, std::byte* workspace,
                        std::uint8_t* codes, float* values);
  // Columns [begin, end) of y = x Q^T; x has rows, prepared for `book`, that of q.
  void (*multiply)(const PackedMatrix& q, const kernels::CodeValues& book,
                   const kernels::Activations& x, MatrixView<float> y, std::int64_t begin,
                   std::int64_t end);
};
extern const Coding kElementwise;
extern const Coding kTrellisCoding;

struct CodebookRow {
  std::string_view name;
  BitRange bits;
  bool values_by_block = false;  // the values depend on the block size and the scale rule too
  bool has_offsets = false;      // an offset is stored beside each scale
  bool fitted_only = false;      // takes the scale rule mse alone
  std::vector<float> (*values)(const Format& format);
  std::uint16_t (*multiplier)(int bits) = nullptr;  // of kernels::CodeValues; null: 0
  // The scale of `count` values of one block by the format's rule.
  BlockScale (*block_scale)(const kernels::CodeValues& book, const Format& format, const float* x,
                            std::int64_t count);
  const Coding& coding = kElementwise;
};
extern const CodebookRow kNormalFloat;
extern const CodebookRow kUniform;
extern const CodebookRow kUniformAsymmetric;
extern const CodebookRow kLloyd;
extern const CodebookRow kBinary;
extern const CodebookRow kTernary;
extern const CodebookRow kResidualBinary;
extern const CodebookRow kTrellis;
extern const CodebookRow kTrellisShort;

// The row of a known code book.
const CodebookRow& row_of(Codebook codebook);

// elementwise.cpp: the largest magnitude, or the scale of least squared error.
BlockScale symmetric_scale(const kernels::CodeValues& book, const Format& format, const float* x,
                           std::int64_t count);

}  // namespace qloft::quant
