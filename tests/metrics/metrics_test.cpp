#include "qloft/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/core/error.h"

namespace qloft::metrics {
namespace {

using nlohmann::json;

constexpr double kClose = 1e-12;

// tests/golden/make_metrics.py
const json& golden() {
  static const json values = [] {
    std::ifstream in(std::string(QLOFT_TEST_DATA) + "/golden/metrics.json");
    return json::parse(in);
  }();
  return values;
}

TEST(Metrics, CountsLabelsAsScikitLearnDoes) {
  for (const json& row : golden()["labels"]) {
    const auto predicted = row["predicted"].get<std::vector<std::int64_t>>();
    const auto expected = row["expected"].get<std::vector<std::int64_t>>();
    EXPECT_NEAR(accuracy(predicted, expected), row["accuracy"], kClose) << row;
    EXPECT_NEAR(f1(predicted, expected), row["f1"], kClose) << row;
    EXPECT_NEAR(macro_f1(predicted, expected), row["macro_f1"], kClose) << row;
    EXPECT_NEAR(matthews(predicted, expected), row["matthews"], kClose) << row;
  }
}

void expect_number(double found, const json& expected, const json& row) {
  if (expected.is_null()) {
    EXPECT_TRUE(std::isnan(found)) << row;
  } else {
    EXPECT_NEAR(found, expected, kClose) << row;
  }
}

TEST(Metrics, CorrelatesAsScipyDoes) {
  for (const json& row : golden()["numbers"]) {
    const auto predicted = row["predicted"].get<std::vector<double>>();
    const auto expected = row["expected"].get<std::vector<double>>();
    expect_number(pearson(predicted, expected), row["pearson"], row);
    expect_number(spearman(predicted, expected), row["spearman"], row);
    const double squared = row["mean_squared_error"];
    EXPECT_NEAR(mean_squared_error(predicted, expected), squared, kClose * std::max(1.0, squared));
  }
}

TEST(Metrics, ScoresAnAnswerAsBothScriptsOfSquadDo) {
  for (const json& row : golden()["answers"]) {
    const std::string prediction = row["prediction"];
    const auto answers = row["answers"].get<std::vector<std::string>>();
    EXPECT_EQ(normalize_answer(prediction), row["normalized"].get<std::string>());
    EXPECT_NEAR(answer_score(prediction, answers).exact, row["exact"], kClose) << row;
    EXPECT_NEAR(answer_score(prediction, answers).f1, row["f1"], kClose) << row;
    EXPECT_NEAR(answer_score_v2(prediction, answers).exact, row["exact_v2"], kClose) << row;
    EXPECT_NEAR(answer_score_v2(prediction, answers).f1, row["f1_v2"], kClose) << row;
  }
}

std::vector<SquadItem> squad_items() {
  std::vector<SquadItem> items;
  for (const json& row : golden()["squad_items"]) {
    items.push_back({row["prediction"].get<std::string>(),
                     row["answers"].get<std::vector<std::string>>(),
                     row["no_answer_probability"].get<double>()});
  }
  return items;
}

TEST(Metrics, FindsTheThresholdOfSquad2AsTheOfficialScriptDoes) {
  for (const json& row : golden()["squad_v2"]) {
    const SquadV2Scores scores = squad_v2(squad_items(), row["threshold"]);
    EXPECT_NEAR(scores.all.exact, row["exact"], 1e-9);
    EXPECT_NEAR(scores.all.f1, row["f1"], 1e-9);
    EXPECT_EQ(scores.all.total, row["total"]);
    EXPECT_NEAR(scores.has_answer.exact, row["HasAns_exact"], 1e-9);
    EXPECT_NEAR(scores.has_answer.f1, row["HasAns_f1"], 1e-9);
    EXPECT_EQ(scores.has_answer.total, row["HasAns_total"]);
    EXPECT_NEAR(scores.no_answer.exact, row["NoAns_exact"], 1e-9);
    EXPECT_NEAR(scores.no_answer.f1, row["NoAns_f1"], 1e-9);
    EXPECT_EQ(scores.no_answer.total, row["NoAns_total"]);
    EXPECT_NEAR(scores.best_exact, row["best_exact"], 1e-9);
    EXPECT_EQ(scores.best_exact_threshold, row["best_exact_thresh"]);
    EXPECT_NEAR(scores.best_f1, row["best_f1"], 1e-9);
    EXPECT_EQ(scores.best_f1_threshold, row["best_f1_thresh"]);
  }
}

TEST(Metrics, CountsAMissingPredictionAsWrongInSquad1AndLeavesItOutInSquad2) {
  const std::vector<SquadItem> items = {{"boat", {"the boat"}}, {std::nullopt, {"boat"}}};
  EXPECT_EQ(squad(items).exact, 50);
  EXPECT_EQ(squad(items).total, 2);
  EXPECT_EQ(squad_v2(items).all.exact, 100);
  EXPECT_EQ(squad_v2(items).all.total, 1);
}

void expect_rouge(const RougeScore& found, const json& expected, const json& row) {
  EXPECT_NEAR(found.precision, expected[0], kClose) << row;
  EXPECT_NEAR(found.recall, expected[1], kClose) << row;
  EXPECT_NEAR(found.f1, expected[2], kClose) << row;
}

TEST(Metrics, ScoresSummariesAsRougeScoreDoes) {
  for (const json& row : golden()["rouge"]) {
    const Rouge found =
        rouge(row["reference"].get<std::string>(), row["summary"].get<std::string>(), row["stem"]);
    expect_rouge(found.one, row["rouge1"], row);
    expect_rouge(found.two, row["rouge2"], row);
    expect_rouge(found.l, row["rougeL"], row);
    expect_rouge(found.l_sum, row["rougeLsum"], row);
  }
}

TEST(Metrics, StemsWordsAsNltkDoes) {
  for (const auto& [word, stem] : golden()["stems"].items()) {
    EXPECT_EQ(porter_stem(word), stem.get<std::string>()) << word;
  }
}

TEST(Metrics, RefusesListsOfDifferentLengths) {
  const std::vector<std::int64_t> one = {1}, two = {1, 0}, none;
  EXPECT_THROW(accuracy(one, two), InputError);
  EXPECT_THROW(matthews(none, none), InputError);
  EXPECT_THROW(pearson(std::vector<double>{1}, std::vector<double>{1}), InputError);
  EXPECT_THROW(squad({}), InputError);
  EXPECT_THROW(squad_v2({}), InputError);
  EXPECT_THROW(answer_score("x", {}), InputError);
}

}  // namespace
}  // namespace qloft::metrics
