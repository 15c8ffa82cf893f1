#include "../../src/pipeline/sensitivity_ranks.h"

#include <gtest/gtest.h>

namespace qloft::pipeline {
namespace {

SensitiveMatrix matrix(const char* kind, double divergence, double error) {
  SensitiveMatrix out;
  out.kind = kind;
  out.divergence = divergence;
  out.relative_error = error;
  out.weight_peak = 4;
  return out;
}

TEST(SensitivityRanks, AreOfAllMatricesAndOfEachKind) {
  const auto ranks = ranks_of({matrix("q_proj", 1, 10), matrix("up_proj", 2, 50),
                               matrix("q_proj", 3, 20), matrix("q_proj", 4, 5)});
  ASSERT_EQ(ranks.size(), 3u);
  EXPECT_EQ(ranks[0].kind, "all");
  EXPECT_DOUBLE_EQ(*ranks[0].relative_error, -0.4);
  EXPECT_EQ(ranks[1].kind, "q_proj");
  EXPECT_DOUBLE_EQ(*ranks[1].relative_error, -0.5);
  EXPECT_DOUBLE_EQ(ranks[1].share, 0.8);
}

TEST(SensitivityRanks, AreNoneOfFewOrEqualValues) {
  const auto ranks =
      ranks_of({matrix("q_proj", 1, 1), matrix("q_proj", 2, 2), matrix("up_proj", 3, 3)});
  EXPECT_FALSE(ranks[0].weight_peak);  // the same of all
  EXPECT_FALSE(ranks[0].gram_error);   // there is none
  EXPECT_FALSE(ranks[1].relative_error);
}

}  // namespace
}  // namespace qloft::pipeline
