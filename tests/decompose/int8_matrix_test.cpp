// Products in 8 bits against those in f32, on sizes that no block divides.

#include "../../src/decompose/int8_matrix.h"

#include <gtest/gtest.h>

#include "cases.h"

namespace qloft::decompose {
namespace {

using linalg::Transpose;

constexpr double kRounding = 0.01;  // of both factors, in root mean square

struct Shape {
  std::int64_t rows, columns, thin;
};
constexpr Shape kShapes[] = {{1, 1, 1}, {16, 64, 12}, {64, 16, 12}, {79, 1053, 13}, {130, 67, 25}};

Int8Matrix in_bytes(const Matrix& a) {
  Int8Matrix out(a.rows(), a.columns());
  for (std::int64_t i = 0; i < a.rows(); i += 64) {
    for (std::int64_t j = 0; j < a.columns(); j += 128) {
      out.set(i, j,
              a.view().block(i, j, std::min<std::int64_t>(64, a.rows() - i),
                             std::min<std::int64_t>(128, a.columns() - j)));
    }
  }
  return out;
}

double relative(const Matrix& found, const Matrix& expected) {
  return linalg::frobenius_norm(difference(found, expected).view()) /
         linalg::frobenius_norm(expected.view());
}

TEST(Int8Matrix, MultipliesFromEitherSideAsF32Does) {
  for (const auto& [rows, columns, thin] : kShapes) {
    const Matrix a = noise(rows, columns), x = noise(columns, thin, 2), u = noise(rows, thin, 3);
    const Int8Matrix bytes = in_bytes(a);
    Matrix found(rows, thin), expected(rows, thin);
    bytes.multiply(x.view(), found.view());
    linalg::multiply(a.view(), Transpose::no, x.view(), Transpose::no, expected.view());
    EXPECT_LT(relative(found, expected), kRounding) << rows << " x " << columns;
    Matrix found_t(columns, thin), expected_t(columns, thin);
    bytes.multiply_transposed(u.view(), found_t.view());
    linalg::multiply(a.view(), Transpose::yes, u.view(), Transpose::no, expected_t.view());
    EXPECT_LT(relative(found_t, expected_t), kRounding) << rows << " x " << columns;
  }
}

TEST(Int8Matrix, WritesIntoRowsThatLieApart) {
  const Matrix a = noise(20, 70), x = noise(70, 5, 2);
  const Int8Matrix bytes = in_bytes(a);
  Matrix dense(20, 5), apart(20, 9);
  bytes.multiply(x.view(), dense.view());
  bytes.multiply(x.view(), apart.view().block(0, 2, 20, 5));
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t k = 0; k < 5; ++k) EXPECT_EQ(apart(i, k + 2), dense(i, k));
    EXPECT_EQ(apart(i, 1), 0.f);
    EXPECT_EQ(apart(i, 7), 0.f);
  }
}

TEST(Int8Matrix, SubtractsAThinProduct) {
  for (const auto& [rows, columns, rank] : {Shape{1, 1, 1}, {17, 40, 64}, {101, 35, 70}}) {
    const Matrix w = noise(rows, columns), b = noise(rows, rank, 2), a = noise(rank, columns, 3);
    Matrix found(rows, columns), expected = w, product(rows, columns);
    subtract_in_bytes(w.view(), b.view(), a.view(), 0.5, found.view());
    linalg::multiply(b.view(), Transpose::no, a.view(), Transpose::no, product.view(), 0.5f);
    for (std::int64_t i = 0; i < w.size(); ++i) expected.data()[i] -= product.data()[i];
    EXPECT_LT(linalg::frobenius_norm(difference(found, expected).view()),
              kRounding * linalg::frobenius_norm(product.view()))
        << rows << " x " << columns;
  }
}

}  // namespace
}  // namespace qloft::decompose
