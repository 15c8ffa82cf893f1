#include "statistics.h"

#include <ATen/ops/mm.h>

#include <algorithm>

#include "bf16.h"
#include "one_thread.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/kernels.h"
#include "qloft/kernels/dense.h"
#include "qloft/linalg.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using linalg::Transpose;

// Columns of a block of the triangle that bf16 units multiply.
constexpr std::int64_t kBlock = 512;
// Rows of g that a thread holds at once.
constexpr std::int64_t kRows = 64;
constexpr std::int64_t kRowsOfBf16Units = 256;

void add_gram_bf16(const Tensor& x, Tensor& gram) {
  const std::int64_t n = x.size(1), blocks = ceil_divide(n, kBlock);
  for_slices(blocks * blocks, 1, [&](std::int64_t task, std::int64_t) {
    const std::int64_t row = task / blocks * kBlock, column = task % blocks * kBlock;
    if (column < row) return;
    const std::int64_t rows = std::min(kBlock, n - row), columns = std::min(kBlock, n - column);
    gram.narrow(0, row, rows)
        .narrow(1, column, columns)
        .add_(at::mm(x.narrow(1, row, rows).t(), x.narrow(1, column, columns)));
  });
}

// Columns [first, first + g.rows()) of dy, transposed, times x.
void multiply_slice(const Tensor& dy, const Tensor& x, std::int64_t first, MatrixView<float> g) {
  linalg::multiply_serial(matrix_of(dy).block(0, first, dy.size(0), g.rows), Transpose::yes,
                          matrix_of(x), Transpose::no, g);
}

void multiply_slice_bf16(const Tensor& dy, const Tensor& x, std::int64_t first,
                         MatrixView<float> g) {
  const Tensor product = at::mm(dy.narrow(1, first, g.rows).t(), x).contiguous();
  kernels::table().bf16_to_f32(reinterpret_cast<const BFloat16*>(product.data_ptr<at::BFloat16>()),
                               g.size(), g.data);
}

}  // namespace

void add_gram_cpu(const Tensor& x, Tensor& gram) {
  if (runs_in_bf16(x)) {
    add_gram_bf16(x, gram);
  } else {
    linalg::add_gram(matrix_of(as_f32(x)), matrix_of(gram));
  }
}

SquareSums squared_products_cpu(const Tensor& dy, const Tensor& x) {
  const bool bf16 = runs_in_bf16(dy) && runs_in_bf16(x);
  const Tensor gradient = bf16 ? dy : as_f32(dy), input = bf16 ? x : as_f32(x);
  const std::int64_t rows = dy.size(1), columns = x.size(1);
  const std::int64_t at_once = bf16 ? kRowsOfBf16Units : kRows;
  SquareSums sums{std::vector<double>(static_cast<std::size_t>(rows)),
                  std::vector<double>(static_cast<std::size_t>(columns))};
  // One row of column sums a slice, added in order at the end.
  Matrix by_slice(ceil_divide(rows, at_once), columns);
  for_slices(rows, at_once, [&](std::int64_t first, std::int64_t count) {
    Matrix g(count, columns);
    (bf16 ? multiply_slice_bf16 : multiply_slice)(gradient, input, first, g.view());
    float* slice = by_slice.view().row(first / at_once);
    for (std::int64_t i = 0; i < count; ++i) {
      const float* row = g.view().row(i);
      float sum = 0.f;
      kernels::dense_table().rows_dot_f32(row, columns, 1, row, columns, &sum);
      sums.rows[static_cast<std::size_t>(first + i)] = sum;
      for (std::int64_t j = 0; j < columns; ++j) slice[j] += row[j] * row[j];
    }
  });
  for (std::int64_t slice = 0; slice < by_slice.rows(); ++slice) {
    const float* row = by_slice.view().row(slice);
    for (std::int64_t j = 0; j < columns; ++j) sums.columns[static_cast<std::size_t>(j)] += row[j];
  }
  return sums;
}

}  // namespace qloft::backend
