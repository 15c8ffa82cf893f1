#include "statistics.h"

#include <algorithm>

#include "bf16.h"
#include "one_thread.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/kernels/dense.h"
#include "qloft/linalg.h"
#include "scratch.h"
#include "token_panels.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using linalg::Transpose;

// Rows of g that a thread holds at once.
constexpr std::int64_t kRows = 64;
// Columns of the wider factor of g that a thread takes at once.
constexpr std::int64_t kSliceColumns = 4 * kTileWidth;

bool has_units_for(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && has_block_units();
}

MatrixView<const BFloat16> view_of(const Tensor& x) {
  return {reinterpret_cast<const BFloat16*>(x.data_ptr<at::BFloat16>()), x.size(0), x.size(1),
          x.stride(0)};
}
// Rows may lie apart.
Tensor with_whole_rows(const Tensor& x) {
  return x.stride(1) == 1 ? x : x.contiguous();
}

TokenPanels panels_in(Scratch slot, MatrixView<const BFloat16> x) {
  const std::int64_t elements = TokenPanels::elements(x.rows, x.columns);
  const TokenPanels out(x.rows, x.columns, bf16_scratch(slot, elements));
  out.fill(x);
  return out;
}

// Adds a tile's part on and above the diagonal.
void add_tile(const float* tile, std::int64_t row, std::int64_t column, std::int64_t n,
              float* gram) {
  constexpr float kOne = 1.f;
  const std::int64_t rows = std::min(kTileWidth, n - row);
  const std::int64_t columns = std::min(kTileWidth, n - column);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t first = std::max(std::int64_t{0}, row + i - column);
    kernels::dense_table().add_weighted_rows(
        tile + i * kTileWidth + first, kTileWidth, 1, &kOne, columns - first,
        gram + linalg::triangle_row(row + i, n) + column + first);
  }
}

// The sums that a tile will be added to are on their way while it is made.
void fetch_sums(std::int64_t row, std::int64_t column, std::int64_t n, const float* gram) {
  constexpr std::int64_t kFloatsOfALine = 16;
  const std::int64_t rows = std::min(kTileWidth, n - row);
  const std::int64_t columns = std::min(kTileWidth, n - column);
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* sums = gram + linalg::triangle_row(row + i, n) + column;
    for (std::int64_t j = 0; j < columns; j += kFloatsOfALine) __builtin_prefetch(sums + j, 1);
  }
}

void add_gram_bf16(MatrixView<const BFloat16> x, float* gram) {
  const TokenPanels panels = panels_in(Scratch::weight_panels, x);
  for_slices(panels.count(), 1, [&](std::int64_t i, std::int64_t) {
    const BlockUnits units;
    BFloat16* left = bf16_scratch(Scratch::activations, panels.panel_elements());
    float* tile = scratch(Scratch::scores, kTileSize);
    panels.copy_left(i, left);
    for (std::int64_t j = i; j < panels.count(); ++j) {
      fetch_sums(i * kTileWidth, j * kTileWidth, x.columns, gram);
      panels.multiply(left, panels.right(j), tile);
      add_tile(tile, i * kTileWidth, j * kTileWidth, x.columns, gram);
    }
  });
}

void add_products_bf16(MatrixView<const BFloat16> x, MatrixView<const BFloat16> y,
                       MatrixView<float> sums) {
  constexpr float kOne = 1.f;
  const TokenPanels right = panels_in(Scratch::weight_panels, y);
  for_slices(x.columns, kTileWidth, [&](std::int64_t first, std::int64_t count) {
    const BlockUnits units;
    const TokenPanels own = panels_in(Scratch::weight_tile, x.block(0, first, x.rows, count));
    BFloat16* left = bf16_scratch(Scratch::activations, own.panel_elements());
    float* tile = scratch(Scratch::scores, kTileSize);
    own.copy_left(0, left);
    for (std::int64_t j = 0; j < right.count(); ++j) {
      own.multiply(left, right.right(j), tile);
      const std::int64_t columns = std::min(kTileWidth, y.columns - j * kTileWidth);
      for (std::int64_t i = 0; i < count; ++i) {
        kernels::dense_table().add_weighted_rows(tile + i * kTileWidth, kTileWidth, 1, &kOne,
                                                 columns, sums.row(first + i) + j * kTileWidth);
      }
    }
  });
}

// The sums of the squares of wide^T narrow, by its rows and by its columns.
SquareSums squared_products_bf16(MatrixView<const BFloat16> wide,
                                 MatrixView<const BFloat16> narrow) {
  const TokenPanels right = panels_in(Scratch::weight_panels, narrow);
  Matrix by_row(ceil_divide(wide.columns, kSliceColumns), kSliceColumns);
  Matrix by_column(by_row.rows(), right.count() * kTileWidth);
  for_slices(wide.columns, kSliceColumns, [&](std::int64_t first, std::int64_t count) {
    const BlockUnits units;
    const TokenPanels own = panels_in(Scratch::weight_tile, wide.block(0, first, wide.rows, count));
    BFloat16* left = bf16_scratch(Scratch::activations, own.panel_elements());
    float* tile = scratch(Scratch::scores, kTileSize);
    float* rows = by_row.view().row(first / kSliceColumns);
    float* columns = by_column.view().row(first / kSliceColumns);
    for (std::int64_t i = 0; i < own.count(); ++i) {
      own.copy_left(i, left);
      for (std::int64_t j = 0; j < right.count(); ++j) {
        own.multiply(left, right.right(j), tile);
        kernels::dense_table().add_squares(tile, kTileWidth, kTileWidth, rows + i * kTileWidth,
                                           columns + j * kTileWidth);
      }
    }
  });
  SquareSums sums{
      std::vector<double>(by_row.values().begin(), by_row.values().begin() + wide.columns),
      std::vector<double>(static_cast<std::size_t>(narrow.columns))};
  for (std::int64_t slice = 0; slice < by_column.rows(); ++slice) {
    const float* row = by_column.view().row(slice);
    for (std::size_t j = 0; j < sums.columns.size(); ++j) sums.columns[j] += row[j];
  }
  return sums;
}

SquareSums squared_products_f32(MatrixView<const float> dy, MatrixView<const float> x) {
  const std::int64_t rows = dy.columns, columns = x.columns;
  // One row of column sums a slice, added in order at the end.
  Matrix by_row(1, rows), by_slice(ceil_divide(rows, kRows), columns);
  for_slices(rows, kRows, [&](std::int64_t first, std::int64_t count) {
    Matrix g(count, columns);
    linalg::multiply_serial(dy.block(0, first, dy.rows, count), Transpose::yes, x, Transpose::no,
                            g.view());
    kernels::dense_table().add_squares(g.data(), count, columns, by_row.data() + first,
                                       by_slice.view().row(first / kRows));
  });
  SquareSums sums{std::vector<double>(by_row.values().begin(), by_row.values().end()),
                  std::vector<double>(static_cast<std::size_t>(columns))};
  for (std::int64_t slice = 0; slice < by_slice.rows(); ++slice) {
    const float* row = by_slice.view().row(slice);
    for (std::size_t j = 0; j < sums.columns.size(); ++j) sums.columns[j] += row[j];
  }
  return sums;
}

}  // namespace

void add_gram_cpu(const Tensor& x, Tensor& gram) {
  if (has_units_for(x)) {
    add_gram_bf16(view_of(with_whole_rows(x)), gram.data_ptr<float>());
  } else {
    const auto sums = matrix_of(gram);
    linalg::add_gram(matrix_of(as_f32(x)), {sums.data, static_cast<std::size_t>(sums.size())});
  }
}

void add_products_cpu(const Tensor& x, const Tensor& y, Tensor& sums) {
  if (has_units_for(x) && has_units_for(y)) {
    return add_products_bf16(view_of(with_whole_rows(x)), view_of(with_whole_rows(y)),
                             matrix_of(sums));
  }
  const Tensor left = as_f32(x), right = as_f32(y);
  linalg::multiply(matrix_of(left), Transpose::yes, matrix_of(right), Transpose::no,
                   matrix_of(sums), 1.f, 1.f);
}

SquareSums squared_products_cpu(const Tensor& dy, const Tensor& x) {
  if (!has_units_for(dy) || !has_units_for(x)) {
    const Tensor gradient = as_f32(dy), input = as_f32(x);
    return squared_products_f32(matrix_of(gradient), matrix_of(input));
  }
  const Tensor gradient = with_whole_rows(dy), input = with_whole_rows(x);
  if (dy.size(1) >= x.size(1)) return squared_products_bf16(view_of(gradient), view_of(input));
  SquareSums transposed = squared_products_bf16(view_of(input), view_of(gradient));
  return {std::move(transposed.columns), std::move(transposed.rows)};
}

}  // namespace qloft::backend
