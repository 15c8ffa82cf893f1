// Windows of questions beside those of transformers' run_qa.py (tests/golden/squad.json).

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "qloft/core/file.h"
#include "qloft/data/squad.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

class GoldenWindows : public testing::Test {
 protected:
  GoldenWindows() : golden_(io::read_json(std::string(QLOFT_TEST_DATA) + "/golden/squad.json")) {
    std::string words;
    for (const io::Json& word : golden_["vocabulary"]) words += word.get<std::string>() + "\n";
    write_file(folder_ / "vocab.txt", words);
    write_file(folder_ / "config.json", R"({"model_type": "bert"})");
  }
  // Rows of the hub in place of the official file's articles.
  std::string rows() const {
    std::string lines;
    for (const io::Json& article : golden_["squad"]["data"]) {
      for (const io::Json& paragraph : article["paragraphs"]) {
        for (const io::Json& one : paragraph["qas"]) {
          io::Json texts = io::Json::array(), places = io::Json::array();
          for (const io::Json& answer : one["answers"]) {
            texts.push_back(answer["text"]);
            places.push_back(answer["answer_start"]);
          }
          const io::Json row = {{"id", one["id"]},
                                {"title", article["title"]},
                                {"context", paragraph["context"]},
                                {"question", one["question"]},
                                {"answers", {{"text", texts}, {"answer_start", places}}}};
          lines += row.dump() + "\n";
        }
      }
    }
    return lines;
  }
  void expect_golden(const std::string& text) const {
    write_file(folder_ / "squad.json", text);
    const auto windows = encode_span_questions(
        read_span_questions(folder_ / "squad.json", true),
        tokenizer::Tokenizer::load(folder_.path()),
        {.length = golden_["length"], .stride = golden_["stride"], .vocabulary_size = 64});
    ASSERT_EQ(windows.size(), golden_["windows"].size());
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const SpanWindow& found = windows[i];
      const io::Json& wanted = golden_["windows"][i];
      EXPECT_EQ(found.question, wanted["question"]) << i;
      EXPECT_EQ(found.ids, wanted["ids"].get<std::vector<tokenizer::TokenId>>()) << i;
      EXPECT_EQ(found.types, wanted["types"].get<std::vector<std::int32_t>>()) << i;
      EXPECT_EQ(found.start, wanted["start"]) << i;
      EXPECT_EQ(found.end, wanted["end"]) << i;
      EXPECT_EQ(offsets_of(found), wanted["offsets"]) << i;
    }
  }
  // null where an id is none of the context's.
  static io::Json offsets_of(const SpanWindow& window) {
    io::Json out = io::Json::array();
    for (std::int64_t i = 0; i < std::ssize(window.ids); ++i) {
      const std::int64_t at = i - window.context_begin;
      if (at < 0 || at >= std::ssize(window.contexts)) {
        out.push_back(nullptr);
        continue;
      }
      const tokenizer::CharacterSpan span = window.contexts[static_cast<std::size_t>(at)];
      out.push_back({span.begin, span.end});
    }
    return out;
  }

  io::Json golden_;
  test::TemporaryFolder folder_;
};

TEST_F(GoldenWindows, OfTheOfficialFileAreThoseOfTransformers) {
  expect_golden(golden_["squad"].dump());
}

TEST_F(GoldenWindows, OfTheHubsRowsAreTheSame) {
  expect_golden(rows());
}

}  // namespace
}  // namespace qloft::data
