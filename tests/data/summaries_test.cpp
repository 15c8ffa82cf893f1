#include "qloft/data/summaries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Summaries : public testing::Test {
 protected:
  std::vector<SummarizedText> read(const std::string& text) const {
    write_file(folder_ / "rows.jsonl", text);
    return read_summaries(folder_ / "rows.jsonl");
  }
  static std::filesystem::path folder_of(const std::string& name) {
    return std::filesystem::path(QLOFT_TEST_DATA) / "golden/seq2seq" / name;
  }
  static tokenizer::Tokenizer bart() { return tokenizer::Tokenizer::load(folder_of("bart")); }
  test::TemporaryFolder folder_;
};

TEST_F(Summaries, ReadTheColumnsOfXsumCnnAndOthers) {
  for (const char* row : {R"({"document": "a b", "summary": "c", "text": "d"})",
                          R"({"article": "a b", "highlights": "c", "summary": "d"})",
                          R"({"text": "a b", "summary": "c", "article": "d"})"}) {
    const auto texts = read(row);
    ASSERT_EQ(texts.size(), 1) << row;
    EXPECT_EQ(texts[0].document, "a b");
    EXPECT_EQ(texts[0].summary, "c");
  }
}

TEST_F(Summaries, NameARowWithoutTheColumns) {
  const auto refusal = [&](const std::string& text) { return test::refusal([&] { read(text); }); };
  EXPECT_THAT(refusal(R"({"document": "a", "label": 1})"),
              HasSubstr("rows.jsonl: line 1: expected document and summary, article and "
                        "highlights, or text and summary"));
  EXPECT_THAT(refusal("{\"text\": \"a\", \"summary\": \"b\"}\n{\"text\": \"a\"}"),
              HasSubstr("rows.jsonl: line 2.summary: "));
  EXPECT_THAT(refusal(""), HasSubstr("rows.jsonl: expected at least one row, found none"));
}

TEST_F(Summaries, AreCutAtTheirEndsBeforeTheSpecialTokens) {
  const auto pairs =
      encode_summaries({{"bi bo bu bar", "ba be bi bo", {}}, {"bi", "be", {}}}, bart(),
                       {.prefix = "ba be ", .source_length = 5, .target_length = 4});
  EXPECT_THAT(pairs[0].source, ElementsAre(0, 4, 5, 6, 2));
  EXPECT_THAT(pairs[0].target, ElementsAre(0, 4, 5, 2));
  EXPECT_TRUE(pairs[0].truncated);
  EXPECT_THAT(pairs[1].source, ElementsAre(0, 4, 5, 6, 2));
  EXPECT_FALSE(pairs[1].truncated);
}

// What transformers' tokenizers make of the same: tests/golden/make_seq2seq.py.
TEST_F(Summaries, AreInTheLanguagesThatAreAskedFor) {
  for (const char* name : {"mbart", "mbart50"}) {
    const io::Json golden = io::read_json(folder_of(name) / "expected.json")["languages"];
    const auto tokenizer = tokenizer::Tokenizer::load(folder_of(name));
    for (const auto& row : golden["rows"]) {
      SCOPED_TRACE(name + row["target"].get<std::string>());
      const auto pairs =
          encode_summaries({{golden["text"], golden["summary"], {}}}, tokenizer,
                           {.source_language = row["source"], .target_language = row["target"]});
      EXPECT_EQ(pairs[0].source, row["ids"].get<std::vector<tokenizer::TokenId>>());
      EXPECT_EQ(pairs[0].target, row["labels"].get<std::vector<tokenizer::TokenId>>());
    }
  }
}

TEST_F(Summaries, NameALanguageThatTheTokenizerHasNot) {
  const auto mbart = tokenizer::Tokenizer::load(folder_of("mbart"));
  const auto refusal = [](const tokenizer::Tokenizer& tokenizer, const PairOptions& options) {
    return test::refusal([&] { encode_summaries({{"ba", "ku", {}}}, tokenizer, options); });
  };
  EXPECT_THAT(refusal(mbart, {.target_language = "ro"}),
              ::testing::AllOf(HasSubstr("target_language: expected one of ar_AR, cs_CZ, "),
                               HasSubstr("zh_CN, found \"ro\"")));
  EXPECT_THAT(refusal(bart(), {.source_language = "en_XX"}),
              HasSubstr("source_language: expected none: the model's tokenizer has no languages"));
}

}  // namespace
}  // namespace qloft::data
