// Summaries and their scores beside those of transformers and rouge-score
// (tests/golden/make_summarization.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
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

class Summarization : public testing::TestWithParam<std::string> {
 protected:
  static fs::path golden_folder() { return fs::path(QLOFT_TEST_DATA) / "golden"; }

  fs::path data() const {
    std::string lines;
    for (const io::Json& row : wanted_["rows"]) {
      lines += io::Json{{"document", row["document"]}, {"summary", row["reference"]}}.dump() + "\n";
    }
    write_file(folder_ / "data.jsonl", lines);
    return folder_ / "data.jsonl";
  }

  std::vector<Setting> settings() const {
    auto out = all_settings();
    set(out, "length", golden_["length"].get<std::int64_t>());
    set(out, "summary_length", golden_["summary_length"].get<std::int64_t>());
    set(out, "num_beams", wanted_["beams"].get<std::int64_t>());
    set(out, "batch", std::int64_t{2});
    set(out, "predictions", folder_ / "said.jsonl");
    return out;
  }

  Scores run(const Request& request, const fs::path& model_folder) {
    const quantized::ModelFiles files(model_folder);
    const auto tokenizer = tokenizer::Tokenizer::load(model_folder);
    const std::optional<chat_template::ChatTemplate> chat;
    const Task& row = task("summarization");
    row.check(request, files.layout().max_positions, progress_);
    const Prepared prepared =
        row.prepare({files.layout(), tokenizer, chat, files.source()}, request, progress_);
    auto model = model::Model::load(files, {}, progress_);
    return row.run({model, model::kNoAdapter, tokenizer, files.source()}, request, prepared,
                   progress_);
  }

  void expect_summaries() const {
    std::istringstream lines(read_file(folder_ / "said.jsonl"));
    std::string line;
    for (const io::Json& row : wanted_["rows"]) {
      ASSERT_TRUE(std::getline(lines, line));
      EXPECT_EQ(io::parse_json(line, "said.jsonl")["summary"], row["summary"]);
    }
  }

  const fs::path model_ = golden_folder() / "seq2seq" / GetParam();
  const io::Json golden_ = io::read_json(golden_folder() / "summarization.json");
  const io::Json wanted_ = golden_["models"][GetParam()];
  test::TemporaryFolder folder_;
  Progress progress_;
};

TEST_P(Summarization, IsThatOfTransformersAndScoredAsRougeScoreDoes) {
  auto asked = settings();
  set(asked, "prefix", wanted_["prefix"].get<std::string>());
  const Scores scores = run({data(), asked}, model_);
  expect_summaries();
  for (const auto& [kind, value] : wanted_["scores"].items()) {
    EXPECT_NEAR(scores.find("summarization_" + kind).value_or(-1), value.get<double>(), 1e-12);
  }
  EXPECT_NEAR(*scores.find("summarization_length"), wanted_["length"].get<double>(), 1e-12);
  EXPECT_EQ(scores.find("summarization_examples"), 3);
  EXPECT_EQ(scores.find("summarization_truncated"), 1);
}

TEST_P(Summarization, BeginsWithThePrefixThatConfigJsonNames) {
  fs::copy(model_, folder_ / "model");
  io::Json config = io::read_json(model_ / "config.json");
  config["task_specific_params"]["summarization"]["prefix"] = wanted_["prefix"];
  io::write_json(folder_ / "model/config.json", config);
  run({data(), settings()}, folder_ / "model");
  expect_summaries();
}

INSTANTIATE_TEST_SUITE_P(Models, Summarization, testing::Values("bart", "t5"),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace qloft::evaluate
