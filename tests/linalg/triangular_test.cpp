#include <gtest/gtest.h>

#include "matrices.h"
#include "qloft/linalg.h"

namespace qloft::linalg {
namespace {

double distance(const Matrix& a, const Matrix& b) {
  Matrix rest = a;
  for (std::int64_t i = 0; i < a.size(); ++i) rest.data()[i] -= b.data()[i];
  return frobenius_norm(rest.view()) / frobenius_norm(b.view());
}

Matrix upper(std::int64_t n) {
  Matrix u = normal_matrix(n, n, 3);
  const float size = n > 200 ? 0.2f : 1.f;  // what is far from singular at any order
  for (float& value : u.values()) value *= size;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < i; ++j) u(i, j) = 0.f;
    u(i, i) = 4.f + std::abs(u(i, i));
  }
  return u;
}

TEST(UpperCholesky, GivesAnUpperFactorWhoseProductIsTheMatrix) {
  for (const std::int64_t n : {1, 2, 7, 65, 200, 600}) {
    const Matrix x = normal_matrix(n + 50, n, 1);
    const Matrix a = product(x.view(), true, x.view(), false);
    Matrix u = a;
    ASSERT_TRUE(upper_cholesky(u)) << n;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < i; ++j) ASSERT_EQ(u(i, j), 0.f);
    }
    EXPECT_LT(distance(product(u.view(), false, u.view(), true), a), 1e-5) << n;
  }
}

TEST(UpperCholesky, RefusesAMatrixThatIsNotPositiveDefinite) {
  Matrix a(2, 2);
  a(0, 0) = a(1, 1) = 1.f;
  a(0, 1) = a(1, 0) = 2.f;
  EXPECT_FALSE(upper_cholesky(a));
}

// Its first column is the last that is factored, long after the first block.
TEST(UpperCholesky, RefusesALargeMatrixThatIsNotPositiveDefinite) {
  Matrix a(600, 600);
  for (std::int64_t i = 0; i < 600; ++i) a(i, i) = i == 0 ? -1.f : 1.f;
  EXPECT_FALSE(upper_cholesky(a));
}

TEST(MultiplyUpper, EqualsTheFullProductAndSolveUpperUndoesIt) {
  for (const std::int64_t rows : {1, 5, 33, 300}) {
    for (const std::int64_t n : {1, 33, 130, 530}) {
      const Matrix u = upper(n), b = normal_matrix(rows, n, 2);
      Matrix c = b;
      multiply_upper(c.view(), u.view());
      EXPECT_LT(distance(c, product(b.view(), false, u.view(), false)), 1e-6);
      solve_upper(c.view(), u.view());
      EXPECT_LT(distance(c, b), 1e-5);
      Matrix d = product(b.view(), false, u.view(), true);
      solve_upper(d.view(), u.view(), Transpose::yes);
      EXPECT_LT(distance(d, b), 1e-5);
    }
  }
}

TEST(MultiplyUpper, RefusesShapesThatDisagree) {
  Matrix b(3, 4), u(5, 5);
  EXPECT_THROW(multiply_upper(b.view(), u.view()), Error);
  EXPECT_THROW(solve_upper(b.view(), u.view()), Error);
}

}  // namespace
}  // namespace qloft::linalg
