#include <algorithm>

#include "blas.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// Columns that are factored at a time, and what is one call.
constexpr std::int64_t kFactorColumns = 256;
constexpr std::int64_t kSmallFactor = 2 * kFactorColumns;

bool factor_at_once(MatrixView<float> a) {
  // A lower triangle by rows is an upper one by columns.
  const int n = static_cast<int>(a.rows), stride = leading(a);
  int info = 0;
  expect_blas_buffer();
  qloft_blas_spotrf("U", &n, a.data, &stride, &info, 1);
  return info == 0;
}

// b <- b l^-T.
void solve_below(MatrixView<float> b, MatrixView<const float> l) {
  expect_blas_buffer();
  qloft_blas_strsm(kRowMajor, kRight, kLower, kTranspose, kNonUnit, static_cast<int>(b.rows),
                   static_cast<int>(b.columns), 1.f, l.data, leading(l), b.data, leading(b));
}

// Block of columns by block: its triangle, what lies below that, and what both take off the rest.
bool factor_by_blocks(MatrixView<float> a) {
  for (std::int64_t first = 0; first < a.rows; first += kFactorColumns) {
    const std::int64_t count = std::min(kFactorColumns, a.rows - first), next = first + count;
    const MatrixView<float> diagonal = a.block(first, first, count, count);
    if (!factor_at_once(diagonal)) return false;
    const std::int64_t rest = a.rows - next;
    const MatrixView<float> below = a.block(next, first, rest, count);
    parallel_for(rest, kFactorColumns / 2, [&](std::int64_t begin, std::int64_t end) {
      solve_below(below.block(begin, 0, end - begin, count), diagonal);
    });
    const std::int64_t blocks = ceil_divide(rest, kFactorColumns);
    parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) {
        const std::int64_t row = (blocks - 1 - block) * kFactorColumns;  // the longest first
        const std::int64_t rows = std::min(kFactorColumns, rest - row);
        multiply_serial(below.block(row, 0, rows, count), Transpose::no,
                        below.block(0, 0, row + rows, count), Transpose::yes,
                        a.block(next + row, next, rows, row + rows), -1.f, 1.f);
      }
    });
  }
  return true;
}

}  // namespace

bool cholesky(MatrixView<float> a) {
  if (a.rows != a.columns) {
    throw Error({{}, "cholesky"},
                "expected a square matrix, found " + shape_text({a.rows, a.columns}));
  }
  check_extent(a);
  if (a.rows == 0) return true;
  const bool positive = a.rows <= kSmallFactor ? factor_at_once(a) : factor_by_blocks(a);
  for (std::int64_t i = 0; i < a.rows; ++i) std::fill(a.row(i) + i + 1, a.row(i) + a.columns, 0.f);
  return positive;
}

}  // namespace qloft::linalg
