#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "metric_by_definition.h"

namespace qloft::decompose {
namespace {

using testing::HasSubstr;

Recipe closed_form(Metric metric, std::int64_t rank) {
  Recipe recipe = recipe_from(preset("qera"));
  recipe.metric = metric;
  recipe.rank = rank;
  recipe.format.bits = 2;
  recipe.exact_svd = true;
  recipe.damping = 0.0;
  return recipe;
}

// The least squared error of B A ~ r, rank 1, by alternating least squares: given a, the best
// b_i = r_i H a / a H a whatever the row weighs; given b, the best a is a weighted mean of rows,
// whatever H is.
double least_rank_one_error(const Matrix& r, const Weighed& metric) {
  const std::int64_t m = r.rows(), n = r.columns();
  std::vector<double> a(static_cast<std::size_t>(n), 1.0), b(static_cast<std::size_t>(m));
  a[0] = 3.0;
  for (int step = 0; step < 4000; ++step) {
    std::vector<double> ha(a.size(), 0.0);
    double aha = 0, weight = 0;
    for (std::size_t j = 0; j < a.size(); ++j) {
      for (std::size_t k = 0; k < a.size(); ++k) {
        ha[j] += metric.gram(static_cast<std::int64_t>(j), static_cast<std::int64_t>(k)) * a[k];
      }
      aha += a[j] * ha[j];
    }
    for (std::int64_t i = 0; i < m; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < n; ++j) sum += r(i, j) * ha[static_cast<std::size_t>(j)];
      b[static_cast<std::size_t>(i)] = sum / aha;
    }
    std::fill(a.begin(), a.end(), 0.0);
    for (std::int64_t i = 0; i < m; ++i) {
      const double bi = b[static_cast<std::size_t>(i)],
                   w = metric.rows[static_cast<std::size_t>(i)];
      weight += w * bi * bi;
      for (std::int64_t j = 0; j < n; ++j) a[static_cast<std::size_t>(j)] += w * bi * r(i, j);
    }
    for (double& value : a) value /= weight;
  }
  Matrix rest = r;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      rest(i, j) -=
          static_cast<float>(b[static_cast<std::size_t>(i)] * a[static_cast<std::size_t>(j)]);
    }
  }
  return squared_error(rest, metric);
}

constexpr std::array kMetrics = {Metric::frobenius, Metric::fisher, Metric::gram_diagonal,
                                 Metric::gram, Metric::fisher_gram};

TEST(Metric, TheClosedFormIsTheOptimumThatAlternatingLeastSquaresFinds) {
  const Matrix weight = noise(20, 32);
  const Statistics statistics = all_statistics(20, 32);
  for (const Metric metric : kMetrics) {
    const Decomposition found = decompose(weight.view(), closed_form(metric, 1), statistics, "w");
    const Weighed as_defined = weighed(metric, statistics);
    const double least = least_rank_one_error(difference(weight, dequantized(found.q)), as_defined);
    EXPECT_NEAR(squared_error(what_is_left(weight, found), as_defined) / least, 1.0, 1e-4)
        << name(metric);
  }
}

TEST(Metric, ItsErrorIsReportedBesideTheFrobeniusOne) {
  const Matrix weight = noise(20, 32);
  const Statistics statistics = all_statistics(20, 32);
  for (const Metric metric : kMetrics) {
    const Decomposition found = decompose(weight.view(), closed_form(metric, 4), statistics, "w");
    const Weighed as_defined = weighed(metric, statistics);
    const double expected = std::sqrt(squared_error(what_is_left(weight, found), as_defined) /
                                      squared_error(weight, as_defined));
    EXPECT_NEAR(found.final_metric_error(), expected, 1e-5) << name(metric);
    EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6) << name(metric);
  }
}

TEST(Metric, TheRandomizedSolverComesWithinAPercentOfTheExactOne) {
  const Matrix weight = decaying(96, 160);
  const Statistics statistics = all_statistics(96, 160);
  for (const Metric metric : kMetrics) {
    Recipe recipe = closed_form(metric, 8);
    const double exact = decompose(weight.view(), recipe, statistics, "w").final_metric_error();
    recipe.exact_svd = false;
    EXPECT_NEAR(decompose(weight.view(), recipe, statistics, "w").final_metric_error() / exact, 1.0,
                0.01)
        << name(metric);
  }
}

TEST(Metric, EachPairOfFactorsHasEqualLengths) {
  const Statistics statistics = all_statistics(20, 32);
  for (const Metric metric : kMetrics) {
    const Decomposition found =
        decompose(noise(20, 32).view(), closed_form(metric, 3), statistics, "w");
    for (std::int64_t k = 0; k < 3; ++k) {
      double of_a = 0, of_b = 0;
      for (std::int64_t j = 0; j < 32; ++j) of_a += found.a(k, j) * found.a(k, j);
      for (std::int64_t i = 0; i < 20; ++i) of_b += found.b(i, k) * found.b(i, k);
      EXPECT_NEAR(of_a / of_b, 1.0, 1e-3) << name(metric);
    }
  }
}

TEST(Metric, HasANameThatIsReadBack) {
  for (const std::string_view text : metric_names()) {
    EXPECT_EQ(name(metric_from_name(text).value()), text);
  }
  EXPECT_EQ(metric_from_name("grams"), std::nullopt);
}

TEST(Metric, ASingularGramMatrixIsDampedAndThatIsReported) {
  Matrix gram(32, 32);
  for (float& value : gram.values()) value = 2.f;  // one direction alone
  Recipe recipe = closed_form(Metric::gram, 2);
  const Decomposition found = decompose(noise(20, 32).view(), recipe, with_gram(gram), "w");
  EXPECT_GT(found.damping, 0.0);
  EXPECT_LE(found.final_metric_error(), 1.0);
}

TEST(Metric, AnInputThatIsAlwaysZeroIsNoObstacle) {
  Matrix gram = correlated_gram(32);
  for (std::int64_t j = 0; j < 32; ++j) gram(5, j) = gram(j, 5) = 0.f;
  Recipe recipe = closed_form(Metric::gram, 2);
  recipe.quantizer = Quantizer::gptq;
  recipe.damping = 0.01;
  const Decomposition found = decompose(noise(20, 32).view(), recipe, with_gram(gram), "w");
  EXPECT_EQ(found.damping, 0.01);
  EXPECT_TRUE(std::isfinite(found.final_error()));
}

TEST(Metric, StatisticsThatDoNotServeAreNamed) {
  const Statistics good = all_statistics(20, 32);
  const auto message = [](Metric metric, const Statistics& statistics) -> std::string {
    try {
      decompose(noise(20, 32).view(), closed_form(metric, 2), statistics, "layers.0.q");
    } catch (const InputError& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_EQ(message(Metric::gram, {}),
            "layers.0.q, Gram matrix: the metric needs it, and the statistics have none");
  EXPECT_EQ(message(Metric::gram, with_gram(correlated_gram(16))),
            "layers.0.q, Gram matrix: expected the shape [32, 32], found [16, 16]");
  EXPECT_EQ(message(Metric::gram_diagonal, with_gram(Matrix(32, 32))),
            "layers.0.q, Gram matrix: expected inputs, found zeros alone");
  Statistics bad = good;
  bad.gram(3, 3) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(message(Metric::gram, bad), HasSubstr("expected finite values"));
  EXPECT_THAT(message(Metric::fisher, with_gram(good.gram)),
              HasSubstr("Fisher row factors: the metric needs them"));
  bad = good;
  bad.fisher_columns.pop_back();
  EXPECT_EQ(message(Metric::fisher, bad),
            "layers.0.q, Fisher column factors: expected 32, found 31");
  bad = good;
  bad.fisher_rows[2] = -1.f;
  EXPECT_THAT(message(Metric::fisher_gram, bad), HasSubstr("expected finite values from 0"));
  bad = good;
  bad.fisher_rows.assign(20, 0.f);
  EXPECT_THAT(message(Metric::fisher, bad), HasSubstr("found zeros alone"));
}

TEST(FormatErrors, AreThoseOfNearestCodesAfterTheLowRankPart) {
  const Matrix weight = noise(20, 64);
  const Statistics statistics = all_statistics(20, 64);
  const std::vector<quant::Format> formats = {
      {.bits = 2, .scale_rule = quant::ScaleRule::mse, .second_level = {}},
      {.bits = 4, .second_level = {}},
      {.bits = 2, .scale_rule = quant::ScaleRule::mse, .second_level = quant::SecondLevel{}}};
  Recipe recipe = closed_form(Metric::gram, 4);
  recipe.loop = Loop::low_rank_first;
  recipe.iterations = 1;
  const auto errors = format_errors(weight.view(), recipe, formats, statistics, "w");
  ASSERT_EQ(errors.size(), formats.size());
  for (std::size_t i = 0; i < formats.size(); ++i) {
    recipe.format = formats[i];
    const Decomposition found = decompose(weight.view(), recipe, statistics, "w");
    const double squared =
        squared_error(what_is_left(weight, found), weighed(Metric::gram, statistics));
    EXPECT_NEAR(errors[i] / squared, 1.0, 1e-4);
  }
}

TEST(FormatErrors, OfRanksAreWhatTheFactorsLeaveOfTheCodesErrors) {
  const Matrix weight = noise(20, 64);
  const Statistics statistics = all_statistics(20, 64);
  const std::vector<quant::Format> formats = {{.bits = 2, .second_level = {}},
                                              {.bits = 4, .second_level = {}}};
  const std::vector<std::int64_t> ranks = {0, 3, 8};
  Recipe recipe = closed_form(Metric::gram, 16);
  const auto errors = format_errors(weight.view(), recipe, formats, ranks, statistics, "w");
  ASSERT_EQ(errors.size(), formats.size() * ranks.size());
  const auto plain =
      format_errors(weight.view(), closed_form(Metric::gram, 0), formats, statistics, "w");
  for (std::size_t f = 0; f < formats.size(); ++f) {
    EXPECT_NEAR(errors[f * ranks.size()] / plain[f], 1, 1e-5);
    recipe.format = formats[f];
    recipe.loop = Loop::low_rank_first;
    recipe.iterations = 1;
    for (std::size_t r = 1; r < ranks.size(); ++r) {
      recipe.rank = ranks[r];
      const Decomposition one = decompose(weight.view(), recipe, statistics, "w");
      const double first =
          squared_error(what_is_left(weight, one), weighed(Metric::gram, statistics));
      EXPECT_LT(errors[f * ranks.size() + r], first) << formats[f].bits << " " << ranks[r];
      EXPECT_LT(errors[f * ranks.size() + r], errors[f * ranks.size() + r - 1]);
    }
  }
}

}  // namespace
}  // namespace qloft::decompose
