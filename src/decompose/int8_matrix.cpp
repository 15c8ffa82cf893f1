#include "int8_matrix.h"

#include <algorithm>

#include "qloft/core.h"

namespace qloft::decompose {
namespace {

using kernels::Int8Activations;
using kernels::Int8Weights;
using kernels::kInt8Block;
using kernels::kInt8Columns;
using kernels::kInt8Rows;

// Blocks of x that are transposed and rounded at a time.
constexpr std::int64_t kBlocksAtOnce = 8;
// Of W - B A, rows that one task takes.
constexpr std::int64_t kRowsOfADifference = 8 * kInt8Rows;
// Times kInt8Columns outputs a task of a product.
constexpr std::int64_t kTilesAtOnce = 4;

// Columns of x [inner, k], kInt8Rows together, in blocks along `inner`: [groups, blocks].
std::vector<Int8Activations> in_blocks(MatrixView<const float> x) {
  const std::int64_t blocks = ceil_divide(x.rows, kInt8Block);
  const std::int64_t groups = ceil_divide(x.columns, kInt8Rows);
  const kernels::Int8Table& table = kernels::int8_table();
  std::vector<Int8Activations> out(static_cast<std::size_t>(groups * blocks));
  parallel_for(blocks, kBlocksAtOnce, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kMost = kBlocksAtOnce * kInt8Block;
    float columns[kInt8Rows * kMost];
    const std::int64_t first = begin * kInt8Block;
    const std::int64_t count = std::min(end * kInt8Block, x.rows) - first;
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t vectors = std::min(kInt8Rows, x.columns - g * kInt8Rows);
      for (std::int64_t k = 0; k < count; ++k) {
        const float* from = x.row(first + k) + g * kInt8Rows;
        for (std::int64_t i = 0; i < vectors; ++i) columns[i * kMost + k] = from[i];
      }
      table.quantize_activations(columns, kMost, vectors, count, out.data() + g * blocks + begin);
    }
  });
  return out;
}

}  // namespace

Int8Matrix::Int8Matrix(std::int64_t rows, std::int64_t columns)
    : rows_(rows),
      columns_(columns),
      blocks_along_columns_(ceil_divide(columns, kInt8Block)),
      blocks_along_rows_(ceil_divide(rows, kInt8Block)),
      by_rows_(static_cast<std::size_t>(ceil_divide(rows, kInt8Columns) * blocks_along_columns_)),
      by_columns_(
          static_cast<std::size_t>(ceil_divide(columns, kInt8Columns) * blocks_along_rows_)) {}

void Int8Matrix::set(std::int64_t row, std::int64_t column, MatrixView<const float> part) {
  const kernels::Int8Table& table = kernels::int8_table();
  for (std::int64_t i = 0; i < part.rows; i += kInt8Columns) {
    table.quantize_weights(
        part.row(i), part.stride, std::min(kInt8Columns, part.rows - i), part.columns,
        by_rows_.data() + (row + i) / kInt8Columns * blocks_along_columns_ + column / kInt8Block);
  }
  for (std::int64_t i = 0; i < part.rows; i += kInt8Block) {
    for (std::int64_t j = 0; j < part.columns; j += kInt8Columns) {
      table.quantize_transposed_weights(
          part.row(i) + j, part.stride, std::min(kInt8Block, part.rows - i),
          std::min(kInt8Columns, part.columns - j),
          by_columns_.data() + (column + j) / kInt8Columns * blocks_along_rows_ +
              (row + i) / kInt8Block);
    }
  }
}

// out [outputs, k] = w x, x [inner, k].
void Int8Matrix::multiply_blocks(const Blocks& w, MatrixView<const float> x,
                                 MatrixView<float> out) {
  const std::vector<Int8Activations> activations = in_blocks(x);
  const std::int64_t blocks = ceil_divide(x.rows, kInt8Block);
  const kernels::Int8Table& table = kernels::int8_table();
  parallel_for(ceil_divide(out.rows, kInt8Columns), kTilesAtOnce,
               [&](std::int64_t begin, std::int64_t end) {
                 float tile[kInt8Rows * kInt8Columns];
                 for (std::int64_t t = begin; t < end; ++t) {
                   const std::int64_t first = t * kInt8Columns;
                   const std::int64_t rows = std::min(kInt8Columns, out.rows - first);
                   for (std::int64_t c = 0; c < out.columns; c += kInt8Rows) {
                     table.multiply(activations.data() + c / kInt8Rows * blocks,
                                    w.data() + t * blocks, blocks, tile);
                     const std::int64_t columns = std::min(kInt8Rows, out.columns - c);
                     for (std::int64_t i = 0; i < rows; ++i) {
                       for (std::int64_t k = 0; k < columns; ++k) {
                         out(first + i, c + k) = tile[k * kInt8Columns + i];
                       }
                     }
                   }
                 }
               });
}

void Int8Matrix::multiply(MatrixView<const float> x, MatrixView<float> out) const {
  multiply_blocks(by_rows_, x, out);
}

void Int8Matrix::multiply_transposed(MatrixView<const float> x, MatrixView<float> out) const {
  multiply_blocks(by_columns_, x, out);
}

void subtract_in_bytes(MatrixView<const float> w, MatrixView<const float> b,
                       MatrixView<const float> a, double scale, MatrixView<float> out) {
  const kernels::Int8Table& table = kernels::int8_table();
  const std::int64_t blocks = ceil_divide(a.rows, kInt8Block);
  const std::int64_t tiles = ceil_divide(a.columns, kInt8Columns);
  std::vector<Int8Weights> right(static_cast<std::size_t>(tiles * blocks));
  parallel_for(tiles, kTilesAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t j = t * kInt8Columns, columns = std::min(kInt8Columns, a.columns - j);
      for (std::int64_t k = 0; k < blocks; ++k) {
        const std::int64_t first = k * kInt8Block, rows = std::min(kInt8Block, a.rows - first);
        table.quantize_transposed_weights(a.row(first) + j, a.stride, rows, columns,
                                          right.data() + t * blocks + k);
      }
    }
  });
  const auto factor = static_cast<float>(scale);
  parallel_for(w.rows, kRowsOfADifference, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Int8Activations> left(static_cast<std::size_t>(blocks));
    float tile[kInt8Rows * kInt8Columns];
    for (std::int64_t i = begin; i < end; i += kInt8Rows) {
      const std::int64_t rows = std::min(kInt8Rows, end - i);
      table.quantize_activations(b.row(i), b.stride, rows, b.columns, left.data());
      for (std::int64_t t = 0; t < tiles; ++t) {
        table.multiply(left.data(), right.data() + t * blocks, blocks, tile);
        const std::int64_t j = t * kInt8Columns, columns = std::min(kInt8Columns, w.columns - j);
        for (std::int64_t r = 0; r < rows; ++r) {
          const float* from = w.row(i + r) + j;
          const float* product = tile + r * kInt8Columns;
          float* to = out.row(i + r) + j;
          if (columns == kInt8Columns) {
            for (std::int64_t c = 0; c < kInt8Columns; ++c) to[c] = from[c] - factor * product[c];
          } else {
            for (std::int64_t c = 0; c < columns; ++c) to[c] = from[c] - factor * product[c];
          }
        }
      }
    }
  });
}

}  // namespace qloft::decompose
