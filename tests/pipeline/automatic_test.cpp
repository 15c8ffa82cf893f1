// The method auto, data, sizes and bits that are no whole number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "qloft/adapter.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/plan.h"
#include "qloft/statistics.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "trained_toy.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// Remembers the stages; asks to stop within the one that begins so, after `units`.
struct Stages : Progress {
  explicit Stages(std::string stop_in_ = "-", std::uint64_t units_ = 0)
      : stop_in(std::move(stop_in_)), units(units_) {}
  void begin(std::string_view stage, std::uint64_t, std::string_view) override {
    stages.emplace_back(stage);
    if (units == 0) update(0, {});
  }
  void update(std::uint64_t done, std::string_view) override {
    stop = stop || (stages.back().starts_with(stop_in) && done >= units);
  }
  bool stop_requested() const override { return stop; }

  std::string stop_in;
  std::uint64_t units;
  std::vector<std::string> stages;
  bool stop = false;
};

class Automatic : public ::testing::Test {
 protected:
  void SetUp() override { test::write_trained_toy(folder_.path(), "base", 24); }

  QuantizeOptions options(const std::string& output) const {
    QuantizeOptions o;
    o.model = (folder_ / "base").string();
    o.output = folder_ / output;
    o.rank = 2;
    return o;
  }
  QuantizeOptions with_data(const std::string& output, double bits) const {
    QuantizeOptions o = options(output);
    o.bits = bits;
    o.data = folder_ / "data.jsonl";
    return o;
  }
  std::string refused(const QuantizeOptions& options) const {
    return test::refusal(quantize, options);
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Automatic, IsTheLoopOfLoftqWithoutData) {
  QuantizeOptions o = options("out");
  o.bits = 3;
  Stages stages;
  const QuantizeReport report = quantize(o, stages);
  EXPECT_THAT(report.chosen, HasSubstr("LoftQ's loop, nf3"));
  EXPECT_THAT(report.reason, HasSubstr("--data TEXT"));
  EXPECT_EQ(report.matrices[0].relative_error.size(), 5u);
  EXPECT_THAT(stages.stages, ::testing::ElementsAre("quantize"));
  o.method = "loftq";
  o.output = folder_ / "named";
  EXPECT_EQ(quantize(o, silent_).chosen, "");
}

TEST_F(Automatic, TakesLloydMaxCodesAtTwoBitsWithoutData) {
  QuantizeOptions o = options("out");
  o.bits = 2;
  const QuantizeReport report = quantize(o, silent_);
  EXPECT_THAT(report.chosen, HasSubstr("LoftQ's loop, lloyd2"));
  o.output = folder_ / "asked";
  o.codebook = "nf";
  EXPECT_THAT(quantize(o, silent_).chosen, HasSubstr("LoftQ's loop, nf2"));
}

TEST_F(Automatic, PlansAmongTheFormatsThatItTakesAtWholeBits) {
  const auto& sets = plan::candidate_sets();
  const auto own = std::ranges::find(sets, "auto", &plan::CandidateSet::name);
  for (const quant::Format& format : own->formats) {
    QuantizeOptions o = options("out" + std::to_string(format.bits));
    o.bits = format.bits;
    EXPECT_THAT(quantize(o, silent_).chosen, HasSubstr(", " + format.describe() + ","));
  }
}

TEST_F(Automatic, PlansForBitsThatAreNoWholeNumberAndForASize) {
  QuantizeOptions o = options("out");
  o.bits = 3.4;
  const QuantizeReport report = quantize(o, silent_);
  EXPECT_LE(report.bits_per_weight, 3.4);
  EXPECT_GT(report.bits_per_weight, 3.3);
  EXPECT_THAT(report.chosen, HasSubstr("LoftQ's loop with a plan"));
  EXPECT_FALSE(fs::exists(folder_ / "out.work"));

  o.output = folder_ / "sized";
  o.bits.reset();
  o.size = "30KB";
  EXPECT_GT(quantize(o, silent_).matrices.size(), 0u);
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "sized")) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  EXPECT_LT(bytes, 30'000u + 10'000u);  // and the headers of the files
}

TEST_F(Automatic, SharesASizeAmongCodesAndAdapterWhereNoRankIsGiven) {
  QuantizeOptions o = options("out");
  o.rank.reset();
  o.size = "60KB";
  o.data = folder_ / "data.jsonl";
  o.effort = "low";
  const QuantizeReport report = quantize(o, silent_);
  EXPECT_THAT(report.chosen, HasSubstr("rank"));
  const auto adapter = adapter::load(folder_ / "out/adapter");
  for (const auto& [module, factors] : adapter.modules) {
    const std::int64_t rank = factors.a.rows();
    EXPECT_TRUE(rank == 8 || rank == 16) << module << " " << rank;  // no side is above 32
  }
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "out")) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  EXPECT_LT(bytes, 60'000u + 10'000u);  // and the headers of the files
}

TEST_F(Automatic, CalibratesPlansAndQuantizesWithData) {
  QuantizeOptions o = with_data("whole", 2.5);
  Stages stages;
  const QuantizeReport report = quantize(o, stages);
  EXPECT_THAT(report.chosen, HasSubstr("qloft's loop with a plan"));
  EXPECT_EQ(report.metric, "gram");
  EXPECT_THAT(stages.stages, Contains(HasSubstr("errors of")));
  EXPECT_FALSE(fs::exists(folder_ / "whole.work"));

  // Stopped at its second matrix, it goes on there: statistics and plan are taken as they are.
  o.output = folder_ / "stopped";
  Stages stop("quantize", 2);
  EXPECT_THROW(quantize(o, stop), Interrupted);
  std::size_t by_loss = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "stopped.work")) {
    if (entry.path().extension() != ".safetensors") continue;
    const statistics::File file(entry.path());
    by_loss += file.origin().token_weights == statistics::TokenWeights::loss ? 1 : 0;
  }
  EXPECT_EQ(by_loss, 1u) << "what the plan compares matrices by";
  Stages again;
  EXPECT_EQ(quantize(o, again).resumed, 2);
  EXPECT_THAT(again.stages, Not(Contains(HasSubstr("errors of"))));
  EXPECT_FALSE(fs::exists(folder_ / "stopped.work"));
  for (const char* file : {"model.safetensors", "adapter/adapter_model.safetensors"}) {
    EXPECT_EQ(read_file(folder_ / "stopped" / file), read_file(folder_ / "whole" / file)) << file;
  }
}

TEST_F(Automatic, IsQloftInOneFormatAtWholeBitsWithData) {
  QuantizeOptions o = with_data("out", 3);
  Stages stages;
  const QuantizeReport report = quantize(o, stages);
  EXPECT_THAT(report.chosen, HasSubstr("qloft's loop on quantized inputs, trellis3"));
  EXPECT_THAT(stages.stages, Not(Contains(HasSubstr("errors of"))));
}

TEST_F(Automatic, CalibratesOnRandomTokensWhereThereIsNoText) {
  for (const char* name : {"once", "again"}) {
    QuantizeOptions o = options(name);
    o.bits = 2;
    o.effort = "low";
    o.random_tokens = true;
    const QuantizeReport report = quantize(o, silent_);
    EXPECT_THAT(report.chosen, HasSubstr("qloft's loop, trellis-short 2"));
    EXPECT_EQ(report.metric, "gram");
    EXPECT_FALSE(fs::exists(folder_ / (std::string(name) + ".work")));
  }
  EXPECT_EQ(read_file(folder_ / "once/model.safetensors"),
            read_file(folder_ / "again/model.safetensors"));
  QuantizeOptions both = with_data("out", 2);
  both.random_tokens = true;
  EXPECT_THAT(refused(both), HasSubstr("random_tokens: expected these, a text or the statistics"));
}

TEST_F(Automatic, TakesTheQuickerSearchOfALowerEffortWithAPlanToo) {
  QuantizeOptions o = with_data("one", 2);
  o.effort = "low";
  EXPECT_THAT(quantize(o, silent_).chosen, HasSubstr("trellis-short 2"));
  o.output = folder_ / "planned";
  o.bits = 2.5;
  for (const QuantizedMatrix& matrix : quantize(o, silent_).matrices) {
    EXPECT_THAT(matrix.format, ::testing::AnyOf(HasSubstr("trellis-short"), HasSubstr("lloyd")));
  }
}

TEST_F(Automatic, RefusesWhatDoesNotFitBeforeAnyWork) {
  QuantizeOptions o = options("out");
  o.bits = -2;
  EXPECT_EQ(refused(o), "bits: expected a number above 0");
  o.bits = 2.5;
  o.size = "1MB";
  EXPECT_EQ(refused(o), "size: expected bits or a size, found both");
  o.ranks = {2, 4};
  o.bits.reset();
  EXPECT_EQ(refused(o), "rank: expected a rank or ranks, found both");
  o.ranks.clear();
  o.bits = 2.5;
  o.size.reset();
  o.codebook = "lloyd";
  EXPECT_THAT(
      refused(o),
      HasSubstr("bits: expected a whole number, and no ranks, beside options of one format"));
  o = options("out");
  o.effort = "low";
  EXPECT_THAT(refused(o), HasSubstr("effort: expected none with the method auto"));
  o = options("out");
  o.data = folder_ / "nowhere.txt";
  EXPECT_THAT(refused(o), HasSubstr("nowhere.txt: no such file"));
  o.data = folder_ / "data.jsonl";
  o.stats = folder_ / "stats";
  EXPECT_THAT(refused(o), HasSubstr("data: expected a text or the statistics of one"));
  o.stats.clear();
  o.rank = 999;
  EXPECT_THAT(refused(o), HasSubstr("expected a rank of at most"));
  fs::create_directory(folder_ / "out");
  write_file(folder_ / "out/kept", "");
  o.rank = 2;
  EXPECT_THAT(refused(o), HasSubstr("the output folder is not empty"));
  EXPECT_FALSE(fs::exists(folder_ / "out.work"));
}

}  // namespace
}  // namespace qloft::pipeline
