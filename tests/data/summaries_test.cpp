#include "qloft/data/summaries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
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
  static tokenizer::Tokenizer bart() {
    return tokenizer::Tokenizer::load(std::filesystem::path(QLOFT_TEST_DATA) /
                                      "golden/seq2seq/bart");
  }
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

}  // namespace
}  // namespace qloft::data
