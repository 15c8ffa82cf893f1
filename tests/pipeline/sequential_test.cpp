// quantize --inputs quantized.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "progress.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/pipeline/evaluate.h"
#include "qloft/pipeline/quantize.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "trained_toy.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Sequential : public ::testing::Test {
 protected:
  void SetUp() override { test::write_trained_toy(folder_.path(), "base", 24); }

  QuantizeOptions options(const std::string& output) const {
    QuantizeOptions o;
    o.model = (folder_ / "base").string();
    o.output = folder_ / output;
    o.rank = 2;
    o.bits = 2;
    o.effort = "low";
    o.data = folder_ / "data.jsonl";
    o.inputs = "quantized";
    return o;
  }
  std::string refused(const QuantizeOptions& options) const {
    return test::refusal(quantize, options);
  }
  void expect_same(const std::string& one, const std::string& other) const {
    for (const char* file : {"model.safetensors", "adapter/adapter_model.safetensors"}) {
      EXPECT_EQ(read_file(folder_ / one / file), read_file(folder_ / other / file)) << file;
    }
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Sequential, GivesOtherCodesThanOneMatrixByItself) {
  const QuantizeReport report = quantize(options("out"), silent_);
  EXPECT_THAT(report.chosen, HasSubstr("qloft's loop on quantized inputs"));
  EXPECT_EQ(report.metric, "gram");
  QuantizeOptions o = options("plain");
  o.inputs = "full";
  quantize(o, silent_);
  EXPECT_NE(read_file(folder_ / "out/model.safetensors"),
            read_file(folder_ / "plain/model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "out/states.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "out.work"));
}

// At each place: before the first states are kept, within a block, and behind the last one.
TEST_F(Sequential, GoesOnAfterAnInterruptionToTheSameBytes) {
  const QuantizeReport whole = quantize(options("whole"), silent_);
  const std::uint64_t all = whole.matrices.size();
  for (const std::uint64_t at : {std::uint64_t{1}, all / 2 + 1, all - 1}) {
    const std::string name = "stopped" + std::to_string(at);
    test::StopIn stop("quantize", at);
    EXPECT_THROW(quantize(options(name), stop), Interrupted);
    EXPECT_FALSE(fs::exists(folder_ / name));
    EXPECT_EQ(quantize(options(name), silent_).resumed, static_cast<std::int64_t>(at));
    expect_same("whole", name);
  }
}

TEST_F(Sequential, CountsTokensByTheLossWhereThatIsAsked) {
  const auto by_loss = [&](const std::string& output) {
    QuantizeOptions o = options(output);
    o.token_weights = "loss";
    return o;
  };
  quantize(options("even"), silent_);
  const std::size_t all = quantize(by_loss("whole"), silent_).matrices.size();
  EXPECT_NE(read_file(folder_ / "whole/model.safetensors"),
            read_file(folder_ / "even/model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "whole/fisher.safetensors"));
  test::StopIn stop("quantize", all / 2 + 1);
  EXPECT_THROW(quantize(by_loss("stopped"), stop), Interrupted);
  quantize(by_loss("stopped"), silent_);
  expect_same("whole", "stopped");
}

TEST_F(Sequential, IsTheChoiceOfTheMethodAutoForADecoderWithAText) {
  QuantizeOptions o = options("auto");
  o.inputs = "auto";
  quantize(o, silent_);
  o = options("asked");
  quantize(o, silent_);
  expect_same("auto", "asked");
  // A named method has the inputs that it is published with.
  for (const char* inputs : {"auto", "full"}) {
    o = options(std::string("named-") + inputs);
    o.inputs = inputs;
    o.method = "qloft";
    quantize(o, silent_);
  }
  expect_same("named-auto", "named-full");
}

TEST_F(Sequential, BeginsWithTheBestLowRankPartOfEachMatrixWhereNothingElseIsSaid) {
  const auto start = [&](const std::string& output, const char* inputs, double part) {
    QuantizeOptions o = options(output);
    o.method = "qloft";
    o.inputs = inputs;
    o.low_rank_start = part;
    return quantize(o, silent_).metric_error;
  };
  quantize(options("out"), silent_);
  const double with = start("one", "quantized", 1.0), without = start("zero", "quantized", 0.0);
  expect_same("out", "one");
  EXPECT_LT(with, without);
  QuantizeOptions full = options("full");
  full.inputs = "full";
  quantize(full, silent_);
  start("full-zero", "full", 0.0);
  expect_same("full", "full-zero");
}

TEST_F(Sequential, LeavesNothingBehindWhereItsDataAreBroken) {
  QuantizeOptions o = options("out");
  o.data = folder_ / "broken.jsonl";
  write_file(o.data, R"({"text": "a)");
  EXPECT_THAT(refused(o), HasSubstr("broken.jsonl: line 1: expected JSON"));
  EXPECT_FALSE(fs::exists(folder_ / "out.work"));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(Sequential, TakesTheEmbeddingToo) {
  QuantizeOptions o = options("out");
  o.target_modules = {"embed_tokens", "q_proj", "down_proj"};
  const QuantizeReport report = quantize(o, silent_);
  EXPECT_EQ(report.matrices.front().metric, "frobenius");
  EXPECT_EQ(report.matrices.back().metric, "gram");
}

TEST_F(Sequential, TakesThePlanThatItsDataMake) {
  QuantizeOptions o = options("out");
  o.bits = 2.6;
  const QuantizeReport report = quantize(o, silent_);
  EXPECT_THAT(report.chosen, HasSubstr("with a plan"));
  EXPECT_LE(report.bits_per_weight, 2.6);
}

TEST_F(Sequential, RefusesWhatCannotBeTakenThroughOneBlockAfterTheOther) {
  QuantizeOptions o = options("out");
  o.data.clear();
  EXPECT_THAT(refused(o), HasSubstr("inputs: expected data to run the quantized model on"));
  o = options("out");
  o.method = "qera-approx";
  o.effort.reset();
  EXPECT_THAT(refused(o), HasSubstr("inputs: quantized: expected a method with the metric gram"));
  o = options("out");
  o.metric = "fisher-gram";
  EXPECT_THAT(refused(o), HasSubstr("found fisher-gram"));
  o = options("out");
  o.inputs = "quantised";
  EXPECT_THAT(refused(o),
              HasSubstr("inputs: expected one of auto, full, quantized, found 'quantised'"));
  o = options("out");
  o.inputs = "full";
  o.method = "lq-lora";
  o.metric = "fisher";
  o.effort.reset();
  o.token_weights = "loss";
  EXPECT_THAT(refused(o), HasSubstr("token_weights: the method lq-lora with the metric fisher has "
                                    "no Gram matrix: expected none"));
  o = options("out");
  o.token_weights = "lost";
  EXPECT_THAT(refused(o),
              HasSubstr("token_weights: expected one of auto, even, loss, found 'lost'"));
  EXPECT_FALSE(fs::exists(folder_ / "out.work"));
}

}  // namespace
}  // namespace qloft::pipeline
