#include <gtest/gtest.h>

#include "matrices.h"

namespace qloft::linalg {
namespace {

double captured(const Svd& parts) {
  double sum = 0.0;
  for (const float s : parts.s) sum += static_cast<double>(s) * s;
  return sum;
}

double residual(const Matrix& a, const Svd& parts) {
  Matrix rest = reconstruct(parts);
  for (std::int64_t i = 0; i < a.size(); ++i) rest.data()[i] -= a.data()[i];
  return frobenius_norm(rest.view());
}

// ||a - a_k|| for the best a_k of that rank.
double best_residual(const Matrix& a, std::int64_t rank) {
  const Svd full = svd(a.view());
  double sum = 0.0;
  for (std::size_t i = static_cast<std::size_t>(rank); i < full.s.size(); ++i) {
    sum += static_cast<double>(full.s[i]) * full.s[i];
  }
  return std::sqrt(sum);
}

TEST(Svd, ReconstructsTallWideAndRaggedMatrices) {
  for (const auto& [rows, columns] : {std::pair{37, 11}, {11, 37}, {8, 8}, {1, 5}, {600, 520}}) {
    const Matrix a = normal_matrix(rows, columns);
    const Svd parts = svd(a.view());
    ASSERT_EQ(std::ssize(parts.s), std::min(rows, columns));
    EXPECT_LT(residual(a, parts), 1e-5 * frobenius_norm(a.view())) << rows;
    EXPECT_LT(distance_from_orthonormal(parts.u.view()), 1e-5);
    EXPECT_LT(distance_from_orthonormal(parts.v.view()), 1e-5);
    EXPECT_TRUE(std::is_sorted(parts.s.rbegin(), parts.s.rend()));
  }
}

TEST(Svd, FindsAKnownSpectrum) {
  const std::vector<float> s = {9.f, 4.f, 4.f, 0.5f, 0.f};
  const Svd parts = svd(with_spectrum(20, 30, s).view());
  for (std::size_t i = 0; i < s.size(); ++i) EXPECT_NEAR(parts.s[i], s[i], 1e-5);
}

TEST(Svd, ReadsAStridedView) {
  const Matrix wide = normal_matrix(9, 20);
  Matrix part(9, 6);
  for (std::int64_t i = 0; i < 9; ++i) std::copy_n(wide.view().row(i) + 3, 6, &part(i, 0));
  EXPECT_EQ(svd(wide.view().block(0, 3, 9, 6)).s, svd(part.view()).s);
}

TEST(Svd, RefusesValuesThatAreNotFinite) {
  Matrix a(3, 3);
  a(1, 1) = NAN;
  EXPECT_THROW(svd(a.view()), ComputationError);
  Random random(1);
  EXPECT_THROW(randomized_svd(a.view(), {.rank = 1}, random), ComputationError);
}

TEST(Svd, TakesAnEmptyMatrix) {
  EXPECT_TRUE(svd(Matrix(0, 4).view()).s.empty());
}

TEST(RandomizedSvd, FindsALowRankMatrixExactly) {
  for (const auto& [rows, columns] : {std::pair{60, 90}, {90, 60}}) {
    const Matrix a = with_spectrum(rows, columns, {8.f, 5.f, 3.f, 1.f});
    Random random(1);
    const Svd parts = randomized_svd(a.view(), {.rank = 6, .power_iterations = 3}, random);
    EXPECT_LT(residual(a, parts), 2e-5);
    EXPECT_NEAR(parts.s[3], 1.f, 1e-5);
    EXPECT_NEAR(parts.s[4], 0.f, 1e-5);
    EXPECT_LT(distance_from_orthonormal(parts.u.view()), 1e-5);
    EXPECT_LT(distance_from_orthonormal(parts.v.view()), 1e-5);
  }
}

TEST(RandomizedSvd, ComesNearTheBestOnAFallingSpectrum) {
  std::vector<float> s(80);
  for (std::size_t i = 0; i < s.size(); ++i) s[i] = std::pow(0.9f, static_cast<float>(i));
  const Matrix a = with_spectrum(150, 100, s);
  Random random(1);
  const Svd parts = randomized_svd(a.view(), {.rank = 10, .power_iterations = 2}, random);
  const double best = best_residual(a, 10);
  EXPECT_LT(residual(a, parts), 1.0005 * best);
  EXPECT_GT(residual(a, parts), 0.99999 * best);
}

TEST(RandomizedSvd, ComesNearTheBestOnNoise) {
  const Matrix a = normal_matrix(300, 400);
  Random random(1);
  const Svd parts = randomized_svd(a.view(), {.rank = 16, .power_iterations = 3}, random);
  const double best = best_residual(a, 16);
  EXPECT_LT(residual(a, parts), 1.01 * best);
  EXPECT_GT(residual(a, parts), 0.99999 * best);
}

TEST(RandomizedSvd, IsExactOnceItsSpaceIsTheWhole) {
  for (const auto& [rows, columns] : {std::pair{24, 40}, {40, 24}, {24, 24}}) {
    const Matrix a = normal_matrix(rows, columns);
    Random random(1);
    const Svd parts =
        randomized_svd(a.view(), {.rank = 5, .oversampling = 3, .power_iterations = 9}, random);
    EXPECT_NEAR(residual(a, parts), best_residual(a, 5), 1e-4);
  }
}

TEST(RandomizedSvd, LeavesWhatItsSingularValuesSay) {
  const Matrix a = normal_matrix(90, 130);
  Random random(1);
  const Svd parts = randomized_svd(a.view(), {.rank = 7, .power_iterations = 1}, random);
  EXPECT_NEAR(std::pow(residual(a, parts), 2), squared_norm(a.view()) - captured(parts), 0.05);
}

TEST(RandomizedSvd, AWarmStartCapturesMore) {
  const Matrix a = normal_matrix(200, 300);
  const RandomizedOptions once{.rank = 8, .power_iterations = 1};
  Random random(1);
  Matrix basis;
  const double cold = captured(randomized_svd(a.view(), once, random, &basis));
  ASSERT_EQ(basis.columns(), 16);
  EXPECT_LT(distance_from_orthonormal(basis.view()), 1e-5);
  EXPECT_GT(captured(randomized_svd(a.view(), once, random, &basis)), 1.1 * cold);
}

TEST(RandomizedSvd, ToleranceStopsTheGrowth) {
  const Matrix a = with_spectrum(80, 80, {8.f, 5.f, 3.f, 1.f, 1e-3f});
  Random random(1);
  const Svd parts = randomized_svd(
      a.view(), {.rank = 4, .oversampling = 0, .power_iterations = 12, .tolerance = 1e-3}, random);
  EXPECT_NEAR(residual(a, parts), 1e-3, 1e-4);
}

TEST(RandomizedSvd, GivesZeroSingularValuesForAZeroMatrix) {
  Random random(1);
  Matrix basis;
  const Svd parts = randomized_svd(Matrix(12, 9).view(), {.rank = 3}, random, &basis);
  EXPECT_EQ(parts.s, std::vector<float>({0.f, 0.f, 0.f}));
  EXPECT_LT(distance_from_orthonormal(parts.u.view()), 1e-5);
  EXPECT_LT(distance_from_orthonormal(parts.v.view()), 1e-5);
}

TEST(RandomizedSvd, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = thread_count();
  const Matrix a = normal_matrix(300, 200);
  std::vector<Svd> found;
  for (const int count : {1, 3}) {
    set_thread_count(count);
    Random random(5);
    found.push_back(randomized_svd(a.view(), {.rank = 9}, random));
  }
  set_thread_count(threads);
  EXPECT_EQ(found[0].s, found[1].s);
  EXPECT_EQ(largest_difference(found[0].v.view(), found[1].v.view()), 0.0);
}

TEST(RandomizedSvd, TakesAMatrixByItsProducts) {
  const Matrix a = normal_matrix(30, 50);
  const LinearMap map{.rows = 30,
                      .columns = 50,
                      .multiply =
                          [&](MatrixView<const float> x, MatrixView<float> out) {
                            multiply(a.view(), Transpose::no, x, Transpose::no, out);
                          },
                      .multiply_transposed =
                          [&](MatrixView<const float> x, MatrixView<float> out) {
                            multiply(a.view(), Transpose::yes, x, Transpose::no, out);
                          },
                      .squared_norm = squared_norm(a.view())};
  Random one(1), other(1);
  EXPECT_EQ(randomized_svd(map, {.rank = 4}, one).s,
            randomized_svd(a.view(), {.rank = 4}, other).s);
}

TEST(RandomizedSvd, RefusesARankTheMatrixDoesNotHave) {
  Random random(1);
  for (const std::int64_t rank : {-1, 0, 4}) {
    EXPECT_THROW(randomized_svd(Matrix(3, 5).view(), {.rank = rank}, random), Error);
  }
}

TEST(RandomizedSvd, RefusesAWarmStartOfAnotherShape) {
  Random random(1);
  Matrix basis(4, 2);
  EXPECT_THROW(randomized_svd(Matrix(3, 5).view(), {.rank = 2}, random, &basis), Error);
}

}  // namespace
}  // namespace qloft::linalg
