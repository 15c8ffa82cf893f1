#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "cases.h"

namespace qloft::decompose {
namespace {

Recipe lq_lora(int bits, std::int64_t rank) {
  Recipe recipe = recipe_from(preset("lq-lora"));
  recipe.format.bits = bits;
  recipe.rank = rank;
  return recipe;
}

TEST(LqLora, TheFirstIterationSolvesForTheWeightItself) {
  const Matrix weight = decaying(64, 128);
  Recipe recipe = lq_lora(3, 8);
  recipe.iterations = 1;
  recipe.exact_svd = true;
  const Decomposition found = decompose(weight.view(), recipe, "w");
  const linalg::Svd svd = linalg::svd(weight.view());
  double left = 0, all = 0;
  for (std::size_t k = 0; k < svd.s.size(); ++k) {
    all += std::pow(svd.s[k], 2.0);
    if (k >= 8) left += std::pow(svd.s[k], 2.0);
  }
  ASSERT_EQ(found.svd_residual.size(), 1u);
  EXPECT_NEAR(found.svd_residual[0], std::sqrt(left / all), 1e-4);
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6);
}

TEST(LqLora, StopsWhenTheErrorRisesAndKeepsTheBest) {
  const Matrix weight = decaying(64, 128);
  const Decomposition found = decompose(weight.view(), lq_lora(2, 8), "w");
  ASSERT_LT(found.metric_error.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(found.metric_error, std::greater{}));
  Recipe one_more = lq_lora(2, 8);
  one_more.iterations = static_cast<int>(found.metric_error.size()) + 1;
  EXPECT_EQ(decompose(weight.view(), one_more, "w").metric_error, found.metric_error);
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6);
}

TEST(LqLora, WeighsErrorsByTheFisherFactors) {
  const Matrix weight = decaying(64, 128);
  Statistics statistics;
  for (int i = 0; i < 64; ++i) statistics.fisher_rows.push_back(i < 8 ? 10.f : 1.f);
  statistics.fisher_columns.assign(128, 1.f);
  Recipe recipe = lq_lora(2, 8);
  const Decomposition plain = decompose(weight.view(), recipe, statistics, "w");
  recipe.metric = Metric::fisher;
  const Decomposition fisher = decompose(weight.view(), recipe, statistics, "w");
  const auto of_heavy_rows = [&](const Decomposition& found) {
    const Matrix rest = what_is_left(weight, found);
    return linalg::frobenius_norm(rest.view().block(0, 0, 8, 128));
  };
  EXPECT_LT(of_heavy_rows(fisher), 0.8 * of_heavy_rows(plain));
  EXPECT_GT(fisher.final_error(), plain.final_error());
}

TEST(LqLora, HonoursTheScaleOfTheAdapter) {
  const Matrix weight = decaying(32, 64);
  Recipe recipe = lq_lora(3, 4);
  recipe.scale = 2.0;
  const Decomposition found = decompose(weight.view(), recipe, "w");
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 2.0), 1e-6);
}

}  // namespace
}  // namespace qloft::decompose
