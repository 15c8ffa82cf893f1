#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "blas.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// A product below this many multiplications is one call: starting threads would cost more.
constexpr std::int64_t kSmallProduct = 1 << 20;
// At most this many pieces, so that their ranges depend on the shapes alone.
constexpr std::int64_t kPieces = 16;
constexpr std::int64_t kPieceUnit = 32;

struct Product {
  MatrixView<const float> a;
  Transpose transpose_a;
  MatrixView<const float> b;
  Transpose transpose_b;
  MatrixView<float> c;
  std::int64_t inner;

  MatrixView<const float> a_part(std::int64_t row, std::int64_t rows, std::int64_t k,
                                 std::int64_t count) const {
    return transpose_a == Transpose::no ? a.block(row, k, rows, count)
                                        : a.block(k, row, count, rows);
  }
  MatrixView<const float> b_part(std::int64_t k, std::int64_t count, std::int64_t column,
                                 std::int64_t columns) const {
    return transpose_b == Transpose::no ? b.block(k, column, count, columns)
                                        : b.block(column, k, columns, count);
  }
};

BlasTranspose blas(Transpose transpose) {
  return transpose == Transpose::no ? kNoTranspose : kTranspose;
}

// One single-threaded call.
void call(const Product& p, MatrixView<const float> a, MatrixView<const float> b,
          MatrixView<float> c, std::int64_t inner, float alpha, float beta) {
  expect_blas_buffer();
  qloft_blas_sgemm(kRowMajor, blas(p.transpose_a), blas(p.transpose_b), static_cast<int>(c.rows),
                   static_cast<int>(c.columns), static_cast<int>(inner), alpha, a.data, leading(a),
                   b.data, leading(b), beta, c.data, leading(c));
}

std::int64_t piece(std::int64_t extent) {
  return round_up(std::max(kPieceUnit, ceil_divide(extent, kPieces)), kPieceUnit);
}

// For a small result of a long inner dimension: partial sums over pieces of it, added in order.
void multiply_by_inner_pieces(const Product& p, float alpha, float beta) {
  const std::int64_t step = piece(p.inner);
  const std::int64_t pieces = ceil_divide(p.inner, step);
  std::vector<Matrix> partial(static_cast<std::size_t>(pieces));
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t k = i * step;
      const std::int64_t count = std::min(step, p.inner - k);
      Matrix& sum = partial[static_cast<std::size_t>(i)];
      sum = Matrix(p.c.rows, p.c.columns);
      call(p, p.a_part(0, p.c.rows, k, count), p.b_part(k, count, 0, p.c.columns), sum.view(),
           count, alpha, 0.f);
    }
  });
  for (std::int64_t i = 0; i < p.c.rows; ++i) {
    float* out = p.c.row(i);
    for (std::int64_t j = 0; j < p.c.columns; ++j) {
      float sum = beta == 0.f ? 0.f : beta * out[j];
      for (const Matrix& part : partial) sum += part(i, j);
      out[j] = sum;
    }
  }
}

}  // namespace

void multiply(MatrixView<const float> a, Transpose transpose_a, MatrixView<const float> b,
              Transpose transpose_b, MatrixView<float> c, float alpha, float beta) {
  const ProductShape shape = product_shape(a, transpose_a, b, transpose_b, c);
  const std::int64_t rows = shape.rows, inner = shape.inner, columns = shape.columns;
  if (rows == 0 || columns == 0) return;
  const Product product{a, transpose_a, b, transpose_b, c, inner};
  if (rows * columns <= kSmallProduct / std::max<std::int64_t>(1, inner)) {
    call(product, a, b, c, inner, alpha, beta);
  } else if (inner >= 4 * std::max(rows, columns)) {
    multiply_by_inner_pieces(product, alpha, beta);
  } else if (rows >= columns) {
    parallel_for(rows, piece(rows), [&](std::int64_t begin, std::int64_t end) {
      call(product, product.a_part(begin, end - begin, 0, inner), b,
           c.block(begin, 0, end - begin, columns), inner, alpha, beta);
    });
  } else {
    parallel_for(columns, piece(columns), [&](std::int64_t begin, std::int64_t end) {
      call(product, a, product.b_part(0, inner, begin, end - begin),
           c.block(0, begin, rows, end - begin), inner, alpha, beta);
    });
  }
}

double squared_norm(MatrixView<const float> a) {
  constexpr std::int64_t kRowsPerPiece = 64;
  if (a.rows == 0 || a.columns == 0) return 0.0;
  std::vector<double> sums(static_cast<std::size_t>(ceil_divide(a.rows, kRowsPerPiece)));
  parallel_for(a.rows, kRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kLanes = 8;
    double lanes[kLanes] = {};
    for (std::int64_t i = begin; i < end; ++i) {
      const float* row = a.row(i);
      std::int64_t j = 0;
      for (; j + kLanes <= a.columns; j += kLanes) {
        for (std::int64_t lane = 0; lane < kLanes; ++lane) {
          const double value = row[j + lane];
          lanes[lane] += value * value;
        }
      }
      for (; j < a.columns; ++j) lanes[0] += static_cast<double>(row[j]) * row[j];
    }
    double sum = 0.0;
    for (const double lane : lanes) sum += lane;
    sums[static_cast<std::size_t>(begin / kRowsPerPiece)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

double frobenius_norm(MatrixView<const float> a) {
  return std::sqrt(squared_norm(a));
}

}  // namespace qloft::linalg
