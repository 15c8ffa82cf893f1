#include "../../src/generate/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "../../src/generate/writer.h"
#include "qloft/core/error.h"

namespace qloft::generate {
namespace {

std::map<tokenizer::TokenId, int> draw(const std::vector<float>& logits, const Sampling& sampling,
                                       int times) {
  Random random(3);
  std::map<tokenizer::TokenId, int> counts;
  for (int i = 0; i < times; ++i) {
    auto copy = logits;
    ++counts[sample(copy, sampling, random)];
  }
  return counts;
}

TEST(Sample, TemperatureZeroTakesTheFirstLargestLogit) {
  std::vector<float> logits = {1, 5, 5, 2};
  Random random(0);
  EXPECT_EQ(sample(logits, {}, random), 1);
}

TEST(Sample, DrawsInProportionToTheSoftmax) {
  const auto counts =
      draw({std::log(0.5f), std::log(0.3f), std::log(0.2f)}, {.temperature = 1}, 20000);
  EXPECT_NEAR(counts.at(0) / 20000.0, 0.5, 0.02);
  EXPECT_NEAR(counts.at(1) / 20000.0, 0.3, 0.02);
  EXPECT_NEAR(counts.at(2) / 20000.0, 0.2, 0.02);
}

TEST(Sample, ALowTemperatureSharpens) {
  const auto counts = draw({std::log(0.6f), std::log(0.4f)}, {.temperature = 0.1}, 1000);
  EXPECT_GT(counts.at(0), 950);
}

TEST(Sample, EachFilterKeepsOnlyItsTokens) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.25f),
                                     std::log(0.15f)};
  const struct {
    const char* what;
    Sampling sampling;
    std::vector<tokenizer::TokenId> kept;
  } cases[] = {
      {"top-k 2", {.temperature = 1, .top_k = 2}, {1, 2}},
      {"top-k beyond the vocabulary", {.temperature = 1, .top_k = 99}, {0, 1, 2, 3}},
      {"top-p 0.7", {.temperature = 1, .top_p = 0.7}, {1, 2}},
      {"top-p of almost nothing", {.temperature = 1, .top_p = 1e-9}, {1}},
      {"min-p 0.25", {.temperature = 1, .min_p = 0.25}, {1, 2, 3}},
      {"min-p 1", {.temperature = 1, .min_p = 1}, {1}},
      {"epsilon 0.12", {.temperature = 1, .epsilon_cutoff = 0.12}, {1, 2, 3}},
      {"typical-p 0.2", {.temperature = 1, .typical_p = 0.2}, {2}},
  };
  for (const auto& c : cases) {
    std::vector<tokenizer::TokenId> seen;
    for (const auto& [id, count] : draw(logits, c.sampling, 2000)) seen.push_back(id);
    EXPECT_EQ(seen, c.kept) << c.what;
  }
}

TEST(Sample, ALogitThatIsNotANumberStopsTheRun) {
  std::vector<float> logits = {0, std::numeric_limits<float>::quiet_NaN()};
  Random random(0);
  EXPECT_THROW(sample(logits, {}, random), ComputationError);
}

TEST(Sampling, RefusesWhatIsOutOfRange) {
  for (const Sampling& wrong :
       {Sampling{.temperature = -1}, Sampling{.top_k = -1}, Sampling{.top_p = 0},
        Sampling{.top_p = 1.1}, Sampling{.min_p = 2}, Sampling{.top_h = 2},
        Sampling{.typical_p = 0}, Sampling{.epsilon_cutoff = 1}, Sampling{.eta_cutoff = -1}}) {
    EXPECT_THROW(wrong.validate(), InputError);
  }
}

TEST(HeldBack, IsTheLongestEndThatMayBecomeAStopString) {
  const struct {
    const char* text;
    std::vector<std::string> stop;
    std::size_t held;
  } cases[] = {
      {"hello", {"END"}, 0}, {"hello E", {"END"}, 1},      {"hello EN", {"END"}, 2},
      {"EE", {"EEF"}, 2},    {"abab", {"abac", "b"}, 2},   {"", {"x"}, 0},
      {"abc", {""}, 0},      {"x\n", {"\n\n", "\nQ:"}, 1},
  };
  for (const auto& c : cases) EXPECT_EQ(held_back(c.text, c.stop), c.held) << c.text;
}

}  // namespace
}  // namespace qloft::generate
