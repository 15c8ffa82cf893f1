#include <algorithm>

#include "blas.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// Rows of b a piece, so that results depend on the shapes alone; fewer where there are few.
constexpr std::int64_t kRowsAPiece = 128;
constexpr std::int64_t kFewRows = 256;
constexpr std::int64_t kFewRowsAPiece = 32;
// Columns of b a piece where it has few rows.
constexpr std::int64_t kColumnsAPiece = 256;

void check_right(MatrixView<float> b, MatrixView<const float> u) {
  if (u.rows != u.columns || b.columns != u.rows) {
    throw Error({{}, "triangular"}, "shapes disagree: " + shape_text({b.rows, b.columns}) +
                                        " times " + shape_text({u.rows, u.columns}));
  }
  check_extent(b);
  check_extent(u);
}

// One call.
void multiply_by_triangle(MatrixView<float> b, MatrixView<const float> u) {
  expect_blas_buffer();
  qloft_blas_strmm(kRowMajor, kRight, kUpper, kNoTranspose, kNonUnit, static_cast<int>(b.rows),
                   static_cast<int>(b.columns), 1.f, u.data, leading(u), b.data, leading(b));
}

}  // namespace

void multiply_upper(MatrixView<float> b, MatrixView<const float> u) {
  check_right(b, u);
  if (b.rows > kFewRows) {
    parallel_for(b.rows, kRowsAPiece, [&](std::int64_t begin, std::int64_t end) {
      multiply_by_triangle(b.block(begin, 0, end - begin, b.columns), u);
    });
    return;
  }
  Matrix before(b.rows, b.columns);
  for (std::int64_t i = 0; i < b.rows; ++i) std::copy_n(b.row(i), b.columns, &before(i, 0));
  const std::int64_t pieces = ceil_divide(b.columns, kColumnsAPiece);
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t first = (pieces - 1 - piece) * kColumnsAPiece;  // the longest sums first
      const std::int64_t count = std::min(kColumnsAPiece, b.columns - first);
      const MatrixView<float> out = b.block(0, first, b.rows, count);
      multiply_by_triangle(out, u.block(first, first, count, count));
      if (first == 0) continue;
      multiply_serial(before.view().block(0, 0, b.rows, first), Transpose::no,
                      u.block(0, first, first, count), Transpose::no, out, 1.f, 1.f);
    }
  });
}

void solve_upper(MatrixView<float> b, MatrixView<const float> u, Transpose transpose) {
  check_right(b, u);
  const std::int64_t rows = b.rows > kFewRows ? kRowsAPiece : kFewRowsAPiece;
  parallel_for(b.rows, rows, [&](std::int64_t begin, std::int64_t end) {
    const MatrixView<float> part = b.block(begin, 0, end - begin, b.columns);
    expect_blas_buffer();
    qloft_blas_strsm(kRowMajor, kRight, kUpper,
                     transpose == Transpose::yes ? kTranspose : kNoTranspose, kNonUnit,
                     static_cast<int>(part.rows), static_cast<int>(part.columns), 1.f, u.data,
                     leading(u), part.data, leading(part));
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
