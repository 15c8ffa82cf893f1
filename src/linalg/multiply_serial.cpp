#include "blas.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {

void multiply_serial(MatrixView<const float> a, Transpose transpose_a, MatrixView<const float> b,
                     Transpose transpose_b, MatrixView<float> c, float alpha, float beta) {
  const std::int64_t rows = transpose_a == Transpose::no ? a.rows : a.columns;
  const std::int64_t inner = transpose_a == Transpose::no ? a.columns : a.rows;
  const std::int64_t inner_b = transpose_b == Transpose::no ? b.rows : b.columns;
  const std::int64_t columns = transpose_b == Transpose::no ? b.columns : b.rows;
  if (inner != inner_b || c.rows != rows || c.columns != columns) {
    throw Error({{}, "multiply"}, "shapes disagree: " + shape_text({rows, inner}) + " times " +
                                      shape_text({inner_b, columns}) + " into " +
                                      shape_text({c.rows, c.columns}));
  }
  check_extent(a);
  check_extent(b);
  check_extent(c);
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
