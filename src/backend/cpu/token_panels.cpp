#include "token_panels.h"

#include <algorithm>

#include "qloft/core.h"

namespace qloft::backend {
namespace {

// Tokens of one product of the units, whose sums are added up. The last is shorter, by whole steps:
// few sizes, for each of which a micro-kernel is made.
constexpr std::int64_t kDepth = 512;
constexpr std::int64_t kDepthStep = 32;
// Tokens of a task that fills panels.
constexpr std::int64_t kTokensOfATask = 32;

// Rows `a` and `b` of activations, value by value beside each other, with zeros up to a panel.
void pair_up(const BFloat16* a, const BFloat16* b, std::int64_t columns, BFloat16* out) {
  for (std::int64_t j = 0; j < columns; ++j) {
    out[2 * j] = a[j];
    out[2 * j + 1] = b[j];
  }
  std::fill(out + 2 * columns, out + 2 * kTileWidth, BFloat16());
}

}  // namespace

std::int64_t TokenPanels::elements(std::int64_t tokens, std::int64_t columns) {
  return round_up(tokens, kDepthStep) * round_up(columns, kTileWidth);
}

TokenPanels::TokenPanels(std::int64_t tokens, std::int64_t columns, BFloat16* memory)
    : depth_(round_up(tokens, kDepthStep)),
      count_(ceil_divide(columns, kTileWidth)),
      memory_(memory) {}

// Row by row, so that pages of x are read one after the other.
void TokenPanels::fill(MatrixView<const BFloat16> x) const {
  static constexpr BFloat16 kZeros[kTileWidth] = {};
  parallel_for(depth_, kTokensOfATask, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; token += 2) {
      for (std::int64_t panel = 0; panel < count_; ++panel) {
        const std::int64_t column = panel * kTileWidth;
        const auto row = [&](std::int64_t i) { return i < x.rows ? x.row(i) + column : kZeros; };
        pair_up(row(token), row(token + 1), std::min(kTileWidth, x.columns - column),
                memory_ + panel * panel_elements() + token * kTileWidth);
      }
    }
  });
}

void TokenPanels::copy_left(std::int64_t panel, BFloat16* out) const {
  const BFloat16* in = right(panel);
  for (std::int64_t first = 0; first < depth_; first += kDepth) {
    const std::int64_t depth = std::min(kDepth, depth_ - first);
    transpose_words(reinterpret_cast<const float*>(in + first * kTileWidth), depth / 2, kTileWidth,
                    reinterpret_cast<float*>(out + first * kTileWidth));  // pairs of values
  }
}

void TokenPanels::multiply(const BFloat16* left, const BFloat16* right, float* tile) const {
  for (std::int64_t first = 0; first < depth_; first += kDepth) {
    const std::int64_t depth = std::min(kDepth, depth_ - first);
    multiply_block({kTileWidth, kTileWidth, depth, left + first * kTileWidth, depth,
                    right + first * kTileWidth, tile, kTileWidth, first > 0});
  }
}

}  // namespace qloft::backend
