// Equidistant between the block's smallest and largest value, stored as scale and offset.

#include <algorithm>

#include "codebooks/linspace.h"
#include "codebooks/row.h"

namespace qloft::quant {
namespace {

std::vector<float> range_values(const Format& format) {
  return linspace(-1.f, 1.f, 1 << format.bits);
}

// The scale and offset that minimise the block's squared error under the equidistant code between
// them: ranges shrunk from the full one, each followed by a linear fit of the block to its codes.
BlockScale fit_range(const kernels::Table& table, const kernels::CodeValues& book, const float* x,
                     std::int64_t count, BlockScale full) {
  constexpr int kCandidates = 12;
  constexpr int kRefinements = 3;
  std::uint8_t codes[4096];
  double sum_x = 0;
  double sum_xx = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum_x += x[i];
    sum_xx += static_cast<double>(x[i]) * x[i];
  }
  BlockScale best = full;
  double least = -1;
  for (int k = 0; k < kCandidates; ++k) {
    BlockScale at = {full.scale * (1.f - static_cast<float>(k) / (kCandidates + 3)), full.offset};
    for (int step = 0; step < kRefinements; ++step) {
      double c = 0;
      double cc = 0;
      double cx = 0;
      for (std::int64_t from = 0; from < count; from += 4096) {
        const std::int64_t part = std::min<std::int64_t>(4096, count - from);
        table.encode(book, x + from, part, at.offset, 1.f / std::max(at.scale, 1e-38f), codes);
        for (std::int64_t i = 0; i < part; ++i) {
          const double value = book.values[codes[i]];
          c += value;
          cc += value * value;
          cx += value * x[from + i];
        }
      }
      const double n = static_cast<double>(count);
      const double spread = n * cc - c * c;
      if (!(spread > 0)) break;
      const double scale = (n * cx - c * sum_x) / spread;
      const double offset = (sum_x - scale * c) / n;
      const double error = sum_xx - scale * cx - offset * sum_x;
      at = {static_cast<float>(scale), static_cast<float>(offset)};
      if (scale > 0 && (least < 0 || error < least)) {
        least = error;
        best = at;
      }
    }
  }
  return best;
}

BlockScale range_scale(const kernels::CodeValues& book, const Format& format, const float* x,
                       std::int64_t count) {
  const kernels::Table& table = kernels::table();
  float low;
  float high;
  table.minmax(x, count, &low, &high);
  const BlockScale full = {high / 2 - low / 2, low / 2 + high / 2};
  if (format.scale_rule == ScaleRule::absmax || !(full.scale > 0)) return full;
  return fit_range(table, book, x, count, full);
}

}  // namespace

constinit const CodebookRow kUniformAsymmetric = {.name = "uniform-asymmetric",
                                                  .bits = {1, 8},
                                                  .has_offsets = true,
                                                  .values = range_values,
                                                  .block_scale = range_scale};

}  // namespace qloft::quant
