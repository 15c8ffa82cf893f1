#include "qloft/data/squad.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A question of one word, a context of single letters.
class SpanQuestions : public testing::Test {
 protected:
  using Rows = std::vector<io::Json>;
  static io::Json article(const std::string& context, const Rows& questions) {
    io::Json paragraph = {{"context", context}, {"qas", questions}};
    return {{"version", "v2.0"},
            {"data", {{{"title", "T"}, {"paragraphs", io::Json::array({paragraph})}}}}};
  }
  static io::Json question(const std::string& id, const Rows& answers) {
    return {{"id", id}, {"question", " \u00a0q"}, {"answers", answers}};
  }
  static io::Json answer(const std::string& text, int start) {
    return {{"text", text}, {"answer_start", start}};
  }
  std::filesystem::path write(const std::string& text) const {
    write_file(folder_ / "squad.json", text);
    return folder_ / "squad.json";
  }
  std::filesystem::path write(const std::string& context, const Rows& questions) const {
    return write(article(context, questions).dump(1));
  }
  std::string refusal(const std::filesystem::path& file, bool unanswerable = false) const {
    try {
      read_span_questions(file, unanswerable);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }
  tokenizer::Tokenizer letters() const {
    std::string words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nq\n";
    for (char c = 'a'; c <= 'h'; ++c) words += std::string(1, c) + "\n";
    write_file(folder_ / "vocab.txt", words);
    write_file(folder_ / "config.json", R"({"model_type": "bert"})");
    return tokenizer::Tokenizer::load(folder_.path());
  }
  // The windows of "a b c d e f" of four ids of context, two of them of the one before.
  std::vector<SpanWindow> windows(const Rows& answers) const {
    const auto file = write("a b c d e f", {question("1", answers)});
    return encode_span_questions(read_span_questions(file, true), letters(),
                                 {.length = 8, .stride = 2});
  }

  test::TemporaryFolder folder_;
};

TEST_F(SpanQuestions, OfAnArticleShareItsContext) {
  const auto found = read_span_questions(
      write("In na\u00efve caf\u00e9s",
            {question("1", {answer("caf\u00e9s", 9), answer("na\u00efve", 3)}), question("2", {})}),
      true);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].question, "q");
  EXPECT_EQ(found[0].first, (tokenizer::CharacterSpan{9, 14}));
  EXPECT_THAT(found[0].answers, ElementsAre("caf\u00e9s", "na\u00efve"));
  EXPECT_THAT(found[1].answers, IsEmpty());
  EXPECT_EQ(found[0].context, found[1].context);
}

TEST_F(SpanQuestions, AreRowsOfTheHubToo) {
  const auto found =
      read_span_questions(write(R"({"id": "1", "title": "T", "context": "a b", "question": "q",)"
                                R"( "answers": {"text": ["b"], "answer_start": [2]}})"),
                          false);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].first, (tokenizer::CharacterSpan{2, 3}));
}

TEST_F(SpanQuestions, NameAnAnswerThatStandsElsewhere) {
  const auto file = write("a b c", {question("1", {answer("b", 3)})});
  EXPECT_THAT(refusal(file),
              HasSubstr("squad.json: element 1.paragraphs[0].qas[0].answers[0].answer_start: "
                        "expected 'b' there in the context, found ' '"));
}

TEST_F(SpanQuestions, NameARowWithoutAnAnswer) {
  const auto file = write("a b", {question("1", {})});
  EXPECT_THAT(refusal(file), HasSubstr("answers: expected at least one, found none"));
  EXPECT_EQ(refusal(file, true), "no error");
}

TEST_F(SpanQuestions, NameAnIdThatStandsTwice) {
  const auto file =
      write("a b", {question("1", {answer("b", 2)}), question("1", {answer("b", 2)})});
  EXPECT_THAT(refusal(file), HasSubstr("qas[1].id: '1' stands twice"));
}

TEST_F(SpanQuestions, AreReadInWindowsOfTheContext) {
  const auto found = windows({answer("d e", 6)});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_THAT(found[0].ids, ElementsAre(2, 5, 3, 6, 7, 8, 9, 3));
  EXPECT_THAT(found[1].ids, ElementsAre(2, 5, 3, 8, 9, 10, 11, 3));
  EXPECT_THAT(found[1].types, ElementsAre(0, 0, 0, 1, 1, 1, 1, 1));
  EXPECT_EQ(found[1].context_begin, 3);
  EXPECT_EQ(found[1].contexts.front(), (tokenizer::CharacterSpan{4, 5}));
}

TEST_F(SpanQuestions, HaveTheirAnswerInTheWindowsThatHoldItWhole) {
  const auto found = windows({answer("d e", 6)});
  EXPECT_EQ(found[0].start, 0);
  EXPECT_EQ(found[0].end, 0);
  EXPECT_EQ(found[1].start, 4);
  EXPECT_EQ(found[1].end, 5);
}

TEST_F(SpanQuestions, BeginAnAnswerInTheLastWordOfAWindow) {
  const auto found = windows({answer("d", 6)});
  EXPECT_EQ(found[0].start, 6);
  EXPECT_EQ(found[0].end, 6);
  EXPECT_EQ(found[1].start, 4);
}

TEST_F(SpanQuestions, WithoutAnAnswerPointAtTheFirstId) {
  for (const SpanWindow& window : windows({})) {
    EXPECT_EQ(window.start, 0);
    EXPECT_EQ(window.end, 0);
  }
}

TEST_F(SpanQuestions, NameAQuestionThatLeavesNoRoom) {
  const auto file = write("a b c", {question("xyz", {answer("b", 2)})});
  try {
    encode_span_questions(read_span_questions(file, true), letters(), {.length = 4, .stride = 0});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("question xyz: leaves no room for its context"));
  }
}

}  // namespace
}  // namespace qloft::data
