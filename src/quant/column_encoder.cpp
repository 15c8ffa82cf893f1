#include "codebooks/row.h"
#include "kernel_values.h"
#include "qloft/quant.h"

namespace qloft::quant {

std::int64_t ColumnEncoder::rows_together(const Format& format) {
  return row_of(format.codebook).coding.rows_together;
}

ColumnEncoder::ColumnEncoder(const Format& format)
    : coding_(row_of(format.codebook).coding),
      book_(kernel_values(format)),
      workspace_(coding_.workspace_bytes) {}

void ColumnEncoder::encode(const float* x, const float* scales, const float* offsets,
                           std::int64_t count, std::uint8_t* codes, float* values) {
  coding_.encode_column(book_, x, scales, offsets, count, workspace_.data(), codes, values);
}

}  // namespace qloft::quant
