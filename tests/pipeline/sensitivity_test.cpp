#include "qloft/pipeline/sensitivity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "apples.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/evaluate/task.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/evaluate.h"
#include "qloft/pipeline/plan.h"
#include "qloft/pipeline/quantize.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "tiny_llama.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::uint64_t kBundledTensors = 38;  // tensors of the bundled model

class SensitivityStage : public ::testing::Test {
 protected:
  void SetUp() override { write_file(folder_ / "text.txt", test::apples()); }
  SensitivityOptions options(const std::string& output) const {
    SensitivityOptions options;
    options.quantize.model = (fs::path(QLOFT_TEST_DATA) / "../examples/bundled/model").string();
    options.quantize.method = "loftq";
    options.quantize.bits = 2;
    options.quantize.rank = 2;
    options.quantize.iterations = 1;
    options.data = folder_ / "text.txt";
    options.output = folder_ / output;
    options.windows = 2;
    options.window = 32;
    options.dtype = "f32";
    return options;
  }
  static std::string refused(const SensitivityOptions& options) {
    return test::refusal(sensitivity, options);
  }
  // Of sequences of the text.
  fs::path statistics_with(const std::string& token_weights, std::int64_t samples = 8,
                           std::int64_t length = 32) {
    CalibrateOptions c;
    c.model.model = options("").quantize.model;
    c.data = folder_ / "text.txt";
    c.output = folder_ / "stats";
    c.samples = samples;
    c.length = length;
    c.token_weights = token_weights;
    calibrate(c, silent_);
    return c.output;
  }
  double loss_of(const std::string& model) {
    EvaluateOptions o;
    o.task = "perplexity";
    o.model.model = model;
    o.model.dtype = "f32";
    o.data = folder_ / "text.txt";
    o.settings = evaluate::all_settings();
    evaluate::set(o.settings, "window", std::int64_t{32});
    evaluate::set(o.settings, "limit", std::int64_t{2});
    return *evaluate(o, silent_).scores.find("nll_mean");
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(SensitivityStage, MeasuresWhatAFolderWithThatMatrixAloneLoses) {
  SensitivityOptions o = options("s.json");
  o.match = {"layers.1.self_attn.v_proj", "layers.3.mlp.down_proj"};
  const SensitivityReport report = sensitivity(o, silent_);
  ASSERT_EQ(report.matrices.size(), 2u);
  EXPECT_NEAR(report.loss, loss_of(o.quantize.model), 1e-5);
  for (const SensitiveMatrix& matrix : report.matrices) {
    QuantizeOptions q = o.quantize;
    q.target_modules = {matrix.name.substr(0, matrix.name.rfind('.'))};
    q.output = folder_ / matrix.kind;
    const QuantizeReport quantized = quantize(q, silent_);
    EXPECT_NEAR(matrix.loss_increase, loss_of(q.output.string()) - report.loss, 1e-4);
    EXPECT_NEAR(matrix.relative_error, quantized.relative_error, 1e-5);
    EXPECT_GT(matrix.divergence, 0);
  }
}

// The folder's two other matrices stay quantized.
TEST_F(SensitivityStage, RestoresOneMatrixOfAQuantizedFolderAtATime) {
  QuantizeOptions q = options("").quantize;
  q.target_modules = {"layers.1.self_attn.v_proj", "layers.1.mlp.up_proj",
                      "layers.3.mlp.down_proj"};
  q.output = folder_ / "all";
  quantize(q, silent_);
  SensitivityOptions o = options("s.json");
  o.quantize = QuantizeOptions();
  o.quantize.model = q.model;
  o.restore = q.output;
  o.match = {"v_proj", "up_proj"};
  const SensitivityReport report = sensitivity(o, silent_);
  ASSERT_EQ(report.matrices.size(), 2u);
  EXPECT_EQ(report.rank, 2);
  const double with_all = loss_of(q.output.string());
  for (const SensitiveMatrix& matrix : report.matrices) {
    QuantizeOptions others = q;
    std::erase_if(others.target_modules,
                  [&](const std::string& module) { return module.ends_with(matrix.kind); });
    others.output = folder_ / matrix.kind;
    quantize(others, silent_);
    EXPECT_NEAR(matrix.loss_increase, with_all - loss_of(others.output.string()), 1e-4);
    EXPECT_LT(matrix.divergence, report.restored_divergence.value());
  }
  const auto refused_with = [&](const auto& change) {
    SensitivityOptions wrong = o;
    wrong.output = folder_ / "wrong.json";
    change(wrong);
    return refused(wrong);
  };
  EXPECT_THAT(refused_with([](auto& w) { w.quantize.bits = 3; }),
              HasSubstr("bits: expected none beside --restore"));
  EXPECT_THAT(refused_with([](auto& w) { w.restore = w.quantize.model; }),
              HasSubstr("expected a quantized folder, found a model that is not"));
  test::write_tiny_llama(folder_ / "other");
  q.model = (folder_ / "other").string();
  q.target_modules = {"v_proj"};
  q.output = folder_ / "of_other";
  quantize(q, silent_);
  EXPECT_THAT(refused_with([&](auto& w) { w.restore = folder_ / "of_other"; }),
              HasSubstr("expected a folder that was quantized from"));
}

// To second order half the mean of the gradient times the change of the output, squared.
TEST_F(SensitivityStage, PredictsTheLossByAGramMatrixInWhichTokensCountByIt) {
  SensitivityOptions o = options("s.json");
  o.quantize.stats = statistics_with("loss");
  o.layers = {1};
  for (const SensitiveMatrix& m : sensitivity(o, silent_).matrices) {
    EXPECT_NEAR(m.predicted_loss.value(), m.gram_squared_error.value() * 32 / (2 * 31),
                1e-9 * m.predicted_loss.value());
  }
}

TEST_F(SensitivityStage, ReportsEveryErrorThatTheStatisticsAllow) {
  SensitivityOptions o = options("s.json");
  o.quantize.stats = statistics_with("even");
  o.layers = {0, 2};
  const SensitivityReport report = sensitivity(o, silent_);
  ASSERT_EQ(report.matrices.size(), 14u);
  for (const SensitiveMatrix& m : report.matrices) {
    EXPECT_GT(m.gram_error.value(), 0);
    EXPECT_GT(m.predicted_loss.value(), 0);
    EXPECT_GE(m.input_peak.value(), 1);
    EXPECT_LE(m.top_share.value(), 1);
    EXPECT_GE(m.worst_output_error, m.relative_error);
  }
  ASSERT_EQ(report.ranks.size(), 8u);
  EXPECT_EQ(report.ranks[0].kind, "all");
  EXPECT_EQ(report.ranks[0].matrices, 14);
  ASSERT_TRUE(report.ranks[0].predicted_loss);
  EXPECT_LE(std::abs(*report.ranks[0].predicted_loss), 1 + 1e-12);
  EXPECT_FALSE(report.ranks[1].relative_error);  // of two matrices
  // Without statistics there is none of these.
  SensitivityOptions plain = options("plain.json");
  plain.match = {"v_proj"};
  const SensitivityReport none = sensitivity(plain, silent_);
  EXPECT_FALSE(none.matrices[0].gram_error || none.matrices[0].predicted_loss);
  EXPECT_FALSE(none.predicted_loss);
}

// Nearest codes, without damping worth the name.
TEST_F(SensitivityStage, PredictsWhatAPlanByTheFisherGramErrorSums) {
  const fs::path stats = statistics_with("even", 40, 16);
  SensitivityOptions o = options("s.json");
  o.quantize.rank = 0;
  o.quantize.bits = 3;
  o.quantize.stats = stats;
  const SensitivityReport report = sensitivity(o, silent_);
  write_file(
      folder_ / "formats.json",
      R"([{"bits": 3, "codebook": "nf", "block": 64, "scale": "absmax", "scale_type": "f32"}])");
  PlanOptions p;
  p.model = o.quantize.model;
  p.output = folder_ / "plan.json";
  p.candidates = (folder_ / "formats.json").string();
  p.size = "1GB";
  p.rank = 0;
  p.metric = "fisher-gram";
  p.stats = stats;
  p.damping = 1e-6;
  const PlanReport planned = plan(p, silent_);
  // The Gram matrix of so plain a text is singular, and damped a little.
  EXPECT_NEAR(planned.objective / report.predicted_loss.value(), 1, 0.06);
}

TEST_F(SensitivityStage, GoesOnAfterAnInterruptionToTheSameFigures) {
  const auto figures = [](const SensitivityOptions& o) {
    io::Json json = io::read_json(o.output);
    json.erase("seconds");
    json.erase("peak_memory");
    for (io::Json& matrix : json["matrices"]) matrix.erase("seconds");
    return json;
  };
  SensitivityOptions whole = options("whole.json"), parts = options("parts.json");
  whole.layers = parts.layers = {3};
  sensitivity(whole, silent_);
  test::StoppingProgress stopping(kBundledTensors + 3);
  EXPECT_THROW(sensitivity(parts, stopping), Interrupted);
  EXPECT_FALSE(fs::exists(parts.output));
  EXPECT_EQ(sensitivity(parts, silent_).resumed, 3);
  EXPECT_EQ(figures(parts), figures(whole));
  EXPECT_FALSE(fs::exists(folder_ / "parts.json.partial"));
}

TEST_F(SensitivityStage, RefusesWhatItCannotMeasure) {
  const auto with = [&](auto change) {
    SensitivityOptions o = options("s.json");
    change(o);
    return refused(o);
  };
  EXPECT_THAT(with([](auto& o) { o.layers = {4}; }),
              HasSubstr("layers: expected layers of this model, found 4"));
  EXPECT_THAT(with([](auto& o) { o.match = {"x_proj"}; }),
              HasSubstr("match: expected a part of the name of some matrix"));
  EXPECT_THAT(with([](auto& o) { o.quantize.bits = 2.5; }), HasSubstr("bits: expected a whole"));
  EXPECT_THAT(with([](auto& o) { o.windows = 0; }), HasSubstr("windows: expected at least 1"));
  EXPECT_THAT(with([](auto& o) { o.window = 100000; }), HasSubstr("window: expected at most"));
  EXPECT_THAT(with([](auto& o) { o.data = "nowhere"; }), HasSubstr("no such file"));
  EXPECT_THAT(with([](auto& o) { o.quantize.method = "qloft"; }), HasSubstr("stats: expected"));
  write_file(folder_ / "s.json", "mine");
  EXPECT_THAT(refused(options("s.json")), HasSubstr("s.json"));
  EXPECT_EQ(read_file(folder_ / "s.json"), "mine");
}

}  // namespace
}  // namespace qloft::pipeline
