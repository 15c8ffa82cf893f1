#include "qloft/pipeline/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "qloft/core/error.h"
#include "qloft/core/threads.h"
#include "qloft/pipeline/quantize.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "tiny_llama.h"

namespace qloft::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Bench : public ::testing::Test {
 protected:
  // The shortest tests that there are, once.
  BenchOptions options(const std::string& model = "model") const {
    BenchOptions o;
    o.model = (folder_ / model).string();
    o.prompt = {4};
    o.decode = {2};
    o.train = {4};
    o.rank = {2};
    o.repetitions = 1;
    o.no_warmup = true;
    return o;
  }

  BenchOptions random() const {
    BenchOptions o = options("shape");
    o.random = true;
    return o;
  }

  void SetUp() override {
    test::write_tiny_llama(folder_ / "model");
    std::filesystem::create_directories(folder_ / "shape");
    io::write_json(folder_ / "shape/config.json", test::tiny_config(false));
  }

  std::vector<std::string> labels(const BenchOptions& o) {
    std::vector<std::string> out;
    for (const BenchRow& row : bench(o, silent_).rows) out.push_back(row.label);
    return out;
  }

  test::TemporaryFolder temporary_;
  std::filesystem::path folder_ = temporary_.path();
  Progress silent_;
};

TEST_F(Bench, GivesARowForEachKindOfTest) {
  const BenchReport report = bench(options(), silent_);
  EXPECT_EQ(report.model, "model");
  EXPECT_EQ(report.architecture, "llama");
  ASSERT_EQ(report.rows.size(), 3u);
  for (const BenchRow& row : report.rows) {
    EXPECT_TRUE(row.tokens_per_second > 0 && std::isfinite(row.tokens_per_second)) << row.label;
    EXPECT_FALSE(row.deviation.has_value()) << "of one repetition";
    EXPECT_DOUBLE_EQ(row.bits_per_weight, 16);
    EXPECT_EQ(row.bytes, 2 * static_cast<std::uint64_t>(report.parameters));
  }
  EXPECT_EQ(report.prompt_tokens_per_second, report.rows[0].tokens_per_second);
  EXPECT_EQ(report.decode_tokens_per_second, report.rows[1].tokens_per_second);
  EXPECT_EQ(report.train_tokens_per_second, report.rows[2].tokens_per_second);
  EXPECT_FALSE(report.rows[1].rank.has_value()) << "a full-precision folder has no adapter";
  EXPECT_EQ(report.rows[2].rank, 2);
}

TEST_F(Bench, MeasuresEachValueOfAList) {
  BenchOptions o = options();
  o.prompt = {4, 0, 8};
  o.depth = {0, 3};
  o.checkpointing = {0, 1};
  EXPECT_THAT(labels(o),
              ElementsAre("prompt 4", "prompt 4 @ 3", "prompt 8", "prompt 8 @ 3", "decode 2",
                          "decode 2 @ 3", "train 4", "train 4, checkpointing"));
  o = options();
  o.decode = o.train = {0};
  o.dtype = {"f32", "bf16"};
  o.matmul = {"float", "int8"};
  o.threads = {1, 2};
  const int before = thread_count();
  EXPECT_EQ(bench(o, silent_).rows.size(), 8u);
  EXPECT_EQ(thread_count(), before);
}

TEST_F(Bench, TakesCachesOfEveryTypeForPromptsAndDecoding) {
  BenchOptions o = options();
  o.dtype = {"f32", "bf16"};
  o.cache_type = {"auto", "int8"};
  std::vector<std::string> found;
  for (const BenchRow& row : bench(o, silent_).rows) {
    found.push_back(row.test + " " + row.dtype + " " + row.cache_type.value_or("-"));
  }
  EXPECT_THAT(found,
              ElementsAre("prompt f32 f32", "prompt f32 int8", "decode f32 f32", "decode f32 int8",
                          "train f32 -", "prompt bf16 bf16", "prompt bf16 int8", "decode bf16 bf16",
                          "decode bf16 int8", "train bf16 -"));
}

TEST_F(Bench, DrawsWeightsForAShapeAlone) {
  BenchOptions o = random();
  o.bits = {4, 2, 16};
  o.prompt = o.train = {0};
  o.random_adapter = {0, 3};
  const BenchReport report = bench(o, silent_);
  ASSERT_EQ(report.rows.size(), 6u);
  EXPECT_LT(report.rows[2].bits_per_weight, report.rows[0].bits_per_weight);
  EXPECT_LT(report.rows[0].bits_per_weight, report.rows[4].bits_per_weight);
  EXPECT_LT(report.rows[2].bytes, report.rows[4].bytes);
  EXPECT_FALSE(report.rows[0].rank.has_value());
  EXPECT_EQ(report.rows[1].rank, 3);
  o.model += "/config.json";
  EXPECT_EQ(bench(o, silent_).model, "shape");
}

TEST_F(Bench, TakesTheAdapterInsideAQuantizedFolder) {
  QuantizeOptions quantizing;
  quantizing.model = options().model;
  quantizing.output = folder_ / "q4";
  quantizing.method = "loftq";
  quantizing.rank = 3;
  quantize(quantizing, silent_);
  BenchOptions o = options("q4");
  o.rank = {};
  for (const BenchRow& row : bench(o, silent_).rows) EXPECT_EQ(row.rank, 3) << row.label;
  o.bare = true;
  const BenchReport bare = bench(o, silent_);
  EXPECT_FALSE(bare.rows[0].rank.has_value());
  EXPECT_EQ(bare.rows[2].rank, 16) << "what is trained needs one";
  EXPECT_LT(bare.rows[0].bits_per_weight, 8);
}

TEST_F(Bench, TakesFactorsOfEveryTypeWhereThereIsAnAdapter) {
  BenchOptions o = options();
  o.decode = {0};
  o.random_adapter = {0, 3};
  o.adapter_type = {"int8", "f32"};
  std::vector<std::string> found;
  for (const BenchRow& row : bench(o, silent_).rows) {
    found.push_back(row.test + " " + row.adapter_type.value_or("-"));
  }
  EXPECT_THAT(found, ElementsAre("prompt -", "prompt int8", "prompt f32", "train -"));
}

TEST_F(Bench, TakesTheOutputMatrixAsItIsStoredAndInEightBitsButWhereItTrains) {
  BenchOptions o = options();
  o.decode = {0};
  o.output_type = {"int8", "stored"};
  std::vector<std::string> found;
  for (const BenchRow& row : bench(o, silent_).rows) {
    found.push_back(row.test + " " + row.output_type.value_or("-"));
  }
  EXPECT_THAT(found, ElementsAre("prompt int8", "prompt stored", "train -"));
}

TEST_F(Bench, KeepsTheRowsThatAnInterruptionFound) {
  BenchOptions o = random();
  test::StoppingProgress after_drawing(1);
  EXPECT_THROW(bench(o, after_drawing), Interrupted);
  test::StoppingProgress after_the_first(2);
  const BenchReport report = bench(o, after_the_first);
  EXPECT_EQ(report.rows.size(), 1u);
  EXPECT_EQ(report.tests, 3);
}

TEST_F(Bench, RefusesWhatCannotBeMeasured) {
  const struct {
    std::function<void(BenchOptions&)> change;
    std::string message;
  } cases[] = {
      {[](auto& o) { o.repetitions = 0; }, "repetitions: expected 1 to"},
      {[](auto& o) { o.prompt = {-1}; }, "prompt: expected 0 to"},
      {[](auto& o) { o.train = {1}; }, "train: expected 0, or at least the 2 tokens"},
      {[](auto& o) { o.decode = {65}; }, "decode: expected at most the model's 64 positions"},
      {[](auto& o) { o.depth = {61}; }, "prompt: expected at most the model's 64 positions"},
      {[](auto& o) { o.prompt = o.decode = o.train = {0}; }, "expected a test, found none"},
      {[](auto& o) { o.checkpointing = {2}; }, "checkpointing: expected 0 to 1, found 2"},
      {[](auto& o) { o.threads = {-1}; }, "threads: expected 0 to 1024, found -1"},
      {[](auto& o) { o.batch = 0; }, "batch: expected 1 to"},
      {[](auto& o) { o.rank = {33}; }, "rank: expected at most"},
      {[](auto& o) { o.random_adapter = {33}; }, "rank: expected at most"},
      {[](auto& o) {
         o.dtype = {"f32", "f64"};
       },
       "dtype: expected auto, f32 or bf16, found 'f64'"},
      {[](auto& o) { o.matmul = {"int4"}; }, "matmul: expected auto, float or int8, found 'int4'"},
      {[](auto& o) { o.cache_type = {"q8"}; },
       "cache_type: expected one of auto, f32, bf16, int8, found 'q8'"},
      {[](auto& o) { o.device = "tpu"; }, "device: expected cpu"},
      {[](auto& o) { o.bits = {4}; }, "bits: is of the weights that --random draws"},
      {[](auto& o) { o.codebook = "nf"; }, "codebook: is of the weights that --random draws"},
      {[](auto& o) { o.random = true, o.bits = {9}; }, "bits: expected 1 to 8, or 16, found 9"},
      {[](auto& o) { o.random = true, o.codebook = "fp"; }, "codebook: expected one of"},
      {[](auto& o) { o.random = true, o.adapter = "a"; }, "adapter: random weights have none"},
      {[](auto& o) { o.bare = true, o.adapter = "a"; }, "bare: expected an adapter or --bare"}};
  for (const auto& c : cases) {
    BenchOptions o = options();
    c.change(o);
    EXPECT_THAT(test::refusal(bench, o), HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace qloft::pipeline
