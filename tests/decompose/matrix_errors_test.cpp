#include "qloft/decompose/matrix_errors.h"

#include <gtest/gtest.h>

#include <cmath>

#include "qloft/core/error.h"

namespace qloft::decompose {
namespace {

Matrix small_matrix(std::int64_t rows, std::int64_t columns, const std::vector<float>& values) {
  Matrix out(rows, columns);
  std::copy(values.begin(), values.end(), out.values().begin());
  return out;
}

// W = 1 2 2 / 4 0 3, whose approximation misses by 1 in the first row's second column and by 2 in
// the second row's first.
const Matrix kSmall = small_matrix(2, 3, {1, 2, 2, 4, 0, 3});
const Matrix kNearSmall = small_matrix(2, 3, {1, 1, 2, 2, 0, 3});

TEST(MatrixErrors, AreThoseOfTheDifference) {
  const MatrixErrors found = matrix_errors(kSmall.view(), kNearSmall.view(), {}, "w");
  EXPECT_DOUBLE_EQ(found.squared, 5);
  EXPECT_DOUBLE_EQ(found.relative, std::sqrt(5. / 34));
  EXPECT_DOUBLE_EQ(found.worst_output, std::sqrt(4. / 25));
  EXPECT_DOUBLE_EQ(found.worst_input, std::sqrt(1. / 4));  // 4 of 17 in the first column
  EXPECT_DOUBLE_EQ(found.tail, std::sqrt(4. / 16));        // of the 4
  EXPECT_FALSE(found.gram || found.fisher_gram || found.loss_by_prediction || found.input_peak);
}

TEST(MatrixErrors, WeighInputsByTheGramMatrixAndOutputsByFisherFactors) {
  const Statistics statistics{.gram = small_matrix(3, 3, {2, 1, 0, 1, 3, 0, 0, 0, 1}),
                              .fisher_rows = {1, 2},
                              .fisher_columns = {1, 1, 1}};
  const MatrixErrors found = matrix_errors(kSmall.view(), kNearSmall.view(), statistics, "w");
  // (E H E^T)_ii: 1 * 3 and 4 * 2; of W: (1 2 2): 2 + 12 + 4 + 4, (4 0 3): 32 + 9.
  EXPECT_DOUBLE_EQ(found.gram_squared.value(), 11);
  EXPECT_DOUBLE_EQ(found.gram.value(), std::sqrt(11. / 63));
  EXPECT_DOUBLE_EQ(found.fisher_gram_squared.value(), 3 + 4 * 8);
  EXPECT_DOUBLE_EQ(found.fisher_gram.value(), std::sqrt(35. / (22 + 4 * 41)));
  EXPECT_DOUBLE_EQ(found.loss_by_prediction.value(), 3. * 35 / (2 * 6));
}

TEST(MatrixErrors, PointOutWhatIsLargest) {
  Statistics statistics;
  statistics.gram = small_matrix(3, 3, {2, 1, 0, 1, 3, 0, 0, 0, 1});
  const MatrixErrors found = matrix_errors(kSmall.view(), kNearSmall.view(), statistics, "w");
  EXPECT_DOUBLE_EQ(found.weight_peak, 4 / std::sqrt(34. / 6));
  EXPECT_DOUBLE_EQ(found.input_peak.value(), 3 / 2.);
  EXPECT_EQ(found.top_input, 0);  // 2 * 4 of 3 * 1 + 2 * 4
  EXPECT_DOUBLE_EQ(found.top_share.value(), 8. / 11);
  EXPECT_FALSE(found.fisher_gram);
}

TEST(MatrixErrors, OfAZeroMatrixAreZero) {
  const Matrix zero(2, 3);
  const MatrixErrors found = matrix_errors(zero.view(), zero.view(), {}, "w");
  EXPECT_EQ(found.relative + found.worst_output + found.worst_input + found.tail, 0);
  EXPECT_EQ(found.weight_peak, 0);
}

TEST(MatrixErrors, RefuseStatisticsOfAnotherShape) {
  Statistics statistics;
  statistics.gram = Matrix(2, 2);
  EXPECT_THROW(matrix_errors(kSmall.view(), kNearSmall.view(), statistics, "w"), InputError);
}

}  // namespace
}  // namespace qloft::decompose
