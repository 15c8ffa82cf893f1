// Loops that begin with a part of the weight's own best low-rank matrix.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cases.h"

namespace qloft::decompose {
namespace {

Recipe loop(Loop kind, double start, int iterations) {
  Recipe recipe = recipe_from(preset("lq-lora"));
  recipe.format.bits = 2;
  recipe.rank = 8;
  recipe.loop = kind;
  recipe.iterations = iterations;
  recipe.low_rank_start = start;
  recipe.exact_svd = true;
  return recipe;
}

Recipe qloft(double start, int iterations) {
  Recipe recipe = recipe_from(preset("qloft"));
  recipe.format.bits = 2;
  recipe.rank = 8;
  recipe.iterations = iterations;
  recipe.low_rank_start = start;
  return recipe;
}

TEST(LowRankStart, OfOneQuantizesFirstWhatLqLoraDoes) {
  const Matrix weight = decaying(64, 128);
  const Decomposition lq_lora = decompose(weight.view(), loop(Loop::low_rank_first, 0.0, 1), "w");
  for (const Loop kind : {Loop::quantize_first, Loop::quantize_until_best}) {
    const Decomposition found = decompose(weight.view(), loop(kind, 1.0, 1), "w");
    const Matrix q = dequantized(found.q);
    EXPECT_EQ(linalg::squared_norm(difference(q, dequantized(lq_lora.q)).view()), 0.0);
    EXPECT_LT(found.final_error(), lq_lora.final_error());  // B A is solved for that Q once more
    EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6);
  }
}

TEST(LowRankStart, LowersTheErrorThatTheTurnsEndWith) {
  const Matrix weight = decaying(64, 128), gram = correlated_gram(128);
  double before = 1.0;
  for (const double start : {0.0, 0.5, 1.0}) {
    const Decomposition found = decompose(weight.view(), qloft(start, 4), with_gram(gram), "w");
    EXPECT_LT(found.final_metric_error(), before) << start;
    before = found.final_metric_error();
  }
}

TEST(LowRankStart, LowersItWhereProductsAreIn8Bits) {
  const Matrix weight = decaying(513, 640), gram = correlated_gram(640, 1000);
  const auto error = [&](double start) {
    Recipe recipe = qloft(start, 1);
    recipe.rank = 32;
    return decompose(weight.view(), recipe, with_gram(gram), "w").final_metric_error();
  };
  EXPECT_LT(error(1.0), 0.95 * error(0.0));
}

TEST(LowRankStart, HonoursTheScaleOfTheAdapter) {
  const Matrix weight = decaying(64, 128), gram = correlated_gram(128);
  Recipe recipe = qloft(1.0, 2);
  recipe.scale = 2.0;
  const Decomposition found = decompose(weight.view(), recipe, with_gram(gram), "w");
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 2.0), 1e-6);
}

TEST(LowRankStart, LeavesNothingToQuantizeOfAMatrixOfThatRank) {
  Matrix weight(64, 128);
  linalg::multiply(noise(64, 8).view(), linalg::Transpose::no, noise(8, 128).view(),
                   linalg::Transpose::no, weight.view());
  const Decomposition found =
      decompose(weight.view(), qloft(1.0, 3), with_gram(correlated_gram(128)), "w");
  EXPECT_LT(found.final_error(), 1e-3);
}

TEST(LowRankStart, IsRefusedOutside0To1) {
  const Matrix weight = noise(8, 64);
  for (const double start : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THAT([&] { decompose(weight.view(), loop(Loop::quantize_first, start, 1), "w"); },
                testing::ThrowsMessage<InputError>(testing::HasSubstr("low-rank start from 0")));
  }
}

}  // namespace
}  // namespace qloft::decompose
