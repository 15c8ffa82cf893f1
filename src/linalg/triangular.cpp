#include <algorithm>

#include "blas.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// Rows of b a piece, so that results depend on the shapes alone.
constexpr std::int64_t kRowsAPiece = 128;

void check_right(MatrixView<float> b, MatrixView<const float> u) {
  if (u.rows != u.columns || b.columns != u.rows) {
    throw Error({{}, "triangular"}, "shapes disagree: " + shape_text({b.rows, b.columns}) +
                                        " times " + shape_text({u.rows, u.columns}));
  }
  check_extent(b);
  check_extent(u);
}

}  // namespace

void multiply_upper(MatrixView<float> b, MatrixView<const float> u) {
  check_right(b, u);
  parallel_for(b.rows, kRowsAPiece, [&](std::int64_t begin, std::int64_t end) {
    const MatrixView<float> part = b.block(begin, 0, end - begin, b.columns);
    expect_blas_buffer();
    qloft_blas_strmm(kRowMajor, kRight, kUpper, kNoTranspose, kNonUnit, static_cast<int>(part.rows),
                     static_cast<int>(part.columns), 1.f, u.data, leading(u), part.data,
                     leading(part));
  });
}

void solve_upper(MatrixView<float> b, MatrixView<const float> u) {
  check_right(b, u);
  parallel_for(b.rows, kRowsAPiece, [&](std::int64_t begin, std::int64_t end) {
    const MatrixView<float> part = b.block(begin, 0, end - begin, b.columns);
    expect_blas_buffer();
    qloft_blas_strsm(kRowMajor, kRight, kUpper, kNoTranspose, kNonUnit, static_cast<int>(part.rows),
                     static_cast<int>(part.columns), 1.f, u.data, leading(u), part.data,
                     leading(part));
  });
}

bool upper_cholesky(Matrix& a) {
  // With rows and columns reversed, a = u u^T is the lower factorization.
  std::reverse(a.values().begin(), a.values().end());
  const bool positive = cholesky(a.view());
  std::reverse(a.values().begin(), a.values().end());
  return positive;
}

}  // namespace qloft::linalg
