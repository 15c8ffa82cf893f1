// Codes chosen element by element: the nearest value of the code book.

#include <algorithm>

#include "codebooks/row.h"
#include "kernel_values.h"
#include "qloft/core/threads.h"
#include "row_reader.h"

namespace qloft::quant {
namespace {

void encode_elements(MatrixView<const float> weight, const BlockScales& found,
                     PackedMatrix& packed) {
  const Format& format = packed.format();
  const kernels::Table& table = kernels::table();
  const kernels::CodeValues& book = kernel_values(format);
  const std::int64_t blocks = format.blocks_per_row(weight.columns);
  const std::int64_t block = kernel_block(format, weight.columns);
  const std::int64_t row_bytes = kernels::packed_bytes(weight.columns, format.bits);
  auto* out = reinterpret_cast<std::uint8_t*>(packed.bytes(0).data());
  // QLoRA chooses codes by the scales before their second quantization, all others as stored.
  const bool as_found = format.second_level && format.second_level->code == ScaleCode::dynamic;
  parallel_for(weight.rows, rows_a_task(weight.columns), [&](std::int64_t begin, std::int64_t end) {
    RowReader reader(packed);
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(weight.columns));
    for (std::int64_t i = begin; i < end; ++i) {
      const kernels::PackedRow row = reader.row(i);
      const float* scales = as_found ? found.scales.data() + i * blocks : row.scales;
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t first = b * block;
        table.encode(book, weight.row(i) + first, std::min(block, weight.columns - first),
                     row.offsets != nullptr ? row.offsets[b] : 0.f,
                     1.f / std::max(scales[b], 1e-38f), codes.data() + first);
      }
      table.pack(codes.data(), weight.columns, format.bits, out + i * row_bytes);
    }
  });
}

// By threshold, so that elements are beside each other in a vector.
void encode_column_elements(const kernels::CodeValues& book, const float* x, const float* scales,
                            const float* offsets, std::int64_t count, std::byte*,
                            std::uint8_t* codes, float* values) {
  constexpr std::int64_t kAtOnce = 32;
  for (std::int64_t first = 0; first < count; first += kAtOnce) {
    const std::int64_t part = std::min(kAtOnce, count - first);
    float at[kAtOnce];
    std::int32_t found[kAtOnce] = {};
    const auto offset = [&](std::int64_t i) {
      return offsets != nullptr ? offsets[first + i] : 0.f;
    };
    for (std::int64_t i = 0; i < part; ++i) {
      at[i] = (x[first + i] - offset(i)) / std::max(scales[first + i], 1e-38f);
    }
    for (int t = 0; t + 1 < book.levels; ++t) {
      for (std::int64_t i = 0; i < part; ++i) found[i] += at[i] > book.thresholds[t] ? 1 : 0;
    }
    for (std::int64_t i = 0; i < part; ++i) {
      codes[first + i] = static_cast<std::uint8_t>(found[i]);
      values[first + i] = scales[first + i] * book.values[found[i]] + offset(i);
    }
  }
}

void multiply_elements(const PackedMatrix& q, const kernels::CodeValues& book,
                       const kernels::Activations& x, MatrixView<float> y, std::int64_t begin,
                       std::int64_t end) {
  const kernels::Table& table = kernels::table();
  RowReader reader(q);
  for (std::int64_t r = begin; r < end; r += RowReader::kAtOnce) {
    const auto rows = reader.rows(r, std::min(RowReader::kAtOnce, end - r));
    table.dot(book, rows.data(), static_cast<std::int64_t>(rows.size()), x, y.data + r, y.stride);
  }
}

}  // namespace

BlockScale symmetric_scale(const kernels::CodeValues& book, const Format& format, const float* x,
                           std::int64_t count) {
  const kernels::Table& table = kernels::table();
  const float absmax = table.absmax(x, count);
  if (format.scale_rule == ScaleRule::absmax || !(absmax > 0)) return {absmax, 0};
  return {table.fit_scale(book, x, count, absmax), 0};
}

constinit const Coding kElementwise = {.encode = encode_elements,
                                       .encode_column = encode_column_elements,
                                       .multiply = multiply_elements};

}  // namespace qloft::quant
