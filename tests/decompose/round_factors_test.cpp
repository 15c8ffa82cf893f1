#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "metric_by_definition.h"

namespace qloft::decompose {
namespace {

Recipe rounding(const char* method, Metric metric, ElementType type) {
  Recipe recipe = recipe_from(preset(method));
  recipe.metric = metric;
  recipe.format = {.bits = 2, .codebook = quant::Codebook::nf, .block = 64, .second_level = {}};
  recipe.rank = 6;
  recipe.scale = 0.5;
  recipe.damping = 0.0;
  recipe.factor_type = type;
  return recipe;
}

void round_to_nearest(Matrix& a, ElementType type) {
  for (float& value : a.values()) value = round_to(value, type);
}

// 130 columns: two blocks of the feedback, and a ragged one.
const Matrix& weight() {
  static const Matrix w = decaying(70, 130);
  return w;
}

TEST(RoundFactors, TakeValuesOfTheTypeAlone) {
  const Statistics statistics = all_statistics(70, 130);
  for (const ElementType type : {ElementType::f8, ElementType::bf16}) {
    const Decomposition found =
        decompose(weight().view(), rounding("qloft", Metric::gram, type), statistics, "w");
    for (const Matrix* factor : {&found.a, &found.b}) {
      EXPECT_TRUE(std::ranges::all_of(factor->values(),
                                      [&](float value) { return value == round_to(value, type); }));
    }
  }
}

TEST(RoundFactors, ReportTheErrorsThatAreThere) {
  const Statistics statistics = all_statistics(70, 130);
  for (const char* method : {"loftq", "lq-lora", "qera"}) {
    for (const Metric metric : {Metric::frobenius, Metric::fisher, Metric::gram_diagonal,
                                Metric::gram, Metric::fisher_gram}) {
      const Decomposition found =
          decompose(weight().view(), rounding(method, metric, ElementType::f8), statistics, "w");
      const Weighed as_defined = weighed(metric, statistics);
      const double expected =
          std::sqrt(squared_error(what_is_left(weight(), found, 0.5), as_defined) /
                    squared_error(weight(), as_defined));
      EXPECT_NEAR(found.final_metric_error() / expected, 1.0, 1e-3)
          << method << " " << name(metric);
      EXPECT_NEAR(found.final_error() / measured_error(weight(), found, 0.5), 1.0, 1e-4)
          << method << " " << name(metric);
    }
  }
}

TEST(RoundFactors, LeaveLessInTheMetricThanNearestValuesDo) {
  const Statistics statistics = all_statistics(70, 130);
  const Weighed as_defined = weighed(Metric::gram, statistics);
  const auto error = [&](const Decomposition& found) {
    return squared_error(what_is_left(weight(), found, 0.5), as_defined);
  };
  const auto found = [&](ElementType type) {
    return decompose(weight().view(), rounding("qera", Metric::gram, type), statistics, "w");
  };
  const Decomposition exact = found(ElementType::f32);
  Decomposition nearest = exact;
  round_to_nearest(nearest.a, ElementType::f8);
  round_to_nearest(nearest.b, ElementType::f8);
  EXPECT_GT(error(nearest), error(exact));
  EXPECT_LT(error(found(ElementType::f8)) - error(exact), 0.9 * (error(nearest) - error(exact)));
}

TEST(RoundFactors, StayWithinTheLargestValueOfTheType) {
  Matrix a(2, 2), b(1, 2);
  a(0, 0) = 0.148f;  // 0.140625 in f8, so that what it is ahead of 0.125 by falls by a third
  a(1, 0) = 0.125f;
  a(0, 1) = a(1, 1) = 1.f;
  b(0, 0) = 440.f;  // would have to rise by half
  b(0, 1) = -440.f;
  round_factors(a, b, ElementType::f8, {}, 0.0, "w");
  EXPECT_EQ(b(0, 0), 448.f);
  EXPECT_TRUE(std::isfinite(b(0, 1)));
}

TEST(RoundFactors, FoundElsewhereKeepTheirProductBetterThanNearestValuesDo) {
  const Statistics statistics = all_statistics(70, 130);
  Recipe exact = rounding("qera", Metric::gram, ElementType::f32);
  exact.scale = 1.0;
  const Decomposition found = decompose(weight().view(), exact, statistics, "w");
  const auto error = [&](const Matrix& a, const Matrix& b, const Weighed& as_defined) {
    Matrix lost(70, 130);
    linalg::multiply(found.b.view(), linalg::Transpose::no, found.a.view(), linalg::Transpose::no,
                     lost.view());
    linalg::multiply(b.view(), linalg::Transpose::no, a.view(), linalg::Transpose::no, lost.view(),
                     -1.f, 1.f);
    return squared_error(lost, as_defined);
  };
  Matrix nearest_a = found.a, nearest_b = found.b;
  round_to_nearest(nearest_a, ElementType::f8);
  round_to_nearest(nearest_b, ElementType::f8);
  for (const Metric metric : {Metric::frobenius, Metric::gram}) {
    Matrix a = found.a, b = found.b;
    round_factors(a, b, ElementType::f8, metric == Metric::gram ? statistics : Statistics{}, 0.0,
                  "w");
    const Weighed as_defined = weighed(metric, statistics);
    const double of_nearest = error(nearest_a, nearest_b, as_defined);
    EXPECT_LT(error(a, b, as_defined), (metric == Metric::gram ? 0.9 : 1.0) * of_nearest)
        << name(metric);
    EXPECT_GT(error(a, b, as_defined), 0.0);
  }
}

TEST(RoundFactors, OfTwoRanksAreRefusedByName) {
  Matrix a(3, 8), b(5, 4);
  try {
    round_factors(a, b, ElementType::f8, {}, 0.0, "layer.weight");
    ADD_FAILURE() << "expected an InputError";
  } catch (const InputError& error) {
    EXPECT_EQ(error.location().field, "layer.weight");
  }
}

TEST(RoundFactors, OfAZeroMatrixStayZero) {
  const Matrix zero(20, 30);
  const Decomposition found =
      decompose(zero.view(), rounding("loftq", Metric::frobenius, ElementType::f8), {}, "w");
  EXPECT_EQ(linalg::frobenius_norm(found.a.view()), 0.0);
  EXPECT_EQ(linalg::frobenius_norm(found.b.view()), 0.0);
  EXPECT_EQ(found.final_error(), 0.0);
}

}  // namespace
}  // namespace qloft::decompose
