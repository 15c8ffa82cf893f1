#include <gtest/gtest.h>

#include "matrices.h"

namespace qloft::linalg {
namespace {

void expect_qr(const Matrix& before, double tolerance) {
  Matrix q = before;
  const Matrix r = orthonormalize(q.view());
  EXPECT_LT(distance_from_orthonormal(q.view()), 5e-6);
  EXPECT_LT(largest_difference(product(q.view(), false, r.view(), false).view(), before.view()),
            tolerance);
  for (std::int64_t i = 0; i < r.rows(); ++i) {
    for (std::int64_t j = 0; j < i; ++j) ASSERT_EQ(r(i, j), 0.f);
  }
}

TEST(Orthonormalize, SplitsWellConditionedColumns) {
  expect_qr(normal_matrix(2000, 40), 1e-4);
  expect_qr(normal_matrix(7, 7), 1e-4);
  expect_qr(normal_matrix(5, 1), 1e-4);
}

TEST(Orthonormalize, SurvivesColumnsOfVeryDifferentLength) {
  Matrix a = normal_matrix(500, 6);
  for (std::int64_t i = 0; i < 500; ++i) {
    a(i, 1) *= 1e-12f;
    a(i, 4) *= 1e12f;
  }
  Matrix q = a;
  orthonormalize(q.view());
  EXPECT_LT(distance_from_orthonormal(q.view()), 5e-6);
}

TEST(Orthonormalize, SurvivesNearlyDependentColumns) {
  Matrix a = normal_matrix(400, 5);
  for (std::int64_t i = 0; i < 400; ++i) a(i, 3) = a(i, 0) + 1e-6f * a(i, 3);
  expect_qr(a, 1e-4);
}

TEST(Orthonormalize, CompletesRankDeficientColumns) {
  Matrix a = normal_matrix(50, 4);
  for (std::int64_t i = 0; i < 50; ++i) {
    a(i, 2) = 2.f * a(i, 1);
    a(i, 3) = 0.f;
  }
  expect_qr(a, 1e-4);
  expect_qr(Matrix(6, 3), 1e-7);
}

TEST(Orthonormalize, KeepsLeadingColumnsThatAreOrthonormalAlready) {
  Matrix head = normal_matrix(60, 3);
  orthonormalize(head.view());
  Matrix a(60, 5);
  for (std::int64_t i = 0; i < 60; ++i) {
    for (std::int64_t j = 0; j < 3; ++j) a(i, j) = head(i, j);
    a(i, 3) = a(i, 4) = head(i, 0) - head(i, 1);  // nothing new
  }
  orthonormalize(a.view());
  EXPECT_LT(largest_difference(a.view().block(0, 0, 60, 3), head.view()), 1e-5);
  EXPECT_LT(distance_from_orthonormal(a.view()), 5e-6);
}

TEST(Orthonormalize, RefusesMoreColumnsThanRows) {
  Matrix a(3, 4);
  EXPECT_THROW(orthonormalize(a.view()), Error);
}

TEST(Cholesky, FactorsAPositiveDefiniteMatrix) {
  const Matrix a = normal_matrix(30, 12);
  const Matrix g = product(a.view(), true, a.view(), false);
  Matrix l = g;
  ASSERT_TRUE(cholesky(l.view()));
  EXPECT_EQ(l(0, 5), 0.f);
  EXPECT_LT(largest_difference(product(l.view(), false, l.view(), true).view(), g.view()), 1e-4);
}

TEST(Cholesky, ReadsTheLowerTriangleOnly) {
  Matrix a(2, 2);
  a(0, 0) = 4.f;
  a(1, 0) = 2.f;
  a(1, 1) = 5.f;
  a(0, 1) = NAN;
  ASSERT_TRUE(cholesky(a.view()));
  EXPECT_FLOAT_EQ(a(1, 0), 1.f);
  EXPECT_FLOAT_EQ(a(1, 1), 2.f);
}

TEST(Cholesky, SaysWhereAMatrixIsNotPositiveDefinite) {
  Matrix a(2, 2);
  a(0, 0) = a(0, 1) = a(1, 0) = 2.f;
  a(1, 1) = 1.f;
  EXPECT_FALSE(cholesky(a.view()));
}

}  // namespace
}  // namespace qloft::linalg
