// A trellis code (kernels.h, CodeValues): all codes of a column are chosen together.

#include <algorithm>
#include <array>
#include <cmath>

#include "codebooks/normal_quantile.h"
#include "codebooks/row.h"
#include "codebooks/windows.h"
#include "qloft/core/checked.h"
#include "qloft/core/threads.h"
#include "row_reader.h"

namespace qloft::quant {
namespace {

struct Tuned {
  std::uint16_t multiplier;
  float scale;
};
using TunedByBits = std::array<Tuned, 4>;
// Of all odd multipliers below 2^12 these had nearly the least squared error on normal values
// (0.288, 0.0733, 0.0194, 0.0063 of their variance; Lloyd-Max codes have 0.363, 0.1175, 0.0345,
// 0.0095), with the values scaled by the factor beside them.
constexpr TunedByBits kLong = {{{1879, 0.918f}, {3043, 1.012f}, {2551, 1.025f}, {3549, 1.025f}}};
// Likewise of windows of 7, 8, 9 and 10 bits: 0.301, 0.0776, 0.0202, 0.0062.
constexpr TunedByBits kShort = {
    {{75 << 5, 0.918f}, {69 << 4, 1.04f}, {451 << 3, 1.04f}, {67 << 2, 1.04f}}};

// The quantile of value i: equally likely, the outermost a little further out.
double quantile(int i) {
  return normal_quantile((i + 0.25) / (kernels::kTrellisLevels - 0.5));
}

// The largest 1.
std::vector<float> trellis_values(const Format&) {
  const double largest = quantile(kernels::kTrellisLevels - 1);
  std::vector<float> out(kernels::kTrellisLevels);
  for (int i = 0; i < kernels::kTrellisLevels / 2; ++i) {
    const auto value = static_cast<float>(-quantile(i) / largest);
    out[static_cast<std::size_t>(i)] = -value;
    out[out.size() - 1 - static_cast<std::size_t>(i)] = value;
  }
  return out;
}

template <const TunedByBits& kTuned>
std::uint16_t trellis_multiplier(int bits) {
  return kTuned[static_cast<std::size_t>(bits - 1)].multiplier;
}

// In proportion to the root of the mean square.
template <const TunedByBits& kTuned>
BlockScale trellis_scale(const kernels::CodeValues&, const Format& format, const float* x,
                         std::int64_t count) {
  double square = 0;
  for (std::int64_t i = 0; i < count; ++i) square += static_cast<double>(x[i]) * x[i];
  const double root = std::sqrt(square / static_cast<double>(count));
  static const auto largest = static_cast<float>(quantile(kernels::kTrellisLevels - 1));
  const float unit = kTuned[static_cast<std::size_t>(format.bits - 1)].scale * largest;
  return {unit * static_cast<float>(root), 0};
}

void search_column(const kernels::CodeValues& book, const float* x, const float* scales,
                   const float*, std::int64_t count, std::byte* workspace, std::uint8_t* codes,
                   float* values) {
  kernels::table().search(book, x, scales, count, workspace, codes);
  kernels::table().trellis_values(book, codes, scales, count, values);
}

void encode_trellis(MatrixView<const float> weight, const BlockScales&, PackedMatrix& packed) {
  const Matrix scales = block_scales(packed);
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

// After the rows above that the windows of `begin` reach up to.
void multiply_trellis(const PackedMatrix& q, const kernels::CodeValues& book,
                      const kernels::Activations& x, MatrixView<float> y, std::int64_t begin,
                      std::int64_t end) {
  const kernels::Table& table = kernels::table();
  RowReader reader(q, 0, 0);  // scales alone
  std::vector<std::uint16_t> windows(static_cast<std::size_t>(kernels::trellis_windows(x.columns)));
  std::vector<float> unused(static_cast<std::size_t>(x.rows * RowReader::kAtOnce));
  for (std::int64_t r = first_window_row(begin, book.bits); r < end;) {
    if (r % kernels::kTrellisRows == 0) std::fill(windows.begin(), windows.end(), 0);
    const std::int64_t next =
        std::min(r < begin ? begin : end, round_up(r + 1, kernels::kTrellisRows));
    const auto rows = reader.rows(r, std::min(RowReader::kAtOnce, next - r));
    const auto count = static_cast<std::int64_t>(rows.size());
    if (r < begin) {
      table.dot_trellis(book, rows.data(), count, x, unused.data(), count, windows.data());
    } else {
      table.dot_trellis(book, rows.data(), count, x, y.data + r, y.stride, windows.data());
    }
    r += count;
  }
}

}  // namespace

constinit const Coding kTrellisCoding = {.rows_together = kernels::kTrellisRows,
                                         .windows = true,
                                         .workspace_bytes = kernels::kSearchBytes,
                                         .product_rows = 128,
                                         .encode = encode_trellis,
                                         .encode_column = search_column,
                                         .multiply = multiply_trellis};

constinit const CodebookRow kTrellis = {.name = "trellis",
                                        .bits = {1, 4},
                                        .fitted_only = true,
                                        .values = trellis_values,
                                        .multiplier = trellis_multiplier<kLong>,
                                        .block_scale = trellis_scale<kLong>,
                                        .coding = kTrellisCoding};

constinit const CodebookRow kTrellisShort = {.name = "trellis-short",
                                             .bits = {1, 4},
                                             .fitted_only = true,
                                             .values = trellis_values,
                                             .multiplier = trellis_multiplier<kShort>,
                                             .block_scale = trellis_scale<kShort>,
                                             .coding = kTrellisCoding};

}  // namespace qloft::quant
