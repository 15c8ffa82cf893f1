// Questions with choices on the bundled model, beside what transformers makes of them
// (tests/golden/choices.json).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/evaluate.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Choices : public ::testing::Test {
 protected:
  Choices() : golden_(io::read_json(fs::path(QLOFT_TEST_DATA) / "golden/choices.json")) {}

  static fs::path bundled() { return fs::path(QLOFT_TEST_DATA) / "../examples/bundled/model"; }

  Scores run(const std::string& name, const fs::path& data, std::vector<Setting> settings) {
    set(settings, "predictions", folder_ / "predictions.jsonl");
    const Request request{data, std::move(settings)};
    const quantized::ModelFiles files(bundled());
    const auto tokenizer = tokenizer::Tokenizer::load(bundled());
    const std::optional<chat_template::ChatTemplate> chat;
    task(name).check(request, files.layout().max_positions, progress_);
    const Prepared prepared =
        task(name).prepare({files.layout(), tokenizer, chat, files.source()}, request, progress_);
    auto loaded = model::Model::load(files, {}, progress_);
    loaded.set_training(false);
    return task(name).run({loaded, model::kNoAdapter, tokenizer, files.source()}, request, prepared,
                          progress_);
  }
  std::string refused(const std::string& name, const fs::path& data,
                      const std::vector<Setting>& settings = all_settings()) {
    try {
      task(name).check({data, settings}, 512, progress_);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  }

  fs::path lines(const std::string& name, const io::Json& rows) const {
    std::string text;
    for (const io::Json& row : rows) text += row.dump() + "\n";
    write_file(folder_ / name, text);
    return folder_ / name;
  }

  void expect_equal(const std::string& name, const Scores& scores, const io::Json& expected) {
    std::istringstream written(read_file(folder_ / "predictions.jsonl"));
    for (const io::Json& sums : expected["log_likelihoods"]) {
      std::string line;
      ASSERT_TRUE(std::getline(written, line)) << name;
      const auto found = io::parse_json(line, "predictions.jsonl")["log_likelihoods"];
      ASSERT_EQ(found.size(), sums.size()) << name;
      for (std::size_t i = 0; i < sums.size(); ++i) {
        EXPECT_NEAR(found[i].get<double>(), sums[i].get<double>(), 1e-3) << name;
      }
    }
    EXPECT_NEAR(*scores.find(name), expected["acc"]["value"].get<double>(), 1e-12) << name;
    EXPECT_EQ(*scores.find(name + "_truncated"), expected["truncated"].get<double>()) << name;
  }

  io::Json golden_;
  test::TemporaryFolder folder_;
  Progress progress_;
};

TEST_F(Choices, AreScoredAsTransformersScoresThem) {
  for (const char* name : {"arc_easy", "hellaswag", "piqa", "winogrande", "boolq"}) {
    const io::Json& expected = golden_["tasks"][name];
    for (const std::int64_t batch : {16, 1}) {
      auto settings = all_settings();
      set(settings, "batch", batch);
      const Scores scores = run(name, lines("data.jsonl", expected["rows"]), settings);
      expect_equal(name, scores, expected);
      EXPECT_NEAR(*scores.find(std::string(name) + "_error"),
                  expected["acc"]["error"].get<double>(), 1e-12);
      const auto normalized = scores.find(std::string(name) + "_norm");
      if (normalized) {
        EXPECT_NEAR(*normalized, expected["acc_norm"]["value"], 1e-12) << name;
      }
    }
  }
}

TEST_F(Choices, StandBehindWorkedExamples) {
  for (const char* name : {"arc_easy", "winogrande"}) {
    const io::Json& expected = golden_["few"][name];
    auto settings = all_settings();
    set(settings, "shots", golden_["shots"][name].get<std::int64_t>());
    set(settings, "shots_data", lines("shots.jsonl", expected["rows"]));
    expect_equal(name, run(name, lines("data.jsonl", expected["rows"]), settings), expected);
  }
}

TEST_F(Choices, OfMmluStandBehindTheSubjectsOwnExamples) {
  lines("dev.jsonl", golden_["mmlu_dev"]);
  lines("test.jsonl", golden_["tasks"]["mmlu"]["rows"]);
  expect_equal("mmlu", run("mmlu", folder_.path(), all_settings()), golden_["tasks"]["mmlu"]);
  auto settings = all_settings();
  set(settings, "shots", std::int64_t{1});
  const Scores scores = run("mmlu", folder_.path(), settings);
  expect_equal("mmlu", scores, golden_["few"]["mmlu"]);
  EXPECT_TRUE(scores.find("mmlu_stem"));
  EXPECT_TRUE(scores.find("mmlu_social_sciences"));
  EXPECT_FALSE(scores.find("mmlu_humanities"));
  EXPECT_TRUE(scores.find("mmlu_abstract_algebra"));
  EXPECT_EQ(scores.find("mmlu_questions"), 3);
}

std::string quoted(const std::string& text) {
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + "\"";
}

TEST_F(Choices, OfMmluAreReadFromItsPublishedFiles) {
  for (const std::string part : {"dev", "test"}) {
    make_folders(folder_ / part);
    std::map<std::string, std::string> files;
    for (const io::Json& row :
         part == "dev" ? golden_["mmlu_dev"] : golden_["tasks"]["mmlu"]["rows"]) {
      std::string& text = files[row["subject"].get<std::string>()];
      text += quoted(row["question"].get<std::string>());
      for (const io::Json& choice : row["choices"]) text += "," + quoted(choice.get<std::string>());
      text += std::string(",") + static_cast<char>('A' + row["answer"].get<int>()) + "\r\n";
    }
    for (const auto& [subject, text] : files) {
      write_file(folder_ / part / (subject + "_" + part + ".csv"), text);
    }
  }
  expect_equal("mmlu", run("mmlu", folder_.path(), all_settings()), golden_["tasks"]["mmlu"]);
}

TEST_F(Choices, ThatAreBrokenAreNamedByFileLineAndField) {
  const io::Json good = golden_["tasks"]["arc_easy"]["rows"][0];
  const auto with = [&](const char* pointer, const io::Json& value) {
    io::Json row = good;
    row[io::Json::json_pointer(pointer)] = value;
    return lines("data.jsonl", io::Json::array({good, row}));
  };
  EXPECT_THAT(refused("arc_easy", with("/question", nullptr)),
              HasSubstr("data.jsonl: line 2.question: expected a value, found none"));
  EXPECT_THAT(
      refused("arc_easy", with("/answerKey", "Z")),
      HasSubstr("data.jsonl: line 2.answerKey: expected one of choices.label, found \"Z\""));
  EXPECT_THAT(refused("arc_easy", with("/choices/label", {"A"})),
              HasSubstr("line 2.choices.label: expected one for each text, found 1 for 3"));
  EXPECT_THAT(refused("winogrande", lines("data.jsonl", io::Json::array({{{"sentence", "x"}}}))),
              HasSubstr("line 1.sentence: expected a sentence with a blank"));
  auto settings = all_settings();
  set(settings, "shots", std::int64_t{2});
  EXPECT_THAT(refused("arc_easy", with("/id", "9"), settings),
              HasSubstr("shots_data: worked examples need a file"));
  EXPECT_THAT(refused("mmlu", lines("data.jsonl", golden_["tasks"]["mmlu"]["rows"])),
              HasSubstr("expected a folder with dev and test"));
  make_folders(folder_ / "test");
  write_file(folder_ / "test" / "anatomy_test.csv", "\"What\nnow?\",a,b,c,d,A\nx,a,b,c,d,E\n");
  EXPECT_THAT(refused("mmlu", folder_.path()),
              HasSubstr("anatomy_test.csv: line 3.answer: expected A, B, C or D, found 'E'"));
  write_file(folder_ / "test" / "anatomy_test.csv", "x,a,b,c,d,A\n");
  make_folders(folder_ / "dev");
  write_file(folder_ / "dev" / "anatomy_dev.csv", "y,a,b,c,d,B\n");
  EXPECT_THAT(refused("mmlu", folder_.path()),
              HasSubstr("anatomy: expected 5 development examples, found 1"));
}

}  // namespace
}  // namespace qloft::evaluate
