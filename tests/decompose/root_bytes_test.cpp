// GPTQ's products of errors with the root, in f32 and in 8 bits, on sizes that no block divides.

#include "../../src/decompose/root_bytes.h"

#include <gtest/gtest.h>

#include <optional>

#include "cases.h"

namespace qloft::decompose {
namespace {

Matrix upper(std::int64_t n) {
  Matrix root = noise(n, n, 5);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < i; ++j) root(i, j) = 0.f;
  }
  return root;
}

// (E R)^T of each block's columns by the columns before the block.
Matrix by_definition(const Matrix& errors, const Matrix& root) {
  Matrix out(root.columns(), errors.rows());
  for (std::int64_t p = 0; p < root.columns(); ++p) {
    for (std::int64_t k = 0; k < p / kFeedbackColumns * kFeedbackColumns; ++k) {
      for (std::int64_t i = 0; i < errors.rows(); ++i) out(p, i) += errors(i, k) * root(k, p);
    }
  }
  return out;
}

Matrix in_blocks(const Matrix& errors, const Matrix& root, const RootBytes* bytes) {
  const std::int64_t rows = errors.rows(), columns = root.columns();
  Matrix out(columns, rows);
  PieceErrors piece(rows, root.view(), bytes);
  piece.start(rows);
  for (std::int64_t first = 0; first < columns; first += kFeedbackColumns) {
    const std::int64_t count = std::min(kFeedbackColumns, columns - first);
    piece.product(first, count, out.view().block(first, 0, count, rows));
    Matrix e(count, rows);
    for (std::int64_t p = 0; p < count; ++p) {
      for (std::int64_t i = 0; i < rows; ++i) e(p, i) = errors(i, first + p);
    }
    piece.take(first, e.view());
  }
  return out;
}

TEST(PieceErrors, AreMultipliedWithTheRootBlockByBlock) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {5, 64}, {12, 65}, {31, 200}, {40, 259}}) {
    const Matrix errors = noise(rows, columns), root = upper(columns);
    const Matrix expected = by_definition(errors, root);
    const RootBytes bytes(root.view());
    for (const RootBytes* used : {static_cast<const RootBytes*>(nullptr), &bytes}) {
      const Matrix found = in_blocks(errors, root, used);
      const double rounding = used == nullptr ? 1e-5 : 0.02;
      EXPECT_LE(linalg::frobenius_norm(difference(found, expected).view()),
                rounding * linalg::frobenius_norm(expected.view()))
          << rows << " x " << columns << (used == nullptr ? "" : " in 8 bits");
    }
  }
}

TEST(EnterByBytes, TakesAMatrixToCoordinatesAndTellsItsNormThere) {
  const Matrix weight = noise(300, 130);
  Coordinates coordinates;
  coordinates.root = upper(130);
  for (std::int64_t j = 0; j < 130; ++j) coordinates.order.push_back(j * 7 % 130);
  for (std::int64_t i = 0; i < 300; ++i) {
    coordinates.rows.push_back(1.f + static_cast<float>(i % 3));
  }
  Matrix expected = weight;
  enter(coordinates, expected.view());
  const RootBytes bytes(coordinates.root.view());
  Matrix found(300, 130);
  const double squared = enter_by_bytes(coordinates, bytes, weight.view(), found.view());
  EXPECT_LE(linalg::frobenius_norm(difference(found, expected).view()),
            0.02 * linalg::frobenius_norm(expected.view()));
  EXPECT_NEAR(squared / linalg::squared_norm(expected.view()), 1.0, 1e-3);
  EXPECT_EQ(enter_by_bytes(coordinates, bytes, weight.view()), squared);
}

}  // namespace
}  // namespace qloft::decompose
