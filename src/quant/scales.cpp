// Block scales: found, shared between formats, and stored.

#include "qloft/quant/scales.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "codebooks/row.h"
#include "kernel_values.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/core/threads.h"
#include "row_reader.h"
#include "second_level.h"

namespace qloft::quant {
namespace {

// Offsets stay as they are where none are given.
void store_scales(const BlockScales& found, PackedMatrix& packed) {
  const Format& format = packed.format();
  if (format.second_level) return store_second_level(found.scales, packed);
  std::size_t part = 1;
  for (const std::vector<float>* values : {&found.scales, &found.offsets}) {
    if (values->empty()) continue;
    std::vector<float> stored = *values;
    limit_to_type(stored, format.scale_type);
    store_floats(stored.data(), static_cast<std::int64_t>(stored.size()), format.scale_type, 0,
                 packed.bytes(part++));
  }
}

void expect_finite(MatrixView<const float> weight, std::int64_t row) {
  if (std::isfinite(kernels::table().absmax(weight.row(row), weight.columns))) return;
  throw InputError("expected finite weights, found infinity or NaN in row " + std::to_string(row));
}

// Of all weights, summed row by row: the mean, and twice the standard deviation (of n - 1).
BlockScale deviation_scale(MatrixView<const float> weight) {
  const auto rows = static_cast<std::size_t>(weight.rows);
  const double count = static_cast<double>(weight.rows) * static_cast<double>(weight.columns);
  std::vector<double> sums(rows);
  // The sum of f of every weight, the same for any number of threads.
  const auto total = [&](const auto& f) {
    parallel_for(weight.rows, rows_a_task(weight.columns),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     double sum = 0;
                     for (std::int64_t j = 0; j < weight.columns; ++j) sum += f(weight.row(i)[j]);
                     sums[static_cast<std::size_t>(i)] = sum;
                   }
                 });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  };
  for (std::int64_t i = 0; i < weight.rows; ++i) expect_finite(weight, i);
  if (count == 0) return {};
  const double mean = total([](double x) { return x; }) / count;
  const double squares = total([mean](double x) { return (x - mean) * (x - mean); });
  const double deviation = count > 1 ? std::sqrt(squares / (count - 1)) : 0;
  return {static_cast<float>(2 * deviation), static_cast<float>(mean)};
}

}  // namespace

BlockScales find_scales(MatrixView<const float> weight, const Format& format) {
  format.validate();
  const kernels::CodeValues& book = kernel_values(format);
  const CodebookRow& codebook = row_of(format.codebook);
  const std::int64_t blocks = format.blocks_per_row(weight.columns);
  const std::int64_t block = kernel_block(format, weight.columns);
  BlockScales out;
  out.scales.resize(static_cast<std::size_t>(weight.rows * blocks));
  if (codebook.has_offsets) out.offsets.resize(out.scales.size());
  if (format.scale_rule == ScaleRule::deviation) {
    const BlockScale all = deviation_scale(weight);
    std::ranges::fill(out.scales, all.scale);
    std::ranges::fill(out.offsets, all.offset);
    return out;
  }
  parallel_for(weight.rows, rows_a_task(weight.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      expect_finite(weight, i);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t first = b * block;
        const BlockScale s = codebook.block_scale(book, format, weight.row(i) + first,
                                                  std::min(block, weight.columns - first));
        const auto at = static_cast<std::size_t>(i * blocks + b);
        out.scales[at] = s.scale;
        if (codebook.has_offsets) out.offsets[at] = s.offset;
      }
    }
  });
  return out;
}

bool share_scales(const Format& a, const Format& b) {
  if (a.block != b.block || a.scale_rule != b.scale_rule) return false;
  if (row_of(a.codebook).has_offsets != row_of(b.codebook).has_offsets) return false;
  // Extremes and deviations are the same under any code; a fitted scale depends on it.
  return a.scale_rule != ScaleRule::mse || (a.codebook == b.codebook && a.bits == b.bits);
}

PackedMatrix store_scales(const Format& format, std::int64_t rows, std::int64_t columns,
                          const BlockScales& found) {
  PackedMatrix packed(format, rows, columns);
  const std::size_t count = static_cast<std::size_t>(packed.rows()) *
                            static_cast<std::size_t>(format.blocks_per_row(packed.columns()));
  const bool offsets = row_of(format.codebook).has_offsets;
  if (found.scales.size() != count || found.offsets.size() != (offsets ? count : 0)) {
    throw InputError({{}, "scales"}, "expected one for each of " + std::to_string(count) +
                                         " blocks, found " + std::to_string(found.scales.size()));
  }
  store_scales(found, packed);
  return packed;
}

void set_scales(PackedMatrix& packed, MatrixView<const float> scales) {
  const std::int64_t blocks = packed.format().blocks_per_row(packed.columns());
  if (scales.rows != packed.rows() || scales.columns != blocks) {
    throw Error({{}, "scales"}, "expected the shape " + shape_text({packed.rows(), blocks}) +
                                    ", found " + shape_text({scales.rows, scales.columns}));
  }
  BlockScales found;
  for (std::int64_t i = 0; i < scales.rows; ++i) {
    found.scales.insert(found.scales.end(), scales.row(i), scales.row(i) + blocks);
  }
  for (const float scale : found.scales) {
    if (!std::isfinite(scale)) throw InputError({{}, "scales"}, "expected finite values");
  }
  store_scales(found, packed);
}

}  // namespace qloft::quant
