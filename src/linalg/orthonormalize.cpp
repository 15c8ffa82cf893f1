#include <algorithm>
#include <cmath>
#include <vector>

#include "blas.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// A pivot of the Cholesky factor of the correlation matrix is the distance of a unit column from
// the span of those before it. Below this the f32 columns themselves do not say where the rest
// points.
constexpr double kLeastPivot = 1e-4;
// Above this one pass leaves columns orthonormal to f32 rounding.
constexpr double kSafePivot = 0.1;
constexpr std::int64_t kRowPieces = 16;
constexpr std::int64_t kRowsAtOnce = 128;

// The upper triangle of a^T a in f64, the partial sums of row ranges added in order.
std::vector<double> gram(MatrixView<const float> a) {
  const std::int64_t n = a.columns;
  const std::int64_t step = std::max(kRowsAtOnce, ceil_divide(a.rows, kRowPieces));
  std::vector<std::vector<double>> partial(static_cast<std::size_t>(ceil_divide(a.rows, step)));
  parallel_for(a.rows, step, [&](std::int64_t begin, std::int64_t end) {
    auto& sum = partial[static_cast<std::size_t>(begin / step)];
    sum.assign(static_cast<std::size_t>(n * n), 0.0);
    std::vector<double> rows(static_cast<std::size_t>(kRowsAtOnce * n));
    for (std::int64_t i = begin; i < end; i += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, end - i);
      for (std::int64_t k = 0; k < count; ++k) {
        std::copy_n(a.row(i + k), n, rows.data() + k * n);
      }
      expect_blas_buffer();
      qloft_blas_dsyrk(kRowMajor, kUpper, kTranspose, static_cast<int>(n), static_cast<int>(count),
                       1.0, rows.data(), static_cast<int>(n), 1.0, sum.data(), static_cast<int>(n));
    }
  });
  for (std::size_t i = 1; i < partial.size(); ++i) {
    for (std::size_t j = 0; j < partial[0].size(); ++j) partial[0][j] += partial[i][j];
  }
  return std::move(partial[0]);
}

enum class Pass { impossible, rough, exact };

// One pass of Cholesky QR: a <- a * r^-1. Impossible, with `a` as it was, where the columns are too
// nearly dependent or not finite; rough where another pass must follow.
Pass cholesky_qr(MatrixView<float> a, Matrix& r) {
  const std::int64_t n = a.columns;
  std::vector<double> g = gram(a);
  const auto at = [n](std::int64_t i, std::int64_t j) {
    return static_cast<std::size_t>(i * n + j);
  };
  std::vector<double> length(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    length[static_cast<std::size_t>(i)] = std::sqrt(g[at(i, i)]);
    if (!(length[static_cast<std::size_t>(i)] > 0.0) ||
        !std::isfinite(length[static_cast<std::size_t>(i)])) {
      return Pass::impossible;
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i; j < n; ++j) {
      g[at(i, j)] /= length[static_cast<std::size_t>(i)] * length[static_cast<std::size_t>(j)];
    }
  }
  const int order = static_cast<int>(n);
  int info = 0;
  // An upper triangle by rows is a lower one by columns.
  expect_blas_buffer();
  qloft_blas_dpotrf("L", &order, g.data(), &order, &info, 1);
  if (info != 0) return Pass::impossible;
  double least = 1.0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!(g[at(i, i)] > kLeastPivot)) return Pass::impossible;
    least = std::min(least, g[at(i, i)]);
  }
  r = Matrix(n, n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i; j < n; ++j) {
      r(i, j) = static_cast<float>(g[at(i, j)] * length[static_cast<std::size_t>(j)]);
      if (!std::isfinite(r(i, j)) || r(i, i) == 0.f) return Pass::impossible;
    }
  }
  parallel_for(a.rows, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    expect_blas_buffer();
    qloft_blas_strsm(kRowMajor, kRight, kUpper, kNoTranspose, kNonUnit,
                     static_cast<int>(end - begin), order, 1.f, r.data(), order, a.row(begin),
                     leading(a));
  });
  return least > kSafePivot ? Pass::exact : Pass::rough;
}

// LAPACK's QR with the diagonal of r made non-negative, so that columns that are orthonormal
// already stay as they are.
Matrix householder_qr(MatrixView<float> a) {
  const int m = static_cast<int>(a.rows);
  const int n = static_cast<int>(a.columns);
  Matrix columns(a.columns, a.rows);  // a by columns
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) columns(j, i) = a(i, j);
  }
  std::vector<float> tau(static_cast<std::size_t>(n));
  const int work_size = std::max(1, n * 64);
  std::vector<float> work(static_cast<std::size_t>(work_size));
  int info = 0;
  expect_blas_buffer();
  qloft_blas_sgeqrf(&m, &n, columns.data(), &m, tau.data(), work.data(), &work_size, &info);
  Matrix r(n, n);
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = 0; i <= j; ++i) r(i, j) = columns(j, i);
  }
  qloft_blas_sorgqr(&m, &n, &n, columns.data(), &m, tau.data(), work.data(), &work_size, &info);
  for (std::int64_t j = 0; j < n; ++j) {
    const float sign = r(j, j) < 0.f ? -1.f : 1.f;
    for (std::int64_t k = j; k < n; ++k) r(j, k) *= sign;
    for (std::int64_t i = 0; i < a.rows; ++i) a(i, j) = sign * columns(j, i);
  }
  return r;
}

}  // namespace

Matrix orthonormalize(MatrixView<float> a) {
  if (a.rows < a.columns) {
    throw Error({{}, "orthonormalize"}, "expected at least as many rows as columns, found " +
                                            shape_text({a.rows, a.columns}));
  }
  check_extent(a);
  if (a.columns == 0) return {};
  Matrix first;
  const Pass pass = cholesky_qr(a, first);
  if (pass == Pass::impossible) return householder_qr(a);
  if (pass == Pass::exact) return first;
  Matrix second;
  if (cholesky_qr(a, second) == Pass::impossible) second = householder_qr(a);
  Matrix r(a.columns, a.columns);
  multiply(second.view(), Transpose::no, first.view(), Transpose::no, r.view());
  return r;
}

}  // namespace qloft::linalg
