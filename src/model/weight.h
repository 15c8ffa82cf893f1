#pragma once
// A weight matrix as the model holds it, and its products with activations.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/quant.h"

namespace qloft::model {

// A matrix [rows, columns], dense (f32, bf16 or f16) or packed. On the CPU it is read a tile of
// rows at a time, so that a 16-bit or packed weight is never held as f32 as a whole.
struct Weight {
  at::Tensor dense;                                   // undefined where packed
  std::shared_ptr<const quant::PackedMatrix> packed;  // null where dense
  bool int8 = false;  // its products on the CPU are in 8 bits (int8.h)

  bool defined() const { return packed != nullptr || dense.defined(); }
  std::int64_t rows() const { return packed ? packed->rows() : dense.size(0); }
  std::int64_t columns() const { return packed ? packed->columns() : dense.size(1); }
};

// Rows [first, first + count) as f32, in the calling thread: a view into a dense f32 weight, else
// written to `scratch`, which has room for count * columns values.
MatrixView<const float> read_rows(const Weight& weight, std::int64_t first, std::int64_t count,
                                  float* scratch);

// The same of scratch.rows rows and columns [column, column + scratch.columns) alone; column is a
// multiple of 32.
MatrixView<const float> read_tile(const Weight& weight, std::int64_t first, std::int64_t column,
                                  MatrixView<float> scratch);

// Up to this many rows of x a weight is read once, as it is stored, by matrix-vector kernels
// (decoding).
inline constexpr std::int64_t kFewRows = 4;
// y = scale * x weight^T (+ y) for few rows x [n, columns]; weight [rows, columns] in f32 or bf16,
// contiguous, on the CPU.
void multiply_few_rows(MatrixView<const float> x, const at::Tensor& weight, MatrixView<float> y,
                       float scale, bool add);

// Both take activations [n, ...] in f32 or bf16, contiguous, and return the same type. On the CPU
// bf16 products run in bf16 where the processor has units for it, else in f32 with one rounding at
// the end.
// x [n, columns] -> x * weight^T [n, rows].
at::Tensor multiply_transposed(const at::Tensor& x, const Weight& weight);
// The same for each of several weights; few rows of x meet packed weights all at once.
std::vector<at::Tensor> multiply_transposed(const at::Tensor& x,
                                            std::span<const Weight* const> weights);
// y [n, rows] -> y * weight [n, columns].
at::Tensor multiply(const at::Tensor& y, const Weight& weight);

}  // namespace qloft::model
