#include <algorithm>

#include "blas.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {

bool cholesky(MatrixView<float> a) {
  if (a.rows != a.columns) {
    throw Error({{}, "cholesky"},
                "expected a square matrix, found " + shape_text({a.rows, a.columns}));
  }
  check_extent(a);
  const int n = static_cast<int>(a.rows);
  if (n == 0) return true;
  // A lower triangle by rows is an upper one by columns.
  const int stride = leading(a);
  int info = 0;
  expect_blas_buffer();
  qloft_blas_spotrf("U", &n, a.data, &stride, &info, 1);
  for (std::int64_t i = 0; i < a.rows; ++i) std::fill(a.row(i) + i + 1, a.row(i) + a.columns, 0.f);
  return info == 0;
}

}  // namespace qloft::linalg
