#pragma once
// The root of a Gram matrix in 8 bits, for GPTQ's products.

#include <cstdint>
#include <optional>
#include <vector>

#include "discount.h"
#include "qloft/kernels/int8.h"

namespace qloft::decompose {

// What of an upper triangular root [n, n] lies above its diagonal blocks of kFeedbackColumns, with
// scales for every 64 elements down a column (kernels/int8.h).
class RootBytes {
 public:
  explicit RootBytes(MatrixView<const float> root);

  // Columns [column, column + kInt8Columns), column a multiple of kInt8Columns: one block for each
  // kInt8Block rows before the block of kFeedbackColumns that they are in.
  const kernels::Int8Weights* tile(std::int64_t column) const {
    return weights_.data() + offset(column);
  }

 private:
  static std::size_t offset(std::int64_t column);

  std::vector<kernels::Int8Weights, LargePageAllocator<kernels::Int8Weights>> weights_;
};

// The errors of a piece of a matrix's rows, and their product with the root, block of columns by
// block. Matrices are transposed: a column of the errors is a row here.
class PieceErrors {
 public:
  // `bytes` may be null: products in f32. Both outlive it.
  PieceErrors(std::int64_t most_rows, MatrixView<const float> root, const RootBytes* bytes);
  // Without errors, for another piece of rows, no more than it was made for.
  void start(std::int64_t rows) { rows_ = rows; }

  // sums [count, rows] = the part of (E R)^T of columns [first, first + count) that the columns
  // before `first` make, which were taken.
  void product(std::int64_t first, std::int64_t count, MatrixView<float> sums) const;
  // e [count, rows]: columns [first, first + count).
  void take(std::int64_t first, MatrixView<const float> e);

 private:
  std::int64_t rows_;
  MatrixView<const float> root_;
  const RootBytes* bytes_;
  Matrix errors_;            // [n, rows]; in f32
  std::int64_t blocks_ = 0;  // of a row
  std::vector<kernels::Int8Activations, LargePageAllocator<kernels::Int8Activations>>
      activations_;  // [rows / kInt8Rows, blocks]
};

// w [m, n] in coordinates whose root these are, to `out` [m, n] where there is one, which is not w;
// its squared norm there.
double enter_by_bytes(const Coordinates& coordinates, const RootBytes& bytes,
                      MatrixView<const float> w, std::optional<MatrixView<float>> out = {});

}  // namespace qloft::decompose
