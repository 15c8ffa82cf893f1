#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "cases.h"

namespace qloft::decompose {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

bool all_zero(const Matrix& a) {
  return std::ranges::all_of(a.values(), [](float value) { return value == 0.f; });
}

Recipe qlora(std::int64_t rank = 4) {
  Recipe recipe = recipe_from(preset("qlora"));
  recipe.rank = rank;
  return recipe;
}

std::string message_of(const Matrix& weight, const Recipe& recipe) {
  try {
    decompose(weight.view(), recipe, "layers.0.q");
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(Presets, TakeTheCodeBookAndTheTurnsOfAnEffort) {
  const Preset low = with_effort(preset("qloft"), "low");
  EXPECT_EQ(low.format.codebook, quant::Codebook::trellis_short);
  EXPECT_EQ(low.iterations, 10);
  EXPECT_EQ(with_effort(preset("qloft"), "medium").iterations, 20);
  const Preset high = with_effort(preset("qloft"), "high");
  EXPECT_EQ(high.format.describe(), preset("qloft").format.describe());
  EXPECT_EQ(high.iterations, preset("qloft").iterations);
}

TEST(Presets, RefuseAnEffortThatIsUnknownOrOfNoUse) {
  const auto refused = [](std::string_view method, std::string_view effort) -> std::string {
    try {
      with_effort(preset(method), effort);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refused("qloft", "hihg"),
              ::testing::HasSubstr("effort: expected lowest, low, medium or high"));
  EXPECT_THAT(refused("loftq", "low"),
              ::testing::HasSubstr("effort: expected none with the method loftq"));
}

TEST(Presets, AnUnknownNameIsAnsweredWithTheKnownOnesAndTheNearest) {
  try {
    preset("lofq");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("method: expected one of auto, qlora, loftq, lq-lora, "));
    EXPECT_THAT(error.what(), EndsWith("found \"lofq\"; did you mean loftq?"));
  }
}

TEST(Presets, EachHasAFormatThatIsValidAndASummaryOfOneLine) {
  for (const Preset& row : presets()) {
    EXPECT_NO_THROW(row.format.validate()) << row.name;
    EXPECT_EQ(preset(row.name).name, row.name);
    EXPECT_EQ(row.summary.find('\n'), std::string_view::npos);
  }
}

TEST(Qlora, QuantizesOnceAndStartsWithBZero) {
  const Matrix weight = noise(32, 128);
  const Decomposition found = decompose(weight.view(), qlora(), "w");
  EXPECT_TRUE(all_zero(found.b));
  EXPECT_FALSE(all_zero(found.a));
  EXPECT_TRUE(found.svd_residual.empty());
  ASSERT_EQ(found.relative_error.size(), 1u);
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-7);
  const Matrix wanted = dequantized(quant::quantize(weight.view(), preset("qlora").format));
  EXPECT_TRUE(std::ranges::equal(dequantized(found.q).values(), wanted.values()));
}

TEST(Qlora, DrawsAUniformlyWithinOneOverTheRootOfTheColumns) {
  const Decomposition found = decompose(noise(64, 400).view(), qlora(64), "w");
  double sum = 0.0, squares = 0.0;
  for (const float value : found.a.values()) {
    ASSERT_LE(std::fabs(value), 0.05f);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 25600, 0.0, 1e-3);
  EXPECT_NEAR(squares / 25600, 0.05 * 0.05 / 3, 2e-5);
}

TEST(Qlora, MatricesOfOtherNamesAndSeedsGetOtherNumbers) {
  const Matrix weight = noise(16, 64);
  Recipe other = qlora();
  other.seed = 1;
  const float here = decompose(weight.view(), qlora(), "q").a(0, 0);
  EXPECT_EQ(decompose(weight.view(), qlora(), "q").a(0, 0), here);
  EXPECT_NE(decompose(weight.view(), qlora(), "k").a(0, 0), here);
  EXPECT_NE(decompose(weight.view(), other, "q").a(0, 0), here);
}

TEST(Decompose, NoIterationsMeanQlorasStart) {
  const Decomposition found = decompose(noise(16, 64).view(), loftq(4, 4, 0), "w");
  EXPECT_TRUE(all_zero(found.b));
  EXPECT_FALSE(all_zero(found.a));
}

TEST(Decompose, RankZeroLeavesEmptyFactors) {
  const Decomposition found = decompose(noise(16, 64).view(), loftq(4, 0), "w");
  EXPECT_EQ(found.a.rows(), 0);
  EXPECT_EQ(found.b.columns(), 0);
  EXPECT_GT(found.final_error(), 0.05);
}

TEST(Decompose, AZeroMatrixGivesZeroFactorsAndNoError) {
  const Decomposition found = decompose(Matrix(16, 64).view(), loftq(2, 4), "w");
  EXPECT_EQ(found.relative_error, std::vector<double>{0.0});
  EXPECT_TRUE(all_zero(found.a));
  EXPECT_TRUE(all_zero(found.b));
  EXPECT_TRUE(all_zero(dequantized(found.q)));
  EXPECT_EQ(decompose(Matrix(16, 64).view(), qlora(), "w").final_error(), 0.0);
}

TEST(Decompose, AConstantMatrixIsExact) {
  for (const float value : {1.f, -0.3f, 1e-30f, 1e30f}) {
    Matrix weight(16, 64);
    std::ranges::fill(weight.values(), value);
    EXPECT_LT(decompose(weight.view(), loftq(2, 2), "w").final_error(), 1e-6) << value;
  }
}

TEST(Decompose, ASingleElementWorks) {
  Matrix weight(1, 1);
  weight(0, 0) = -2.5f;
  EXPECT_LT(decompose(weight.view(), loftq(4, 1), "w").final_error(), 1e-6);
}

TEST(Decompose, ValuesThatAreNotFiniteAreNamed) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [value, text] :
       {std::pair{NAN, "nan"}, {infinity, "inf"}, {-infinity, "-inf"}}) {
    Matrix weight = noise(4, 64);
    weight(2, 17) = value;
    EXPECT_EQ(message_of(weight, loftq(4, 2)), "layers.0.q: expected finite values, found " +
                                                   std::string(text) + " at row 2, column 17");
  }
}

TEST(Decompose, WrongRecipesAreNamed) {
  const Matrix weight = noise(4, 64);
  EXPECT_EQ(message_of(weight, loftq(4, 5)), "layers.0.q: expected a rank of 0 to 4, found 5");
  EXPECT_EQ(message_of(weight, qlora(5)), "layers.0.q: expected a rank of 0 to 4, found 5");
  EXPECT_EQ(message_of(weight, loftq(4, -1)), "layers.0.q: expected a rank of 0 to 4, found -1");
  EXPECT_EQ(message_of(weight, loftq(4, 2, -1)),
            "layers.0.q: expected 0 or more iterations, found -1");
  EXPECT_EQ(message_of(Matrix(0, 3), loftq(4, 0)),
            "layers.0.q: expected a matrix with elements, found an empty one");
  Recipe recipe = loftq(4, 2);
  recipe.scale = 0.0;
  EXPECT_EQ(message_of(weight, recipe), "layers.0.q: expected a positive scale, found 0.000000");
  EXPECT_NE(message_of(weight, loftq(9, 2)), "nothing thrown");
}

}  // namespace
}  // namespace qloft::decompose
