#include "../../src/pipeline/sensitivity_ranks.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qloft::pipeline {
namespace {

TEST(RankCorrelation, KnowsOrderAlone) {
  EXPECT_DOUBLE_EQ(*rank_correlation({1, 2, 3, 4}, {1, 10, 100, 1000}), 1);
  EXPECT_DOUBLE_EQ(*rank_correlation({1, 2, 3}, {3, 2, 1}), -1);
}

// By hand: ranks 0 1.5 1.5 3 and 0 1 2 3.
TEST(RankCorrelation, SharesRanksAmongEquals) {
  EXPECT_NEAR(*rank_correlation({1, 5, 5, 9}, {1, 2, 3, 4}), 4.5 / std::sqrt(4.5 * 5), 1e-12);
}

TEST(RankCorrelation, IsNoneOfFewOrEqualValues) {
  EXPECT_FALSE(rank_correlation({1, 2}, {1, 2}));
  EXPECT_FALSE(rank_correlation({1, 1, 1}, {1, 2, 3}));
}

}  // namespace
}  // namespace qloft::pipeline
