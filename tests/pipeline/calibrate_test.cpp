#include "qloft/pipeline/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "apples.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/statistics.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "tiny_llama.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Progress of the bundled model's tensors, before the sequences'.
constexpr std::uint64_t kLoading = 39;

class Calibrate : public ::testing::Test {
 protected:
  void SetUp() override { write_file(folder_ / "text.txt", test::apples()); }
  CalibrateOptions options(const std::string& output) const {
    CalibrateOptions options;
    options.model.model = fs::path(QLOFT_TEST_DATA) / "../examples/bundled/model";
    options.data = folder_ / "text.txt";
    options.output = folder_ / output;
    options.samples = 20;
    options.length = 16;
    return options;
  }
  static std::string refused(const CalibrateOptions& options) {
    return test::refusal(calibrate, options);
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Calibrate, WritesAFileThatSaysWhatItIsOf) {
  const CalibrateReport report = calibrate(options("s"), silent_);
  EXPECT_EQ(report.samples, 20);
  EXPECT_EQ(report.tokens, 320);
  EXPECT_TRUE(report.gram && report.fisher);
  const statistics::File file(folder_ / "s");
  EXPECT_EQ(file.origin().data, "text.txt");
  EXPECT_EQ(file.origin().tokens, 320);
  EXPECT_FALSE(fs::exists(folder_ / "s.partial"));
}

TEST_F(Calibrate, TakesRandomTokensInPlaceOfAText) {
  CalibrateOptions o = options("s");
  o.data.clear();
  EXPECT_THAT(refused(o), HasSubstr("data: expected a text or JSON Lines, or --random-tokens"));
  o.random_tokens = true;
  EXPECT_EQ(calibrate(o, silent_).tokens, 320);
  EXPECT_EQ(statistics::File(o.output).origin().data, "random tokens");
  o.data = folder_ / "text.txt";
  EXPECT_THAT(refused(o), HasSubstr("random_tokens: expected these or data, found both"));
}

TEST_F(Calibrate, CollectsOnlyWhatIsAskedFor) {
  CalibrateOptions fisher = options("fisher");
  fisher.fisher = true;
  calibrate(fisher, silent_);
  EXPECT_THROW(statistics::File(fisher.output)
                   .read("model.layers.0.mlp.down_proj.weight",
                         "model.layers.0.mlp.down_proj.weight", 192, 512, decompose::Metric::gram),
               InputError);
}

TEST_F(Calibrate, GivesTheSameBytesHoweverOftenItIsInterrupted) {
  struct Case {
    const char* token_weights;
    std::int64_t gram_memory;
    std::vector<std::uint64_t> updates;
  };
  // In one pass twice; then after 18 sequences of the Fisher information, and in the second layer
  // of the Gram matrices.
  for (const Case& c : {Case{"even", 2048, {kLoading + 7, kLoading + 11}},
                        Case{"even", 0, {kLoading + 18, kLoading + 10}},
                        Case{"loss", 2048, {kLoading + 7, kLoading + 11}},
                        Case{"loss", 0, {kLoading + 18, kLoading + 10}}}) {
    const auto named = [&](const std::string& name) {
      CalibrateOptions out = options(name + c.token_weights + std::to_string(c.gram_memory));
      out.gram_memory = c.gram_memory;
      out.token_weights = c.token_weights;
      return out;
    };
    EXPECT_EQ(calibrate(named("whole"), silent_).one_pass, c.gram_memory > 0);
    for (const std::uint64_t updates : c.updates) {
      test::StoppingProgress stopping(updates);
      EXPECT_THROW(calibrate(named("parts"), stopping), Interrupted) << updates;
      EXPECT_FALSE(fs::exists(named("parts").output));
    }
    EXPECT_TRUE(calibrate(named("parts"), silent_).resumed);
    EXPECT_EQ(read_file(named("parts").output), read_file(named("whole").output));
  }
}

TEST_F(Calibrate, BeginsAnewWhereGramMatricesAreMadeAnotherWay) {
  test::StoppingProgress stopping(kLoading + 7);
  EXPECT_THROW(calibrate(options("s"), stopping), Interrupted);
  CalibrateOptions other = options("s");
  other.gram_memory = 0;
  EXPECT_FALSE(calibrate(other, silent_).resumed);
}

TEST_F(Calibrate, CountsTokensByTheLossTheSameInOnePassAndLayerByLayer) {
  CalibrateOptions at_once = options("at_once"), by_layers = options("by_layers");
  at_once.token_weights = by_layers.token_weights = "loss";
  at_once.gram = by_layers.gram = true;
  by_layers.gram_memory = 0;
  EXPECT_TRUE(calibrate(at_once, silent_).one_pass);
  EXPECT_FALSE(calibrate(by_layers, silent_).one_pass);
  const statistics::File one(at_once.output), other(by_layers.output);
  EXPECT_EQ(one.origin().token_weights, statistics::TokenWeights::loss);
  const std::string layer = "model.layers.1.self_attn.";
  std::vector<float> before;
  for (const std::string name : {"q_proj", "v_proj"}) {
    const std::string weight = layer + name + ".weight";
    const auto rows = name == "q_proj" ? 192 : 96;
    const auto read = [&](const statistics::File& file) {
      const auto gram =
          file.read(weight, layer + "q_proj.weight", rows, 192, decompose::Metric::gram).gram;
      return std::vector<float>(gram.values().begin(), gram.values().end());
    };
    const std::vector<float> found = read(one), again = read(other);
    ASSERT_EQ(found.size(), again.size());
    const float largest = *std::ranges::max_element(found);
    EXPECT_GT(largest, 0);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], again[i], 1e-4f * largest) << name;
    }
    EXPECT_NE(found, before) << "each matrix has its own";
    before = found;
  }
}

TEST_F(Calibrate, BeginsAnewForOtherOptions) {
  test::StoppingProgress stopping(3);
  EXPECT_THROW(calibrate(options("s"), stopping), Interrupted);
  CalibrateOptions other = options("s");
  other.seed = 5;
  EXPECT_FALSE(calibrate(other, silent_).resumed);
}

TEST_F(Calibrate, RefusesSumsOfAnInterruptedRunThatAreNotOfThisModel) {
  test::StoppingProgress stopping(kLoading + 18);
  EXPECT_THROW(calibrate(options("s"), stopping), Interrupted);
  const fs::path file = folder_ / "s.partial/fisher.safetensors";
  const std::string whole = read_file(file);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    const std::size_t at = text.find(from);
    if (at == std::string::npos) return "no " + from + " in " + whole.substr(0, 200);
    write_file(file, text.replace(at, from.size(), to));
    return refused(options("s"));
  };
  EXPECT_THAT(with(R"("sequences":"1)", R"("sequences":"9)"),
              HasSubstr("fisher.safetensors: sequences: expected 0 to 20"));
  EXPECT_THAT(with(R"("sequences":)", R"("sequencez":)"), HasSubstr("sequences: expected 0 to 20"));
  EXPECT_THAT(with(R"("F64")", R"("I64")"), HasSubstr("sums in F64"));
  EXPECT_THAT(with(R"("F32")", R"("I32")"), HasSubstr("sums in F32"));
}

TEST_F(Calibrate, RefusesAJournalOfMoreLayersThanTheModelHas) {
  CalibrateOptions by_layers = options("s");
  by_layers.gram_memory = 0;
  test::StoppingProgress stopping(kLoading + 21);
  EXPECT_THROW(calibrate(by_layers, stopping), Interrupted);
  const fs::path journal = folder_ / "s.partial/.journal.jsonl";
  write_file(journal, read_file(journal) + "{\"layer\": 9223372036854775807}\n");
  EXPECT_THAT(refused(by_layers), HasSubstr(".journal.jsonl: layer: expected 0 to"));
}

TEST_F(Calibrate, RefusesWhatDoesNotFit) {
  CalibrateOptions wrong = options("s");
  wrong.length = 100000;
  EXPECT_THAT(refused(wrong), HasSubstr("length: expected at most the model's"));
  wrong = options("s");
  wrong.data = folder_ / "nowhere.txt";
  EXPECT_THAT(refused(wrong), HasSubstr("expected a text or JSON Lines, found no such file"));
  wrong = options("s");
  wrong.token_weights = "lost";
  EXPECT_THAT(refused(wrong), HasSubstr("token_weights: expected even or loss, found 'lost'"));
  wrong = options("s");
  wrong.samples = 0;
  EXPECT_THAT(refused(wrong), HasSubstr("samples: expected at least 1, found 0"));
  write_file(folder_ / "s", "something else");
  EXPECT_THAT(refused(options("s")), HasSubstr("is there already"));
}

TEST_F(Calibrate, NamesTheWeightThatIsNotFinite) {
  CalibrateOptions wrong = options("s");
  wrong.model.model = folder_ / "spoiled";
  const std::string weight = "model.layers.0.mlp.down_proj.weight";
  test::spoil(options("s").model.model, folder_ / "spoiled", weight, NAN);
  EXPECT_EQ(refused(wrong), (folder_ / "spoiled").string() + ": " + weight +
                                ": expected finite values, found infinity or NaN");
}

// Weights so large that activations overflow.
TEST_F(Calibrate, WritesNoStatisticsThatAreNotFinite) {
  CalibrateOptions wrong = options("s");
  wrong.model.model = folder_ / "spoiled";
  test::spoil(options("s").model.model, folder_ / "spoiled",
              "model.layers.0.input_layernorm.weight", 3e38f);
  wrong.gram = true;
  EXPECT_THAT(
      test::failure([&] { calibrate(wrong, silent_); }),
      testing::MatchesRegex(".*spoiled/model\\.safetensors: "
                            "model\\.layers\\.0\\.input_layernorm\\.weight: holds values .*; "
                            "model\\.layers\\..*\\.gram: is not finite: .*"));
  EXPECT_FALSE(fs::exists(folder_ / "s"));
}

TEST_F(Calibrate, StatisticsOfAnotherModelAreRefusedByQuantize) {
  calibrate(options("s"), silent_);
  test::write_tiny_llama(folder_ / "other");
  QuantizeOptions quantization;
  quantization.model = folder_ / "other";
  quantization.output = folder_ / "q";
  quantization.method = "cloq";
  quantization.rank = 4;
  quantization.stats = folder_ / "s";
  try {
    quantize(quantization, silent_);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("found those of another model"));
  }
  EXPECT_FALSE(fs::exists(folder_ / "q"));
}

}  // namespace
}  // namespace qloft::pipeline
