#pragma once
// Products over tokens, a^T b of activations a [tokens, m] and b [tokens, n] in bf16, a tile at a
// time with f32 sums: a tile is used while it is in the cache, and no product is held.

#include <cstdint>

#include "bf16_blocks.h"
#include "qloft/core/matrix.h"

namespace qloft::backend {

// Rows and columns of a tile.
inline constexpr std::int64_t kTileWidth = 64;
inline constexpr std::int64_t kTileSize = kTileWidth * kTileWidth;

// Columns of activations in panels of kTileWidth, of which tiles are made. Tokens and columns are
// padded with zeros.
class TokenPanels {
 public:
  // bf16 elements of the panels of so many tokens and columns.
  static std::int64_t elements(std::int64_t tokens, std::int64_t columns);

  // In memory of the caller's, which has room for these.
  TokenPanels(std::int64_t tokens, std::int64_t columns, BFloat16* memory);
  // x [tokens, columns], on all threads, or within a task in the calling one.
  void fill(MatrixView<const BFloat16> x) const;

  std::int64_t count() const { return count_; }
  std::int64_t panel_elements() const { return depth_ * kTileWidth; }
  // A panel as the right factor of a tile.
  const BFloat16* right(std::int64_t panel) const { return memory_ + panel * panel_elements(); }
  // The same as the left one: panel_elements() elements to `out`.
  void copy_left(std::int64_t panel, BFloat16* out) const;
  // tile [kTileWidth, kTileWidth] = left^T right, in the calling thread; panels of as many tokens.
  void multiply(const BFloat16* left, const BFloat16* right, float* tile) const;

 private:
  std::int64_t depth_;  // tokens, padded
  std::int64_t count_;
  BFloat16* memory_;
};

}  // namespace qloft::backend
