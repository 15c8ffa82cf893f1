#include "blas.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {

void multiply_serial(MatrixView<const float> a, Transpose transpose_a, MatrixView<const float> b,
                     Transpose transpose_b, MatrixView<float> c, float alpha, float beta) {
  const auto [rows, inner, columns] = product_shape(a, transpose_a, b, transpose_b, c);
  if (rows == 0 || columns == 0) return;
  const auto blas = [](Transpose transpose) {
    return transpose == Transpose::no ? kNoTranspose : kTranspose;
  };
  expect_blas_buffer();
  qloft_blas_sgemm(kRowMajor, blas(transpose_a), blas(transpose_b), static_cast<int>(rows),
                   static_cast<int>(columns), static_cast<int>(inner), alpha, a.data, leading(a),
                   b.data, leading(b), beta, c.data, leading(c));
}

}  // namespace qloft::linalg
