// Weights for inputs that are no longer the full model's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "cases.h"

namespace qloft::decompose {
namespace {

using linalg::Transpose;

constexpr std::int64_t kRows = 24, kColumns = 40, kTokens = 500;

Matrix product(const Matrix& a, Transpose transpose_a, const Matrix& b, Transpose transpose_b,
               float factor = 1.f) {
  Matrix out(transpose_a == Transpose::yes ? a.columns() : a.rows(),
             transpose_b == Transpose::yes ? b.rows() : b.columns());
  linalg::multiply(a.view(), transpose_a, b.view(), transpose_b, out.view(), factor);
  return out;
}

// Inputs y of a full model and x of a quantized one, [tokens, columns], whose error leans on y.
struct Inputs {
  Matrix y = noise(kTokens, kColumns, 21);
  Matrix x;

  Inputs() {
    Matrix mix = noise(kColumns, kColumns, 22);
    for (float& value : mix.values()) value *= 0.05f;
    x = product(y, Transpose::no, mix, Transpose::no);
    const Matrix own = noise(kTokens, kColumns, 23);
    for (std::int64_t i = 0; i < x.size(); ++i) {
      x.data()[i] += y.data()[i] + 0.2f * own.data()[i];
    }
  }

  Statistics statistics() const {
    constexpr float kMean = 1.f / kTokens;
    Statistics out;
    out.gram = product(x, Transpose::yes, x, Transpose::no, kMean);
    out.shift = product(difference(y, x), Transpose::yes, x, Transpose::no, kMean);
    return out;
  }
  // |W y - V x|^2 over all tokens.
  double distance(const Matrix& w, const Matrix& v) const {
    return linalg::squared_norm(difference(product(y, Transpose::no, w, Transpose::yes),
                                           product(x, Transpose::no, v, Transpose::yes))
                                    .view());
  }
};

// As exact as codes are; without factors.
Recipe eight_bits(Metric metric = Metric::gram) {
  Recipe recipe;
  recipe.quantizer = Quantizer::gptq;
  recipe.metric = metric;
  recipe.low_rank = LowRankSolver::none;
  recipe.loop = Loop::once;
  recipe.rank = 0;
  recipe.damping = 1e-6;
  recipe.format = {
      .bits = 8, .codebook = quant::Codebook::uniform, .block = 16, .second_level = {}};
  return recipe;
}

TEST(ShiftedInputs, GetTheWeightThatComesNearestToTheFullOutputs) {
  const Matrix w = noise(kRows, kColumns);
  const Inputs inputs;
  Statistics plain = inputs.statistics();
  plain.shift = Matrix();
  const Matrix own = dequantized(decompose(w.view(), eight_bits(), plain, "w").q);
  const Matrix fitted = dequantized(decompose(w.view(), eight_bits(), inputs.statistics(), "w").q);
  const double least = inputs.distance(w, fitted), before = inputs.distance(w, own);
  EXPECT_LT(least, 0.6 * before);
  // No small step from there comes nearer.
  for (const std::uint64_t seed : {31u, 32u, 33u}) {
    Matrix step = noise(kRows, kColumns, seed);
    for (std::int64_t i = 0; i < step.size(); ++i) {
      step.data()[i] = fitted.data()[i] + 0.02f * step.data()[i];
    }
    EXPECT_GT(inputs.distance(w, step), least);
  }
}

TEST(ShiftedInputs, ThatAreTheFullModelsLeaveTheWeightAsItIs) {
  const Matrix w = noise(kRows, kColumns);
  Statistics statistics = with_gram(correlated_gram(kColumns));
  const Matrix plain = dequantized(decompose(w.view(), eight_bits(), statistics, "w").q);
  statistics.shift = Matrix(kColumns, kColumns);
  const Matrix found = dequantized(decompose(w.view(), eight_bits(), statistics, "w").q);
  EXPECT_TRUE(std::ranges::equal(found.values(), plain.values()));
}

TEST(ShiftedInputs, GiveErrorsOfTheWeightThatIsFitted) {
  const Matrix w = noise(kRows, kColumns);
  Recipe recipe = recipe_from(preset("qloft"));
  recipe.format.bits = 4;
  recipe.rank = 4;
  const Decomposition found = decompose(w.view(), recipe, Inputs().statistics(), "w");
  EXPECT_LT(found.final_metric_error(), 0.1);
  EXPECT_GT(measured_error(w, found, 1.0), 1.5 * found.final_error()) << "that of W is larger";
}

TEST(ShiftedInputs, AreRefusedWhereTheyDoNotFit) {
  const Matrix w = noise(kRows, kColumns);
  const auto refused = [&](const Recipe& recipe, const Statistics& statistics) -> std::string {
    try {
      decompose(w.view(), recipe, statistics, "w");
    } catch (const InputError& error) {
      return error.what();
    }
    return "nothing";
  };
  Statistics statistics = Inputs().statistics();
  Recipe frobenius = eight_bits(Metric::gram_diagonal);
  frobenius.quantizer = Quantizer::nearest;
  EXPECT_THAT(refused(frobenius, statistics), ::testing::HasSubstr("a metric with a Gram matrix"));
  statistics.shift(3, 4) = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refused(eight_bits(), statistics), ::testing::HasSubstr("expected finite values"));
  statistics.shift = Matrix(kColumns, 3);
  EXPECT_THAT(refused(eight_bits(), statistics),
              ::testing::HasSubstr("expected the shape [40, 40]"));
}

}  // namespace
}  // namespace qloft::decompose
