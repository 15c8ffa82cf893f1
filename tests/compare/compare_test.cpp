#include "qloft/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "../pipeline/trained_toy.h"
#include "progress.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/finetune.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::compare {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// A model of some thousand weights and the data that its tasks read.
class Compare : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_trained_toy(folder_.path(), "base", 8);
    write_file(folder_ / "text.txt", std::string(10, ' ') + std::string(test::kLetters));
  }

  Options options(const std::string& recipe) const {
    write_file(folder_ / "recipe.json", recipe);
    Options options;
    options.recipe = folder_ / "recipe.json";
    options.model = (folder_ / "base").string();
    options.text = folder_ / "text.txt";
    options.train = options.test = folder_ / "data.jsonl";
    options.output = folder_ / "out";
    return options;
  }
  std::string refused(const Options& options) const {
    return test::refusal(run, options, folder_.path());
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

constexpr const char* kTwoRows = R"({
  "description": "two rows",
  "tasks": {"perplexity": {"window": 16}, "answers": {"limit": 4}},
  "quantize": {"rank": 2, "block": 16},
  "tune": {"steps": 2, "length": 32, "lr": 1e-3},
  "rows": [
    {"name": "full", "quantize": null, "tune": null},
    {"name": "LoftQ", "quantize": {"method": "loftq", "bits": 2, "iterations": 3}}
  ]
})";

// ---------------------------------------------------------------------------------- recipes

struct WrongRecipe {
  const char* recipe;
  const char* message;
};

TEST_F(Compare, RefusesAWrongRecipeByItsFieldBeforeAnythingRuns) {
  std::string ranks = "[1", seeds = "[1";  // 200 x 200 combinations
  for (int i = 2; i <= 200; ++i) {
    ranks += "," + std::to_string(i);
    seeds += "," + std::to_string(i);
  }
  const std::string many_rows = R"({"rows": [{"name": "a", "vary": {"seed": )" + seeds +
                                R"(], "iterations": )" + ranks + "]}}]}";
  const WrongRecipe cases[] = {
      {R"([])", "recipe.json: expected an object, found an array"},
      {R"({"row": []})", "recipe.json: row: unknown field; expected one of description, tasks,"},
      {R"({"description": 3, "rows": [{"name": "a"}]})",
       "recipe.json: description: expected a string, found 3"},
      {R"({})", "recipe.json: rows: expected a list of rows, found none"},
      {R"({"rows": []})", "recipe.json: rows: expected a list of rows, found an array"},
      {R"({"rows": [{}]})", "recipe.json: rows[0].name: expected a name, found none"},
      {R"({"rows": [{"name": "?"}]})", "rows[0].name: expected a letter or a digit"},
      {R"({"rows": [{"name": "a", "rank": 4}]})", "rows[0].rank: unknown field"},
      {R"({"rows": [{"name": "a b"}, {"name": "A B"}]})",
       "rows[1].name: expected a name that no other row has, found \"A B\""},
      {R"({"rows": [{"name": "a", "quantize": 4}]})",
       "rows[0].quantize: expected an object of options or null, found 4"},
      {R"({"rows": [{"name": "a", "quantize": {"bit": 4}}]})",
       "rows[0].quantize.bit: unknown option; expected one of"},
      {R"({"rows": [{"name": "a", "quantize": {"bits": "four"}}]})",
       "rows[0].quantize.bits: expected a number, found \"four\""},
      {R"({"rows": [{"name": "a", "quantize": {"block": 99999999999999999999}}]})",
       "rows[0].quantize.block: expected a whole number, found"},
      {R"({"rows": [{"name": "a", "quantize": {"output": "x"}}]})",
       "rows[0].quantize.output: unknown option"},
      {R"({"rows": [{"name": "a", "quantize": {"method": "loft"}}]})", "did you mean loftq?"},
      {R"({"rows": [{"name": "a", "quantize": {"rank": 999}}]})", "expected a rank of at most"},
      {R"({"rows": [{"name": "a", "tune": {"lr": true}}]})",
       "rows[0].tune.lr: expected a number, found true"},
      {R"({"rows": [{"name": "a", "tune": {"schedule": "flat"}}]})",
       "rows[0].tune.schedule: expected one of cosine, linear, constant, found \"flat\""},
      {R"({"rows": [{"name": "a", "tune": {"target_modules": "q_proj"}}]})",
       "rows[0].tune.target_modules: expected a list, found \"q_proj\""},
      {R"({"rows": [{"name": "a", "tune": {"data": "x.jsonl"}}]})",
       "rows[0].tune.data: expected train or calibration, found \"x.jsonl\""},
      {R"({"rows": [{"name": "a", "quantize": {"method": "qloft"}, "calibrate": {"data": "test"}}]})",
       "rows[0].calibrate.data: expected train or calibration, found \"test\""},
      {R"({"rows": [{"name": "a", "tune": {"batch": 0}}]})", "rows[0].tune: "},
      {R"({"rows": [{"name": "a", "tune": {"method": "full"}}]})",
       "rows[0].tune.method: full fine-tuning needs full-precision weights"},
      {R"({"rows": [{"name": "a", "quantize": {"rank": 4}, "tune": {"rank": 8}}]})",
       "rows[0].tune.rank: expected the rank of quantize, 4, found 8"},
      {R"({"rows": [{"name": "a", "vary": {"rank": 4}}]})",
       "rows[0].vary.rank: expected a list of values, found 4"},
      {many_rows.c_str(), "rows[0].vary.iterations: expected at most 10000 rows in all"},
      {R"({"rows": [{"name": "a", "vary": {"tune.lr": [1]}}]})",
       "rows[0].vary.tune.lr: the row has no tune whose option could vary"},
      {R"({"rows": [{"name": "a", "quantize": null, "plan": {"bits": 3}}]})",
       "rows[0].plan: the row does not quantize: expected none"},
      {R"({"rows": [{"name": "a", "quantize": {"block": 16}, "plan": {"bits": 3}}]})",
       "rows[0].quantize.block: the row's plan says the formats: expected none"},
      {R"({"rows": [{"name": "a", "plan": {"bit": 3}}]})",
       "rows[0].plan.bit: unknown option; expected one of adapter_dtype, adjacent, bits"},
      {R"({"rows": [{"name": "a", "quantize": null, "recover": {"steps": 1}}]})",
       "rows[0].recover: the row does not quantize: expected none"},
      {R"({"recover": {}, "rows": [{"name": "a", "quantize": {"rank": 0}}]})",
       "rows[0].recover: expected an adapter to train, found quantize.rank 0"},
      {R"({"rows": [{"name": "a", "recover": {"fresh": true}}]})",
       "rows[0].recover.fresh: unknown option"},
      {R"({"tasks": {"ppl": {}}, "rows": [{"name": "a"}]})", "tasks.ppl: unknown field"},
      {R"({"tasks": {"perplexity": {"data": "x"}}, "rows": [{"name": "a"}]})",
       "tasks.perplexity.data: unknown option"},
  };
  for (const WrongRecipe& wrong : cases) {
    EXPECT_THAT(refused(options(wrong.recipe)), HasSubstr(wrong.message)) << wrong.recipe;
    EXPECT_FALSE(fs::exists(folder_ / "out"));
  }
}

TEST_F(Compare, RefusesAPlaceWithoutRoomForItsModelsBeforeAnythingRuns) {
  std::string far;
  while (far.size() < 3700) far += std::string(100, 'd') + "/";
  const std::string long_name(201, 'n');
  const struct {
    std::string output, row, message;
  } cases[] = {
      {"out.partial", "a", "out.partial: expected a name without .partial"},
      {far, std::string(150, 'n'), "expected a path of at most 3840 bytes, found"},
      {"out", long_name, "rows[0].name: expected at most 200 letters and digits, found 201"},
  };
  for (const auto& c : cases) {
    Options o = options(R"({"rows": [{"name": ")" + c.row + R"(", "tune": null}]})");
    o.output = folder_ / c.output;
    EXPECT_THAT(refused(o), HasSubstr(c.message));
    EXPECT_FALSE(fs::exists(o.output));
  }
}

// With a vocabulary of its own.
void write_encoder(const fs::path& folder) {
  fs::copy(fs::path(QLOFT_TEST_DATA) / "golden/encoders/bert_states", folder);
  write_file(folder / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nfilm\n");
}

TEST_F(Compare, EveryCommittedRecipeFitsAModelOfItsKind) {
  const fs::path root = fs::path(QLOFT_TEST_DATA) / "..";
  test::StopAtOnce stop;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "Tom has " + std::to_string(i) + " apples and a bell.\n";
  write_file(folder_ / "text.txt", text);
  fs::create_directory(folder_ / "choices");
  const io::Json question = {{"subject", "anatomy"},
                             {"question", "How many?"},
                             {"choices", {"one", "two", "three", "four"}},
                             {"answer", 1}};
  for (const char* part : {"dev.jsonl", "test.jsonl"}) {
    std::string lines;
    for (int i = 0; i < 5; ++i) lines += question.dump() + "\n";
    write_file(folder_ / "choices" / part, lines);
  }
  write_encoder(folder_ / "encoder");
  const fs::path encoder = folder_ / "encoder";
  const std::map<std::string, std::pair<fs::path, const char*>> others = {
      {"glue.json", {encoder, R"({"sentence": "good film", "label": 1})"}},
      {"squad.json",
       {encoder, R"({"id": "1", "context": "good film", "question": "film",)"
                 R"( "answers": {"text": ["good"], "answer_start": [0]}})"}},
      {"summarization.json",
       {root / "tests/golden/seq2seq/bart", R"({"document": "ba der ku", "summary": "ku"})"}}};
  for (const auto& entry : fs::directory_iterator(root / "recipes")) {
    Options o = options("{}");
    o.choices = folder_ / "choices";
    o.recipe = entry.path();
    o.model = (root / "examples/bundled/model").string();
    o.calibration = o.train;
    write_file(o.train, R"({"question": "How many?", "answer": "#### 1"})");
    const auto row = others.find(entry.path().filename().string());
    if (row != others.end()) {
      o.model = row->second.first.string();
      o.train = o.test = o.calibration = folder_ / "rows.jsonl";
      o.set = {"calibrate.length=32"};
      write_file(o.train, row->second.second);
    }
    EXPECT_THROW(run(o, stop), Interrupted) << o.recipe;
  }
}

TEST_F(Compare, AsksForTheDataThatTheRecipeNeeds) {
  Options o = options(kTwoRows);
  o.text.clear();
  EXPECT_EQ(refused(o), "text: expected a file for the recipe's tasks.perplexity, found none");
  o = options(kTwoRows);
  o.train = folder_ / "nowhere.jsonl";
  EXPECT_EQ(refused(o), "nowhere.jsonl: no such file");
}

TEST_F(Compare, LeavesAFolderOfSomethingElseAlone) {
  const std::pair<const char*, const char*> others[] = {
      {"kept", ""},
      {"recipe.json", R"({"name": "cake", "flour": "500 g"})"},
      {"recipe.json", R"({"rows": []})"},
      {"recipe.json", "not JSON"},
      {".qloft-lock", "quantize, process 1"},
  };
  for (const auto& [name, content] : others) {
    fs::remove_all(folder_ / "out");
    fs::create_directories(folder_ / "out/work");
    write_file(folder_ / "out" / name, content);
    EXPECT_THAT(refused(options(kTwoRows)), HasSubstr("found something else")) << content;
    EXPECT_FALSE(fs::exists(folder_ / "out/rows"));
    EXPECT_TRUE(fs::exists(folder_ / "out/work"));
  }
}

TEST_F(Compare, SetChangesOneFieldOfTheRecipe) {
  Options o = options(kTwoRows);
  o.set = {"tune=null", "tasks.answers=null", "tasks.perplexity.window=8"};
  o.train.clear();
  o.test.clear();
  const Report report = run(o, silent_);
  EXPECT_FALSE(report.rows[1].after);
  EXPECT_FALSE(report.rows[1].before.find("loss"));
  o.set = {"rows.name=x"};
  EXPECT_THAT(refused(o), HasSubstr("rows.name: the recipe has no such field to set"));
}

TEST_F(Compare, MakesARowOfEveryVariedValue) {
  const Report report = run(options(R"({
    "quantize": {"block": 16, "iterations": 1},
    "rows": [{"name": "LoftQ {bits} bits", "quantize": {"rank": 1}, "vary": {"bits": [2, 3], "rank": [1, 2]}}]
  })"),
                            silent_);
  ASSERT_EQ(report.rows.size(), 4u);
  EXPECT_EQ(report.rows[1].name, "LoftQ 2 bits, rank 2");
  EXPECT_EQ(report.rows[2].name, "LoftQ 3 bits, rank 1");
  EXPECT_EQ(report.rows[1].rank, 2);
  for (const Row& row : report.rows) EXPECT_EQ(row.group, "LoftQ  bits");
}

// ---------------------------------------------------------------------------------- rows

TEST_F(Compare, SetsEveryRowBesideTheFullModel) {
  const Report report = run(options(R"({
    "tasks": {"divergence": {"window": 16}},
    "quantize": {"rank": 2, "block": 16},
    "rows": [{"name": "full", "quantize": null}, {"name": "LoftQ", "quantize": {"bits": 2}}]
  })"),
                            silent_);
  ASSERT_EQ(report.rows.size(), 2u);
  EXPECT_NEAR(*report.rows[0].before.find("divergence"), 0, 1e-6);
  EXPECT_GT(*report.rows[1].before.find("divergence"), 1e-4);
  EXPECT_LT(*report.rows[1].before.find("agreement"), 1);
}

TEST_F(Compare, MeasuresEveryRowBeforeAndAfterTuning) {
  const Report report = run(options(kTwoRows), silent_);
  ASSERT_EQ(report.rows.size(), 2u);
  const Row &full = report.rows[0], &low = report.rows[1];
  EXPECT_EQ(full.bits_per_weight, 32);
  EXPECT_FALSE(full.relative_error);
  EXPECT_FALSE(full.after);
  EXPECT_GT(full.before.find("perplexity"), 1);
  EXPECT_EQ(low.bits_per_weight, 2 + 32. / 16);
  EXPECT_EQ(full.total_bits_per_weight, 32);
  EXPECT_FALSE(full.tuned_total_bits_per_weight);
  EXPECT_GT(low.total_bits_per_weight, low.bits_per_weight);
  // finetune goes on with the initial adapter and stores it as it was: f32.
  EXPECT_EQ(low.tuned_total_bits_per_weight, low.total_bits_per_weight);
  EXPECT_EQ(low.iterations, 3);
  EXPECT_EQ(low.matrices.size(), 14u);
  EXPECT_EQ(low.matrices[0].relative_error.size(), 3u);
  EXPECT_LT(low.bytes, full.bytes);
  EXPECT_EQ(low.tune_steps, 2);
  ASSERT_TRUE(low.after && low.memory);
  EXPECT_NE(*low.after->find("loss"), *low.before.find("loss"));
  EXPECT_GT(low.memory->total(), 0);
  for (const char* file : {"table.md", "table.csv", "report.html", "rows/loftq.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / "out" / file)) << file;
  }
  EXPECT_FALSE(fs::exists(folder_ / "out/work"));
}

TEST_F(Compare, TakesFinishedRowsFromTheirFilesAndRemakesOnlyWhatChanged) {
  const Report first = run(options(kTwoRows), silent_);
  const Report again = run(options(kTwoRows), silent_);
  EXPECT_TRUE(again.rows[0].reused);
  EXPECT_TRUE(again.rows[1].reused);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(to_json(again.rows[i]), to_json(first.rows[i]));

  std::string changed = kTwoRows;
  changed.replace(changed.find("\"bits\": 2"), 9, "\"bits\": 3");
  const Report other = run(options(changed), silent_);
  EXPECT_TRUE(other.rows[0].reused);
  EXPECT_FALSE(other.rows[1].reused);
  EXPECT_GT(other.rows[1].bits_per_weight, again.rows[1].bits_per_weight);
}

TEST_F(Compare, TakesRowsOfTheSameContentsElsewhereAndAtAnotherHour) {
  compare::run(options(kTwoRows), silent_);
  fs::copy(folder_ / "base", folder_ / "copy");
  fs::last_write_time(folder_ / "text.txt",
                      fs::file_time_type::clock::now() + std::chrono::hours(1));
  Options o = options(kTwoRows);
  o.model = (folder_ / "copy").string();
  for (const Row& row : compare::run(o, silent_).rows) EXPECT_TRUE(row.reused) << row.name;
}

TEST_F(Compare, KeepsRowsByWhatAutoComesTo) {
  const auto rows_with = [&](const std::string& dtype) {
    Options o = options(kTwoRows);
    for (const char* stage : {"tasks.perplexity", "tasks.answers", "tune"}) {
      o.set.push_back(std::string(stage) + ".dtype=" + dtype);
    }
    return run(o, silent_).rows;
  };
  rows_with("f32");
  for (const Row& row : rows_with("auto")) EXPECT_TRUE(row.reused) << "the model is f32";
  for (const Row& row : rows_with("bf16")) EXPECT_FALSE(row.reused);
}

TEST_F(Compare, RemakesTheRowsOfChangedData) {
  run(options(kTwoRows), silent_);
  write_file(folder_ / "text.txt", std::string(test::kLetters) + std::string(test::kLetters));
  for (const Row& row : run(options(kTwoRows), silent_).rows) {
    EXPECT_FALSE(row.reused) << row.name;
  }
}

TEST_F(Compare, GoesOnAfterAnInterruption) {
  test::StopIn stop("2/2 LoftQ", 0);
  try {
    run(options(kTwoRows), stop);
    FAIL() << "not interrupted";
  } catch (const Interrupted& error) {
    EXPECT_THAT(error.what(), HasSubstr("1 of 2 rows are finished and kept"));
  }
  EXPECT_FALSE(fs::exists(folder_ / "out/table.md"));
  const Report report = run(options(kTwoRows), silent_);
  EXPECT_TRUE(report.rows[0].reused);
  EXPECT_FALSE(report.rows[1].reused);
}

TEST_F(Compare, TunesOnTheDataSetThatTheRowNames) {
  Options o = options(R"({
    "tasks": {"answers": {}}, "quantize": {"rank": 2, "block": 16, "iterations": 1},
    "tune": {"steps": 2, "length": 32},
    "rows": [{"name": "train"}, {"name": "calibration", "tune": {"data": "calibration"}}]
  })");
  EXPECT_EQ(refused(o), "calibration: expected a file for the recipe's rows[1].tune, found none");
  o.calibration = test::write_toy_texts(folder_ / "calibration.jsonl", 3);
  const Report report = run(o, silent_);
  EXPECT_EQ(*report.rows[0].before.find("loss"), *report.rows[1].before.find("loss"));
  EXPECT_NE(*report.rows[0].after->find("loss"), *report.rows[1].after->find("loss"));
}

TEST_F(Compare, CalibratesOnTheDataSetThatTheRowNames) {
  Options o = options(R"({
    "tasks": {"answers": {}}, "calibrate": {"samples": 4, "length": 16},
    "quantize": {"method": "qloft", "effort": "low", "bits": 2, "rank": 2, "block": 16},
    "rows": [{"name": "train", "calibrate": {"data": "train"}},
             {"name": "train, behind quantized matrices", "calibrate": {"data": "train"}, "quantize": {"inputs": "quantized"}},
             {"name": "calibration", "calibrate": {}},
             {"name": "calibration, behind quantized matrices", "calibrate": {}, "quantize": {"inputs": "quantized"}}]
  })");
  EXPECT_EQ(refused(o),
            "calibration: expected a file for the recipe's rows[2].calibrate, found none");
  o.calibration = test::write_toy_texts(folder_ / "calibration.jsonl", 3);
  const Report report = run(o, silent_);
  std::set<double> losses;
  for (const Row& row : report.rows) losses.insert(*row.before.find("loss"));
  EXPECT_EQ(losses.size(), report.rows.size());
}

TEST_F(Compare, QuantizesByPlansThatRowsShare) {
  const Report report = run(options(R"({
    "quantize": {"rank": 2, "block": 16, "iterations": 1},
    "plan": {"strategy": "first-layers",
             "candidates": [{"bits": 2, "codebook": "nf", "block": 16, "scale": "absmax", "scale_type": "bf16"},
                            {"bits": 4, "codebook": "nf", "block": 16, "scale": "absmax", "scale_type": "bf16"}]},
    "rows": [{"name": "LoftQ", "plan": {"bits": 4}},
             {"name": "QLoRA", "plan": {"bits": 4}, "quantize": {"method": "qlora"}}]
  })"),
                            silent_);
  for (const Row& row : report.rows) {
    // The first of two layers at 4 + 1 bits, the second at 2 + 1.
    EXPECT_EQ(row.bits_per_weight, 4) << row.name;
    EXPECT_EQ(row.matrices.front().bits_per_weight, 5);
    EXPECT_EQ(row.matrices.back().bits_per_weight, 3);
  }
  int plans = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "out/shared")) {
    plans += entry.path().filename().string().starts_with("plan-") ? 1 : 0;
  }
  EXPECT_EQ(plans, 1);
}

TEST_F(Compare, CalibratesOnceForAllRowsThatAskForTheSame) {
  Options o = options(R"({
    "quantize": {"rank": 2, "block": 16, "bits": 3}, "calibrate": {"samples": 4, "length": 16},
    "rows": [{"name": "GPTQ-LoRA", "quantize": {"method": "gptq-lora"}, "calibrate": {}},
             {"name": "CLoQ", "quantize": {"method": "cloq"}, "calibrate": {}}]
  })");
  EXPECT_EQ(refused(o),
            "calibration: expected a file for the recipe's rows[0].calibrate, found none");
  o.calibration = o.train;
  const Report report = run(o, silent_);
  EXPECT_LT(*report.rows[1].relative_error, *report.rows[0].relative_error);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "out/shared")) {
    files += entry.path().extension() == ".safetensors" ? 1 : 0;
  }
  EXPECT_EQ(files, 1);
}

TEST_F(Compare, QuantizesOnTheInputsOfQuantizedMatricesWhereARowAsksForIt) {
  Options o = options(R"({
    "tasks": {"answers": {}}, "quantize": {"method": "qloft", "effort": "low", "rank": 2, "bits": 2},
    "calibrate": {"samples": 4, "length": 16},
    "rows": [{"name": "full", "calibrate": {}},
             {"name": "quantized", "calibrate": {}, "quantize": {"inputs": "quantized"}}]
  })");
  o.calibration = o.train;
  const Report report = run(o, silent_);
  EXPECT_NE(report.rows[0].relative_error, report.rows[1].relative_error);
  o = options(
      R"({"rows": [{"name": "a", "quantize": {"method": "qloft", "inputs": "quantized"}}]})");
  EXPECT_THAT(refused(o), HasSubstr("rows[0].quantize: inputs: expected data to run"));
}

TEST_F(Compare, RecoversRowsBesideOneTeacher) {
  Options o = options(R"({
    "tasks": {"answers": {}}, "quantize": {"bits": 2, "rank": 2, "block": 16, "iterations": 1},
    "recover": {"samples": 4, "length": 16, "lr": 1e-2, "teacher_logits": 4},
    "tune": {"steps": 2, "length": 32},
    "rows": [{"name": "full", "quantize": null, "tune": null},
             {"name": "as it is", "recover": null, "tune": null},
             {"name": "{steps} steps", "vary": {"recover.steps": [2, 4]}}]
  })");
  EXPECT_EQ(refused(o),
            "calibration: expected a file for the recipe's rows[2].recover, found none");
  o.calibration = o.train;
  const Report report = run(o, silent_);
  ASSERT_EQ(report.rows.size(), 4u);
  EXPECT_FALSE(report.rows[0].recovered || report.rows[1].recovered);
  EXPECT_EQ(report.rows[3].name, "4 steps");
  EXPECT_EQ(report.rows[3].recover_steps, 4);
  const auto loss = [](const evaluate::Scores& scores) { return *scores.find("loss"); };
  EXPECT_EQ(loss(report.rows[2].before), loss(report.rows[1].before));
  EXPECT_NE(loss(*report.rows[2].recovered), loss(report.rows[2].before));
  EXPECT_NE(loss(*report.rows[3].after), loss(*report.rows[3].recovered));
  int teachers = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "out/shared")) {
    teachers += entry.path().filename().string().starts_with("teacher-") ? 1 : 0;
  }
  EXPECT_EQ(teachers, 1);
  EXPECT_TRUE(run(o, silent_).rows[3].reused);
}

TEST_F(Compare, MeasuresFullFineTuningByTheTunedModel) {
  const Report report = run(options(R"({
    "tasks": {"answers": {}},
    "rows": [{"name": "all weights", "quantize": null,
              "tune": {"method": "full", "steps": 4, "length": 32, "lr": 1e-2}}]
  })"),
                            silent_);
  EXPECT_LT(*report.rows[0].after->find("loss"), *report.rows[0].before.find("loss"));
  EXPECT_EQ(report.rows[0].method, "full");
}

// ---------------------------------------------------------------------------------- output

constexpr const char* kStudy = R"({
  "description": "bits & <ranks>",
  "tasks": {"perplexity": {"window": 16}},
  "quantize": {"block": 16, "rank": 2, "iterations": 2},
  "rows": [
    {"name": "it's full", "quantize": null},
    {"name": "LoftQ {bits}", "vary": {"bits": [2, 4]}},
    {"name": "ranks {rank}", "quantize": {"bits": 3}, "vary": {"rank": [1, 2]}}
  ]
})";

// Needs the program gnuplot, which scripts/setup installs.
TEST_F(Compare, DrawsThePlotsIntoOnePage) {
  const Report report = run(options(kStudy), silent_);
  std::vector<std::string> names;
  for (const fs::path& plot : report.plots) names.push_back(plot.stem().string());
  EXPECT_THAT(names, ::testing::ElementsAre("perplexity-by-bits", "perplexity-by-total-bits",
                                            "error-by-iteration", "rank-error", "rank-perplexity",
                                            "error-by-layer"));
  const std::string page = read_file(report.page);
  EXPECT_THAT(page,
              HasSubstr("<svg role=\"img\" aria-label=\"Perplexity by bits, before tuning\""));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">it&#39;s full</th>"));
  EXPECT_THAT(page, HasSubstr("currentColor"));
}

TEST_F(Compare, WritesTablesAndPageWithoutGnuplot) {
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", folder_.path().c_str(), 1);
  test::Said said;
  const Report report = run(options(kStudy), said);
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_TRUE(report.plots.empty());
  EXPECT_THAT(said.notes, HasSubstr("no plots: the program gnuplot is not installed\n"));
  const std::string page = read_file(report.page);
  EXPECT_THAT(page, HasSubstr("<h1>bits &amp; &lt;ranks&gt;</h1>"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">LoftQ 4</th>"));
  EXPECT_THAT(page, Not(HasSubstr("http")));
}

}  // namespace
}  // namespace qloft::compare
