// OpenAssistant's conversations, a message a row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/data.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using ::testing::HasSubstr;

class Messages : public testing::Test {
 protected:
  DataSet open(const std::string& text) const {
    write_file(folder_ / "rows.jsonl", text);
    const auto tokenizer =
        tokenizer::Tokenizer::load(std::string(QLOFT_TEST_DATA) + "/golden/tokenizers/qwen2");
    const chat_template::ChatTemplate chat(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
    DataOptions options;
    options.append_eos = false;
    return DataSet({folder_ / "rows.jsonl"}, ExampleReader(tokenizer, chat, options));
  }
  static std::string said(const DataSet& data, std::int64_t index) {
    return data.reader().tokenizer().decode(data.get(index).ids);
  }
  std::string refusal_of(const std::string& text) const {
    return test::refusal([&] { open(text); });
  }
  // A row: `parent` empty is a prompt's.
  static std::string message(const std::string& id, const std::string& parent,
                             const std::string& role, const std::string& text,
                             const std::string& rank = "null") {
    return R"({"message_id": ")" + id + R"(", "parent_id": )" +
           (parent.empty() ? "null" : '"' + parent + '"') + R"(, "role": ")" + role +
           R"(", "text": ")" + text + R"(", "rank": )" + rank + "}\n";
  }

  test::TemporaryFolder folder_;
};

TEST_F(Messages, AreExamplesOfTheBestRankedPathOfEachTree) {
  const DataSet data =
      open(message("b", "a", "assistant", "worse", "1.0") + message("a", "", "prompter", "Hi") +
           message("c", "a", "assistant", "better", "0.0") + message("x", "", "prompter", "Why?") +
           message("d", "c", "prompter", "And?") + message("e", "d", "assistant", "unranked") +
           message("f", "d", "assistant", "late") + message("y", "x", "assistant", "So."));
  ASSERT_EQ(data.size(), 2);
  EXPECT_EQ(said(data, 0), "user: Hi\nassistant: better\nuser: And?\nassistant: unranked\n");
  EXPECT_EQ(said(data, 1), "user: Why?\nassistant: So.\n");
  EXPECT_EQ(data.location(0).field, "line 2");
}

TEST_F(Messages, NameARowWhoseParentIsMissing) {
  EXPECT_THAT(
      refusal_of(message("a", "", "prompter", "Hi") + message("b", "z", "assistant", "Yes")),
      HasSubstr("rows.jsonl: line 2: parent_id: expected a message of this file, found "
                "\"z\""));
}

TEST_F(Messages, NameACycle) {
  EXPECT_THAT(
      refusal_of(message("a", "", "prompter", "Hi") + message("b", "d", "assistant", "Yes") +
                 message("c", "b", "prompter", "No") + message("d", "c", "assistant", "So")),
      HasSubstr("rows.jsonl: line 2: parent_id: expected no reply to a message of its own "
                "(a cycle)"));
}

TEST_F(Messages, NameAnIdThatComesTwice) {
  EXPECT_THAT(
      refusal_of(message("a", "", "prompter", "Hi") + message("a", "", "prompter", "Hi again")),
      HasSubstr("rows.jsonl: line 2: message_id: expected another than that of line 1"));
}

TEST_F(Messages, NameARowWithoutARole) {
  EXPECT_THAT(refusal_of(message("a", "", "prompter", "Hi") + message("b", "a", "bot", "Yes")),
              HasSubstr("rows.jsonl: line 2"));
}

TEST_F(Messages, WithoutAnAnswerAreNamedByTheirPrompt) {
  const DataSet data = open(message("a", "", "prompter", "Hi"));
  EXPECT_THAT(test::refusal([&] { data.get(0); }),
              HasSubstr("rows.jsonl: line 1: prompt.replies: expected an answer, found none"));
}

}  // namespace
}  // namespace qloft::data
