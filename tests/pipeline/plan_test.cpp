#include "qloft/pipeline/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "apples.h"
#include "qloft/adapter.h"
#include "qloft/core/error.h"
#include "qloft/decompose.h"
#include "qloft/io/field_json.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/pipeline/report_fields.h"
#include "qloft/pipeline/sensitivity.h"
#include "qloft/quantized.h"
#include "qloft/quantized/model_files.h"
#include "qloft/statistics.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "tiny_llama.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// Three formats keep it quick: 2, 3 and 4 bits, block 16, bf16 scales (3, 4 and 5 stored bits in
// the 32 columns of most of the tiny model's matrices).
constexpr const char* kFormats = R"([
  {"bits": 2, "codebook": "nf", "block": 16, "scale": "absmax", "scale_type": "bf16"},
  {"bits": 3, "codebook": "nf", "block": 16, "scale": "absmax", "scale_type": "bf16"},
  {"bits": 4, "codebook": "nf", "block": 16, "scale": "absmax", "scale_type": "bf16"}])";

class Plan : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_llama(folder_ / "base");
    write_file(folder_ / "formats.json", kFormats);
  }

  PlanOptions options(double bits) const {
    PlanOptions options;
    options.model = (folder_ / "base").string();
    options.output = folder_ / "plan.json";
    options.overwrite = true;
    options.bits = bits;
    options.candidates = (folder_ / "formats.json").string();
    options.rank = 4;
    return options;
  }
  QuantizeOptions by_plan() const {
    QuantizeOptions options;
    options.model = (folder_ / "base").string();
    options.output = folder_ / "out";
    options.plan = folder_ / "plan.json";
    options.rank = 4;
    options.iterations = 1;
    return options;
  }
  template <typename Stage, typename Options>
  std::string refused(Stage stage, const Options& options) const {
    return test::refusal(stage, options);
  }
  // Quantizes by the plan after `change` to its JSON.
  template <typename Change>
  std::string refused_plan(Change change) {
    io::Json json = io::read_json(folder_ / "plan.json");
    change(json);
    io::write_json(folder_ / "edited.json", json);
    QuantizeOptions options = by_plan();
    options.plan = folder_ / "edited.json";
    return refused(quantize, options);
  }
  std::vector<fs::path> error_files() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().filename().string().starts_with("errors-")) out.push_back(entry.path());
    }
    return out;
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Plan, IsWhatQuantizeStores) {
  const PlanReport report = plan(options(4.3), silent_);
  EXPECT_EQ(report.matrices, 14);
  EXPECT_LE(report.bits_per_weight, 4.3);
  EXPECT_GT(report.bits_per_weight, 4.2);
  EXPECT_GE(report.formats.size(), 2u);

  const QuantizeReport quantized = quantize(by_plan(), silent_);
  EXPECT_DOUBLE_EQ(quantized.bits_per_weight, report.bits_per_weight);
  EXPECT_EQ(quantized.format, std::to_string(report.formats.size()) + " formats");
  const io::Json json = io::read_json(folder_ / "plan.json");
  const auto config = quantized::read_config(checkpoint::Checkpoint(folder_ / "out"));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->matrices.size(), json["matrices"].size());
  for (const auto& [name, entry] : config->matrices) {
    EXPECT_EQ(json["matrices"][name], entry.format.describe()) << name;
  }
}

TEST_F(Plan, WritesWhatAPersonReads) {
  const PlanReport report = plan(options(4.3), silent_);
  const io::Json json = io::read_json(folder_ / "plan.json");
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["model"], (folder_ / "base").string());
  EXPECT_EQ(json["strategy"], "ilp");
  EXPECT_EQ(json["metric"], "frobenius");
  EXPECT_EQ(json["budget"]["bits"], 4.3);
  EXPECT_EQ(json["bits_per_weight"], report.bits_per_weight);
  EXPECT_EQ(json["objective"], report.objective);
  EXPECT_EQ(json["gap"], report.gap);
  EXPECT_TRUE(json["seconds"].is_number());
  EXPECT_EQ(json["formats"]["nf3 block 16 absmax bf16"]["bits"], 3);
}

// The tiny model's adapter of rank 4 in bf16 takes 11.4 bits a weight: ranks are what there is to
// save.
TEST_F(Plan, OfRanksSharesOneBudgetAmongCodesAndFactors) {
  PlanOptions o = options(9);
  o.ranks = {0, 1, 2, 4};
  o.adapter_dtype = "bf16";
  const PlanReport report = plan(o, silent_);
  EXPECT_EQ(report.candidates, 3 * 4);
  EXPECT_LE(report.bits_per_weight, 9);
  const io::Json ranks = io::read_json(folder_ / "plan.json")["ranks"];
  EXPECT_EQ(ranks.size(), 14u);

  QuantizeOptions q = by_plan();
  q.adapter_dtype = "bf16";
  const QuantizeReport quantized = quantize(q, silent_);
  EXPECT_NEAR(quantized.total_bits_per_weight, report.bits_per_weight, 1e-9);
  const auto adapter = adapter::load(folder_ / "out/adapter");
  std::set<std::int64_t> seen;
  for (const auto& [name, rank] : ranks.items()) {
    const std::string module = name.substr(0, name.rfind('.'));
    seen.insert(rank.get<std::int64_t>());
    ASSERT_EQ(adapter.modules.contains(module), rank != 0) << name;
    if (rank == 0) continue;
    EXPECT_EQ(adapter.modules.at(module).a.rows(), rank) << name;
    EXPECT_EQ(adapter.config.scale_of(module), 1) << name;
  }
  EXPECT_GE(seen.size(), 2u);

  q.alpha = 8;  // as PEFT has it: one alpha, over the rank of each
  q.overwrite = true;
  quantize(q, silent_);
  const auto scaled = adapter::load(folder_ / "out/adapter");
  for (const auto& [module, factors] : scaled.modules) {
    EXPECT_EQ(scaled.config.scale_of(module), 8.0 / static_cast<double>(factors.a.rows()));
  }
}

TEST_F(Plan, OfRanksLeavesNoMoreThanAnyOneRank) {
  PlanOptions o = options(5);
  o.adapter_dtype = "nf8";
  o.ranks = {0, 1, 2};
  const double best = plan(o, silent_).objective;
  for (const std::int64_t rank : {0, 1}) {
    o.ranks = {rank};
    EXPECT_LE(best, plan(o, silent_).objective) << rank;
  }
}

TEST_F(Plan, ThatQuantizeMakesMayChooseRanks) {
  QuantizeOptions q = by_plan();
  q.plan.reset();
  q.method = "lq-lora";
  q.bits = 10;
  q.rank.reset();
  q.ranks = {1, 2};
  q.adapter_dtype = "bf16";
  const QuantizeReport report = quantize(q, silent_);
  EXPECT_LE(report.total_bits_per_weight, 10);
  EXPECT_GT(report.total_bits_per_weight, 8);
  q.bits.reset();
  EXPECT_THAT(refused(quantize, q), HasSubstr("ranks: expected a budget"));
  plan(options(4.3), silent_);
  q.plan = folder_ / "plan.json";
  q.overwrite = true;
  EXPECT_THAT(refused(quantize, q), HasSubstr("ranks: expected none beside --plan"));
}

TEST_F(Plan, WhoseRanksDoNotFitIsRefusedByTheMatrix) {
  PlanOptions o = options(7);
  o.ranks = {1, 2};
  plan(o, silent_);
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  EXPECT_THAT(
      refused_plan([&](io::Json& json) { json["ranks"].erase(query); }),
      HasSubstr("ranks: expected a rank for every matrix that has factors, found none for " +
                query));
  EXPECT_THAT(refused_plan([&](io::Json& json) { json["ranks"][query] = -1; }),
              HasSubstr("ranks." + query + ": expected"));
  EXPECT_THAT(refused_plan([&](io::Json& json) { json["ranks"][query] = 99; }),
              HasSubstr("expected a rank of at most"));
  EXPECT_THAT(refused_plan([&](io::Json& json) { json["ranks"]["no.weight"] = 1; }),
              HasSubstr("ranks.no.weight: expected one of the plan's matrices"));
}

TEST_F(Plan, ReachesASizeThatIsTheFoldersOwn) {
  PlanOptions o = options(0);
  o.bits.reset();
  o.size = "19 KB";
  const PlanReport report = plan(o, silent_);
  EXPECT_LE(report.model_bytes, 19000u);
  EXPECT_GT(report.model_bytes, 18500u);
  quantize(by_plan(), silent_);
  std::uint64_t stored = 0;
  for (const fs::path& folder : {folder_ / "out", folder_ / "out/adapter"}) {
    const std::string file = fs::exists(folder / "model.safetensors") ? "model.safetensors"
                                                                      : "adapter_model.safetensors";
    const io::SafetensorsFile tensors(folder / file);
    for (const io::TensorInfo& tensor : tensors.tensors()) stored += tensor.bytes();
  }
  EXPECT_EQ(stored, report.model_bytes);
}

TEST_F(Plan, KeepsItsErrorsForOtherBudgetsAndStrategies) {
  EXPECT_EQ(plan(options(4.3), silent_).known, 0);
  PlanOptions o = options(3.5);
  o.strategy = "greedy";
  EXPECT_EQ(plan(o, silent_).known, 14);
  EXPECT_EQ(error_files().size(), 1u);
  o.rank = 2;
  EXPECT_EQ(plan(o, silent_).known, 0);
}

TEST_F(Plan, SumsNatsWhereTokensCountByTheLoss) {
  const fs::path model = fs::path(QLOFT_TEST_DATA) / "../examples/bundled/model";
  write_file(folder_ / "text.txt", test::apples());
  write_file(
      folder_ / "one.json",
      R"([{"bits": 2, "codebook": "nf", "block": 16, "scale": "absmax", "scale_type": "f32"}])");
  CalibrateOptions c;
  c.model.model = model.string();
  c.data = folder_ / "text.txt";
  c.samples = 4;
  c.length = 16;
  c.output = folder_ / "stats";
  c.token_weights = "loss";
  calibrate(c, silent_);
  PlanOptions o = options(4);
  o.model = model.string();
  o.candidates = (folder_ / "one.json").string();
  o.target_modules = {"k_proj"};
  o.stats = c.output;
  const statistics::File file(c.output);
  const quantized::ModelFiles files(model);
  quant::Format format;
  format.bits = 2;
  format.block = 16;
  for (const decompose::Metric metric : {decompose::Metric::gram, decompose::Metric::fisher_gram}) {
    double sum = 0;
    for (const architecture::ParameterId id : architecture::linear_layers(files.layout())) {
      const architecture::Parameter& p = files.layout().parameter(id);
      if (!p.module().ends_with("k_proj")) continue;
      const auto known = file.read(p.name, files.layout().parameter(p.input_of).name, p.rows(),
                                   p.columns(), metric);
      double rows = 0;
      for (const float factor : known.fisher_rows) {
        rows += static_cast<double>(factor) * factor / static_cast<double>(p.rows());
      }
      decompose::Recipe recipe;
      recipe.rank = 4;
      recipe.metric = metric;
      const double error = decompose::format_errors(files.read_matrix(id).view(), recipe,
                                                    std::span(&format, 1), known, p.name)
                               .front();
      sum += metric == decompose::Metric::gram ? error : error / rows;
    }
    o.metric = decompose::name(metric);
    EXPECT_NEAR(plan(o, silent_).objective, sum * 16 / (2 * 15), 1e-5 * sum) << o.metric;
  }
}

// A report by which one matrix costs all there is: it gets the most bits.
TEST_F(Plan, GoesByADivergenceThatWasMeasured) {
  const quantized::ModelFiles files(folder_ / "base");
  const std::string costly = "model.layers.0.self_attn.k_proj.weight";
  SensitivityReport report;
  for (const architecture::ParameterId id : architecture::linear_layers(files.layout())) {
    const architecture::Parameter& p = files.layout().parameter(id);
    SensitiveMatrix matrix;
    matrix.name = p.name;
    matrix.bits_per_weight = 3;
    matrix.divergence = p.name == costly ? 5 : -0.001;
    report.matrices.push_back(matrix);
  }
  io::Json json = io::fields_to_json(report);
  json["version"] = 1;
  io::write_json(folder_ / "report.json", json);
  PlanOptions o = options(3.2);
  const auto bits_of = [&] {
    plan(o, silent_);
    const io::Json made = io::read_json(folder_ / "plan.json");
    return made["formats"][made["matrices"][costly].get<std::string>()]["bits"].get<int>();
  };
  EXPECT_LT(bits_of(), 4);
  o.sensitivity = folder_ / "report.json";
  EXPECT_EQ(bits_of(), 4);

  json["matrices"].erase(json["matrices"].begin());
  io::write_json(folder_ / "report.json", json);
  EXPECT_THAT(refused(plan, o), HasSubstr("report.json: matrices: expected model.layers.0."));
  for (io::Json& matrix : json["matrices"]) matrix["divergence"] = -1;
  o.target_modules = {"v_proj"};
  io::write_json(folder_ / "report.json", json);
  EXPECT_THAT(refused(plan, o), HasSubstr("matrices: expected divergences above 0, found none"));
  o.sensitivity = folder_ / "base/config.json";
  EXPECT_THAT(refused(plan, o), HasSubstr("expected a report that qloft sensitivity wrote"));
}

TEST_F(Plan, GoesOnWhereItWasInterrupted) {
  const io::Json whole = [&] {
    plan(options(4.3), silent_);
    return io::read_json(folder_ / "plan.json");
  }();
  fs::remove(folder_ / "plan.json");
  for (const fs::path& file : error_files()) fs::remove(file);

  test::StoppingProgress stopping(5);
  EXPECT_THROW(plan(options(4.3), stopping), Interrupted);
  EXPECT_FALSE(fs::exists(folder_ / "plan.json"));
  EXPECT_EQ(plan(options(4.3), silent_).known, 5);
  EXPECT_EQ(io::read_json(folder_ / "plan.json")["matrices"], whole["matrices"]);
}

TEST_F(Plan, ForgetsErrorsThatWereCutShort) {
  plan(options(4.3), silent_);
  const fs::path file = error_files().at(0);
  const std::string text = read_file(file);
  write_file(file, text.substr(0, text.size() - 10));
  EXPECT_EQ(plan(options(4.3), silent_).known, 13);
}

TEST_F(Plan, ChoosesAmongTheTwoWidthsAroundTheBudgetWhereAskedTo) {
  PlanOptions o = options(4.4);
  o.adjacent = true;
  const PlanReport report = plan(o, silent_);
  EXPECT_EQ(report.candidates, 2);
  for (const PlannedFormat& format : report.formats) {
    EXPECT_THAT(format.format, ::testing::AnyOf(HasSubstr("nf3"), HasSubstr("nf4")));
  }
  o.first_last_bits = 4;
  EXPECT_THAT(refused(plan, o), HasSubstr("first_last_bits: expected none beside adjacent"));
}

TEST_F(Plan, KeepsTheConstraintsThatAreAskedFor) {
  PlanOptions o = options(4.3);
  o.first_last_bits = 4;
  o.same_qkv = true;
  o.target_modules = {"q_proj", "k_proj", "v_proj", "lm_head"};
  o.bits = 5.0;
  plan(o, silent_);
  const io::Json matrices = io::read_json(folder_ / "plan.json")["matrices"];
  EXPECT_EQ(matrices.size(), 7u);
  // Both layers of the tiny model are outer ones.
  for (const auto& [name, format] : matrices.items()) {
    EXPECT_THAT(format.get<std::string>(), HasSubstr("nf4")) << name;
  }
  o.first_last_bits = 0;
  o.bits = 4.0;
  plan(o, silent_);
  const io::Json free = io::read_json(folder_ / "plan.json")["matrices"];
  for (const std::string layer : {"model.layers.0.self_attn.", "model.layers.1.self_attn."}) {
    EXPECT_EQ(free[layer + "q_proj.weight"], free[layer + "k_proj.weight"]);
    EXPECT_EQ(free[layer + "q_proj.weight"], free[layer + "v_proj.weight"]);
  }
  QuantizeOptions q = by_plan();
  EXPECT_EQ(quantize(q, silent_).matrices.size(), 7u);
}

TEST_F(Plan, OfAnotherStrategyHasNoSmallerError) {
  const double best = plan(options(4.3), silent_).objective;
  for (const char* strategy : {"greedy", "first-layers", "uniform"}) {
    PlanOptions o = options(4.3);
    o.strategy = strategy;
    const PlanReport report = plan(o, silent_);
    EXPECT_GE(report.objective, best * (1 - 1e-5)) << strategy;
    EXPECT_LE(report.bits_per_weight, 4.3) << strategy;
  }
}

TEST_F(Plan, RefusesWrongOptions) {
  struct Case {
    const char* expected;
    void (*change)(PlanOptions&);
  };
  const Case cases[] = {
      {"bits: expected 3.038 to 5.037 bits per weight", [](PlanOptions& o) { o.bits = 2.0; }},
      {"bits: expected 3.038 to 5.037 bits per weight", [](PlanOptions& o) { o.bits = 9.0; }},
      {"bits: expected a number above 0", [](PlanOptions& o) { o.bits = -1; }},
      {"expected bits or a size, found both", [](PlanOptions& o) { o.size = "1GB"; }},
      {"expected a budget", [](PlanOptions& o) { o.bits.reset(); }},
      {"strategy: expected one of ilp, greedy, first-layers, uniform, found 'best'",
       [](PlanOptions& o) { o.strategy = "best"; }},
      {"candidates: expected one of lq-lora, wide, trellis, trellis-short, auto, or a file of "
       "formats, "
       "found "
       "'narrow'",
       [](PlanOptions& o) { o.candidates = "narrow"; }},
      {"rank: expected 0 or more, found -1", [](PlanOptions& o) { o.rank = -1; }},
      {"expected a rank of at most 16", [](PlanOptions& o) { o.rank = 17; }},
      {"expected a rank of at most 16",
       [](PlanOptions& o) {
         o.ranks = {4, 17};
       }},
      {"ranks: expected different ranks from 0 on, found -1",
       [](PlanOptions& o) {
         o.ranks = {4, -1};
       }},
      {"ranks: expected different ranks from 0 on, found 4 twice",
       [](PlanOptions& o) {
         o.ranks = {4, 4};
       }},
      {"metric: expected one of", [](PlanOptions& o) { o.metric = "taxicab"; }},
      {"stats: expected a file that qloft calibrate wrote, which the metric gram needs",
       [](PlanOptions& o) { o.metric = "gram"; }},
      {"first_last_bits: expected 0 to 8", [](PlanOptions& o) { o.first_last_bits = 9; }},
      {"expected a candidate of at least 8 bits", [](PlanOptions& o) { o.first_last_bits = 8; }},
      {"time_limit: expected", [](PlanOptions& o) { o.time_limit = 0; }},
      {"target_modules: expected modules of this model",
       [](PlanOptions& o) { o.target_modules = {"query"}; }},
      {"expected a folder to write the plan to",
       [](PlanOptions& o) { o.output = o.output.parent_path() / "nowhere/plan.json"; }},
  };
  for (const Case& wrong : cases) {
    PlanOptions o = options(4.0);
    wrong.change(o);
    EXPECT_THAT(refused(plan, o), HasSubstr(wrong.expected));
  }
  EXPECT_FALSE(fs::exists(folder_ / "plan.json"));
}

TEST_F(Plan, RefusesSizesThatAreNoneOrTooSmall) {
  PlanOptions o = options(0);
  o.bits.reset();
  for (const char* text : {"", "3", "3XB", "GB", "-3GB", "nanGB", "1e30GB"}) {
    o.size = text;
    EXPECT_THAT(refused(plan, o), HasSubstr("size: expected")) << text;
  }
  o.size = "1000TB";
  EXPECT_EQ(refused(plan, o), "accepted");
}

TEST_F(Plan, ThatIsThereIsNotReplacedUnasked) {
  plan(options(4.0), silent_);
  PlanOptions o = options(4.5);
  o.overwrite = false;
  EXPECT_THAT(refused(plan, o), HasSubstr("plan.json: is there already (--overwrite replaces it)"));
}

TEST_F(Plan, WhoseCandidatesAreBrokenIsRefusedByThePlace) {
  write_file(folder_ / "formats.json", R"([{"bits": 99, "codebook": "nf", "block": 16,
    "scale": "absmax", "scale_type": "bf16"}])");
  EXPECT_THAT(refused(plan, options(4.0)), HasSubstr("formats.json: [0]: bits: expected 2 to 8"));
  write_file(folder_ / "formats.json", "{}");
  EXPECT_THAT(refused(plan, options(4.0)), HasSubstr("expected an array of formats"));
}

TEST_F(Plan, ThatWasEditedWronglyIsRefusedByTheField) {
  plan(options(4.3), silent_);
  const std::string weight = "model.layers.1.mlp.down_proj.weight";
  EXPECT_THAT(refused_plan([&](io::Json& p) {
                p["matrices"]["model.layers.9.x.weight"] = p["matrices"][weight];
              }),
              HasSubstr("matrices.model.layers.9.x.weight: expected one of the model's matrices"));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p["matrices"].erase(weight); }),
              HasSubstr("matrices: expected a format for every matrix, found none for " + weight));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p["matrices"] = io::Json::object(); }),
              HasSubstr("and 12 more"));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p["matrices"][weight] = "nf9"; }),
              HasSubstr("matrices." + weight +
                        ": expected the name of one of the formats, found "
                        "\"nf9\""));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p["matrices"][weight] = 3; }),
              HasSubstr("expected a string, found 3"));
  EXPECT_THAT(
      refused_plan([&](io::Json& p) { p["formats"]["nf3 block 16 absmax bf16"]["block"] = 7; }),
      HasSubstr("formats.nf3 block 16 absmax bf16: block: expected"));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p.erase("formats"); }),
              HasSubstr("formats: expected a value, found none"));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p["version"] = 2; }),
              HasSubstr("version: expected 1, found 2"));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p["target_modules"] = {1}; }),
              HasSubstr("target_modules[0]: expected a string, found 1"));
  EXPECT_THAT(refused_plan([&](io::Json& p) { p = io::Json::array(); }),
              HasSubstr("expected an object, found an array"));
  EXPECT_EQ(refused_plan([](io::Json&) {}), "accepted");
}

TEST_F(Plan, LeavesNoRoomForOtherOptionsOfTheFormat) {
  plan(options(4.3), silent_);
  QuantizeOptions o = by_plan();
  o.bits = 3;
  EXPECT_THAT(refused(quantize, o), HasSubstr("bits: expected none beside --plan"));
  o = by_plan();
  o.target_modules = {"q_proj"};
  EXPECT_THAT(refused(quantize, o), HasSubstr("target_modules: expected none beside --plan"));
}

}  // namespace
}  // namespace qloft::pipeline
