// Answers and scores beside those of transformers' postprocess_qa_predictions and of SQuAD's
// official scripts (tests/golden/squad.json).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
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

class Squad : public testing::Test {
 protected:
  Squad() : golden_(io::read_json(fs::path(QLOFT_TEST_DATA) / "golden/squad.json")) {
    fs::copy(fs::path(QLOFT_TEST_DATA) / "golden/encoders/bert_spans", folder_ / "model");
    std::string words;
    for (const io::Json& word : golden_["vocabulary"]) words += word.get<std::string>() + "\n";
    write_file(folder_ / "model/vocab.txt", words);
  }

  // Of version 1 the questions that have an answer.
  fs::path data(int version) const {
    io::Json squad = golden_["squad"];
    for (io::Json& article : squad["data"]) {
      for (io::Json& paragraph : article["paragraphs"]) {
        io::Json kept = io::Json::array();
        for (const io::Json& one : paragraph["qas"]) {
          if (version == 2 || !one["answers"].empty()) kept.push_back(one);
        }
        paragraph["qas"] = kept;
      }
    }
    io::write_json(folder_ / "squad.json", squad);
    return folder_ / "squad.json";
  }

  std::vector<Setting> settings(const io::Json& rules) const {
    auto out = all_settings();
    set(out, "length", golden_["length"].get<std::int64_t>());
    set(out, "stride", golden_["stride"].get<std::int64_t>());
    set(out, "n_best", rules["candidates"].get<std::int64_t>());
    set(out, "max_answer_length", rules["longest"].get<std::int64_t>());
    set(out, "null_threshold", rules["threshold"].get<double>());
    set(out, "batch", std::int64_t{7});
    set(out, "predictions", folder_ / "predictions.json");
    set(out, "nbest", folder_ / "nbest.json");
    set(out, "null_odds", folder_ / "odds.json");
    return out;
  }

  Scores run(const std::string& name, const Request& request) {
    const quantized::ModelFiles files(folder_ / "model");
    const auto tokenizer = tokenizer::Tokenizer::load(folder_ / "model");
    const std::optional<chat_template::ChatTemplate> chat;
    const Task& row = task(name);
    row.check(request, files.layout().max_positions, progress_);
    const Prepared prepared =
        row.prepare({files.layout(), tokenizer, chat, files.source()}, request, progress_);
    auto model = model::Model::load(files, {}, progress_);
    return row.run({model, model::kNoAdapter, tokenizer, files.source()}, request, prepared,
                   progress_);
  }

  void expect_candidates(const io::Json& found, const io::Json& wanted) {
    ASSERT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i]["text"], wanted[i]["text"]);
      for (const char* number : {"start_logit", "end_logit", "probability"}) {
        EXPECT_NEAR(found[i][number].get<double>(), wanted[i][number].get<double>(), 1e-4);
      }
    }
  }

  io::Json golden_;
  test::TemporaryFolder folder_;
  Progress progress_;
};

TEST_F(Squad, AnswersAreThoseOfTransformers) {
  for (const io::Json& wanted : golden_["answers"]) {
    const int version = wanted["version"];
    run(version == 1 ? "squad" : "squad_v2", {data(version), settings(wanted["rules"])});
    EXPECT_EQ(io::read_json(folder_ / "predictions.json"), wanted["predictions"]);
    const io::Json nbest = io::read_json(folder_ / "nbest.json");
    for (const auto& [id, candidates] : wanted["nbest"].items()) {
      SCOPED_TRACE(id);
      expect_candidates(nbest[id], candidates);
    }
    if (version == 1) continue;
    const io::Json odds = io::read_json(folder_ / "odds.json");
    ASSERT_EQ(odds.size(), wanted["odds"].size());
    for (const auto& [id, value] : wanted["odds"].items()) {
      EXPECT_NEAR(odds[id].get<double>(), value.get<double>(), 1e-4) << id;
    }
  }
}

TEST_F(Squad, ScoresAreThoseOfTheOfficialScripts) {
  const std::pair<const char*, const char*> names[] = {{"exact", "exact"},
                                                       {"f1", "f1"},
                                                       {"HasAns_exact", "has_answer_exact"},
                                                       {"HasAns_f1", "has_answer_f1"},
                                                       {"NoAns_exact", "no_answer_exact"},
                                                       {"best_exact", "best_exact"},
                                                       {"best_f1", "best_f1"}};
  for (const io::Json& wanted : golden_["answers"]) {
    const int version = wanted["version"];
    const std::string name = version == 1 ? "squad" : "squad_v2";
    const Scores found = run(name, {data(version), settings(wanted["rules"])});
    EXPECT_EQ(found.find(name + "_questions"), wanted["scores"]["total"]);
    EXPECT_EQ(found.find(name + "_windows"), wanted["windows"]);
    for (const auto& [official, own] : names) {
      if (!wanted["scores"].contains(official)) continue;
      EXPECT_NEAR(found.find(name + "_" + own).value_or(-1),
                  wanted["scores"][official].get<double>() / 100, 1e-12)
          << official;
    }
    for (const char* best : {"best_exact", "best_f1"}) {
      const auto threshold = found.find(name + "_" + best + "_threshold");
      ASSERT_EQ(threshold.has_value(), version == 2);
      if (!threshold) continue;
      EXPECT_NEAR(*threshold, wanted["scores"][std::string(best) + "_thresh"].get<double>(), 1e-4);
    }
  }
}

TEST_F(Squad, OfOneVersionAreNotThoseOfTheOther) {
  EXPECT_THROW(run("squad", {data(2), settings(golden_["answers"][0]["rules"])}), InputError);
}

}  // namespace
}  // namespace qloft::evaluate
