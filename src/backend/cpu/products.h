#pragma once
// Weights on the CPU: their rows as f32, and products with few rows of activations.

#include <ATen/core/Tensor.h>

#include "qloft/backend/weight.h"
#include "qloft/core/matrix.h"

namespace qloft::backend {

// Rows [first, first + count) as f32, in the calling thread: a view into a dense f32 weight, else
// written to `buffer`, which has room for count * columns values.
MatrixView<const float> read_rows(const Weight& weight, std::int64_t first, std::int64_t count,
                                  float* buffer);

// The same of out.rows rows and columns [column, column + out.columns) alone; column is a multiple
// of 32.
MatrixView<const float> read_tile(const Weight& weight, std::int64_t first, std::int64_t column,
                                  MatrixView<float> out);

// Up to this many rows of x a weight is read once, as it is stored, by matrix-vector kernels
// (decoding).
inline constexpr std::int64_t kFewRows = 4;
// The same of a dense matrix in f32: of so many its reading is what takes the time.
inline constexpr std::int64_t kFewDenseRows = 8;
// y = scale * x weight^T (+ y) for up to kFewDenseRows rows x [n, columns], contiguous; weight
// [rows, columns] in f32 or bf16, contiguous, on the CPU. A row is the same to the bit whatever
// rows stand beside it.
void multiply_few_rows(MatrixView<const float> x, const at::Tensor& weight, MatrixView<float> y,
                       float scale, bool add);

// The operations that qloft/backend/weight.h describes.
at::Tensor multiply_transposed_cpu(const at::Tensor& x, const Weight& weight);
at::Tensor multiply_cpu(const at::Tensor& y, const Weight& weight);
at::Tensor look_up_cpu(const Weight& weight, const at::Tensor& ids, at::ScalarType dtype);

}  // namespace qloft::backend
