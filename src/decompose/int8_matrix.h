#pragma once
// A matrix in 8 bits, made to be multiplied by thin ones from either side.

#include <cstdint>
#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/kernels/int8.h"

namespace qloft::decompose {

// Elements have scales by blocks of 64 along the sum of either product (kernels/int8.h), so that
// each is off by at most 1/254 of the largest magnitude in its block.
class Int8Matrix {
 public:
  Int8Matrix(std::int64_t rows, std::int64_t columns);
  // The elements from (row, column) on, where blocks begin; `part` holds whole blocks, or ends with
  // the matrix.
  void set(std::int64_t row, std::int64_t column, MatrixView<const float> part);

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }

  // out [rows, k] = a x, x [columns, k], and out [columns, k] = a^T x, x [rows, k], on all threads;
  // x is rounded to 8 bits likewise. The same bits for any number of threads.
  void multiply(MatrixView<const float> x, MatrixView<float> out) const;
  void multiply_transposed(MatrixView<const float> x, MatrixView<float> out) const;

 private:
  using Blocks = std::vector<kernels::Int8Weights, LargePageAllocator<kernels::Int8Weights>>;
  static void multiply_blocks(const Blocks& w, MatrixView<const float> x, MatrixView<float> out);

  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t blocks_along_columns_;
  std::int64_t blocks_along_rows_;
  // For 16 rows after the other the blocks along the columns, and for 16 columns those along the
  // rows.
  Blocks by_rows_;
  Blocks by_columns_;
};

// out = w - scale * b a, b [rows, rank] and a [rank, columns] rounded to 8 bits; on all threads.
void subtract_in_bytes(MatrixView<const float> w, MatrixView<const float> b,
                       MatrixView<const float> a, double scale, MatrixView<float> out);

}  // namespace qloft::decompose
