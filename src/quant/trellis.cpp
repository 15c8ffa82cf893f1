#include "trellis.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "codebook.h"
#include "qloft/core/checked.h"
#include "qloft/core/threads.h"
#include "rows.h"

namespace qloft::quant {
namespace {

// By bits. Of all odd multipliers below 2^12 these had nearly the least squared error on normal
// values (0.288, 0.0733, 0.0194, 0.0063 of their variance; Lloyd-Max codes have 0.363, 0.1175,
// 0.0345, 0.0095), with the values scaled by the factor beside them.
struct Row {
  std::uint16_t multiplier;
  float scale;
};
constexpr std::array kRows = {Row{1879, 0.918f}, Row{3043, 1.012f}, Row{2551, 1.025f},
                              Row{3549, 1.025f}};

// The quantile of value i: equally likely, the outermost a little further out.
double quantile(int i) {
  return normal_quantile((i + 0.25) / (kernels::kTrellisLevels - 0.5));
}

}  // namespace

std::vector<float> trellis_values() {
  const double largest = quantile(kernels::kTrellisLevels - 1);
  std::vector<float> out(kernels::kTrellisLevels);
  for (int i = 0; i < kernels::kTrellisLevels / 2; ++i) {
    const auto value = static_cast<float>(-quantile(i) / largest);
    out[static_cast<std::size_t>(i)] = -value;
    out[out.size() - 1 - static_cast<std::size_t>(i)] = value;
  }
  return out;
}

std::uint16_t trellis_multiplier(int bits) {
  return kRows[static_cast<std::size_t>(bits - 1)].multiplier;
}

float trellis_scale(int bits) {
  const auto largest = static_cast<float>(quantile(kernels::kTrellisLevels - 1));
  return kRows[static_cast<std::size_t>(bits - 1)].scale * largest;
}

void encode_trellis(MatrixView<const float> weight, MatrixView<const float> scales,
                    PackedMatrix& packed) {
  const Format& format = packed.format();
  const std::int64_t block = kernel_block(format, weight.columns);
  const std::int64_t rows = weight.rows, columns = weight.columns;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(rows * columns));
  const std::int64_t pieces = ceil_divide(rows, kernels::kTrellisRows);
  // One task a column of a piece, in groups of columns that share cache lines.
  constexpr std::int64_t kColumns = 16;
  const std::int64_t strips = ceil_divide(columns, kColumns);
  parallel_for(pieces * strips, 1, [&](std::int64_t begin, std::int64_t end) {
    ColumnEncoder encoder(format);
    float x[kernels::kTrellisRows], s[kernels::kTrellisRows], values[kernels::kTrellisRows];
    std::uint8_t found[kernels::kTrellisRows];
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t first = task / strips * kernels::kTrellisRows;
      const std::int64_t count = std::min(kernels::kTrellisRows, rows - first);
      const std::int64_t last = std::min(columns, (task % strips + 1) * kColumns);
      for (std::int64_t j = task % strips * kColumns; j < last; ++j) {
        for (std::int64_t i = 0; i < count; ++i) {
          x[i] = weight(first + i, j);
          s[i] = scales(first + i, j / block);
        }
        encoder.encode(x, s, nullptr, count, found, values);
        for (std::int64_t i = 0; i < count; ++i) {
          codes[static_cast<std::size_t>((first + i) * columns + j)] = found[i];
        }
      }
    }
  });
  set_codes(packed, codes);
}

}  // namespace qloft::quant
