#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "../../src/linalg/blas.h"
#include "matrices.h"
#include "qloft/core/cpu.h"

namespace qloft::linalg {
namespace {

struct Shape {
  std::int64_t rows, inner, columns;
};

// Small, ragged, tall (row pieces), wide (column pieces), long inside (partial sums), empty.
const Shape kShapes[] = {{1, 1, 1},      {3, 5, 7}, {300, 90, 70}, {65, 120, 333}, {9, 40000, 8},
                         {70, 2000, 33}, {0, 4, 3}, {3, 4, 0},     {4, 0, 3}};

TEST(Multiply, AgreesWithThreeLoopsForEveryShapeAndTransposition) {
  for (const Shape& shape : kShapes) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        const Matrix a = ta ? normal_matrix(shape.inner, shape.rows, 1)
                            : normal_matrix(shape.rows, shape.inner, 1);
        const Matrix b = tb ? normal_matrix(shape.columns, shape.inner, 2)
                            : normal_matrix(shape.inner, shape.columns, 2);
        Matrix c(shape.rows, shape.columns);
        multiply(a.view(), Transpose{ta}, b.view(), Transpose{tb}, c.view());
        const Matrix wanted = product(a.view(), ta, b.view(), tb);
        EXPECT_LT(largest_difference(c.view(), wanted.view()), 2e-3)
            << shape.rows << ' ' << shape.inner << ' ' << shape.columns << ' ' << ta << tb;
      }
    }
  }
}

TEST(Multiply, AddsToTheResultByAlphaAndBeta) {
  for (const Shape& shape : {Shape{4, 6, 5}, Shape{300, 90, 70}, Shape{9, 40000, 8}}) {
    const Matrix a = normal_matrix(shape.rows, shape.inner, 1);
    const Matrix b = normal_matrix(shape.inner, shape.columns, 2);
    const Matrix before = normal_matrix(shape.rows, shape.columns, 3);
    Matrix c = before;
    multiply(a.view(), Transpose::no, b.view(), Transpose::no, c.view(), 0.5f, -2.f);
    Matrix wanted = product(a.view(), false, b.view(), false);
    for (std::int64_t i = 0; i < wanted.size(); ++i) {
      wanted.data()[i] = 0.5f * wanted.data()[i] - 2.f * before.data()[i];
    }
    EXPECT_LT(largest_difference(c.view(), wanted.view()), 2e-3);
  }
}

TEST(Multiply, DoesNotReadTheResultWhenBetaIsZero) {
  Matrix a = normal_matrix(9, 40000), b = normal_matrix(40000, 8), c(9, 8);
  std::fill(c.values().begin(), c.values().end(), NAN);
  multiply(a.view(), Transpose::no, b.view(), Transpose::no, c.view());
  EXPECT_TRUE(std::isfinite(c(8, 7)));
}

TEST(Multiply, LeavesTheGapsOfAStridedResultAlone) {
  const Matrix a = normal_matrix(300, 50), b = normal_matrix(50, 70);
  Matrix wide(300, 100);
  multiply(a.view(), Transpose::no, b.view(), Transpose::no, wide.view().block(0, 10, 300, 70));
  for (std::int64_t i = 0; i < 300; ++i) {
    ASSERT_EQ(wide(i, 9), 0.f);
    ASSERT_EQ(wide(i, 80), 0.f);
  }
  const Matrix wanted = product(a.view(), false, b.view(), false);
  EXPECT_LT(largest_difference(wide.view().block(0, 10, 300, 70), wanted.view()), 1e-4);
}

TEST(Multiply, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = thread_count();
  for (const Shape& shape : {Shape{300, 90, 70}, Shape{65, 120, 333}, Shape{9, 40000, 8}}) {
    const Matrix a = normal_matrix(shape.rows, shape.inner, 1);
    const Matrix b = normal_matrix(shape.inner, shape.columns, 2);
    Matrix one(shape.rows, shape.columns), three(shape.rows, shape.columns);
    set_thread_count(1);
    multiply(a.view(), Transpose::no, b.view(), Transpose::no, one.view());
    set_thread_count(3);
    multiply(a.view(), Transpose::no, b.view(), Transpose::no, three.view());
    EXPECT_EQ(largest_difference(one.view(), three.view()), 0.0);
  }
  set_thread_count(threads);
}

// OpenBLAS by itself has the oldest kernels for a processor that is newer than it.
TEST(Multiply, IsByKernelsOfTheWidestVectorsThatTheProcessorHas) {
  if (const char* set = std::getenv("OPENBLAS_CORETYPE")) {
    EXPECT_STRCASEEQ(qloft_blas_get_corename(), set);
    return;
  }
  const std::string_view name = qloft_blas_get_corename();
  switch (supported_instruction_sets().back()) {
    case InstructionSet::avx512:
      EXPECT_EQ(name, "SkylakeX");
      break;
    case InstructionSet::avx2:
      EXPECT_TRUE(name == "Haswell" || name == "Zen") << name;
      break;
    case InstructionSet::portable:
      EXPECT_FALSE(name.empty());
  }
}

TEST(Multiply, NamesShapesThatDisagree) {
  Matrix a(2, 3), b(4, 5), c(2, 5);
  try {
    multiply(a.view(), Transpose::no, b.view(), Transpose::no, c.view());
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "multiply: shapes disagree: [2, 3] times [4, 5] into [2, 5]");
  }
}

TEST(FrobeniusNorm, SumsInDoublePrecision) {
  Matrix a(1000, 37);
  std::fill(a.values().begin(), a.values().end(), 1e-3f);
  a(0, 0) = 1e4f;  // its square swallows the others' in f32
  const double small = 1e-3f;
  EXPECT_NEAR(squared_norm(a.view()), 1e8 + 36999 * small * small, 1e-5);
}

TEST(FrobeniusNorm, IgnoresTheGapsOfAStridedView) {
  Matrix a(3, 20);
  std::fill(a.values().begin(), a.values().end(), 1.f);
  EXPECT_DOUBLE_EQ(frobenius_norm(a.view().block(0, 2, 3, 12)), 6.0);
}

}  // namespace
}  // namespace qloft::linalg
