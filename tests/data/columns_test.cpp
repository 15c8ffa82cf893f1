// The columns that data files have, and which of their tokens count in the loss.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/data.h"
#include "qloft/data/end_tokens.h"
#include "qloft/data/known_ids.h"
#include "qloft/data/omissions.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kChatml =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.tool_calls is defined %}CALL {{ m.tool_calls[0].function.name }}{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

tokenizer::Tokenizer qwen() {
  return tokenizer::Tokenizer::load(std::string(QLOFT_TEST_DATA) + "/golden/tokenizers/qwen2");
}

struct Read {
  std::string text, in_loss;
};

Read read(const std::string& row, const std::string& chat = kChatml) {
  const tokenizer::Tokenizer tokenizer = qwen();
  DataOptions options;
  options.append_eos = false;
  const ExampleReader reader(tokenizer, chat_template::ChatTemplate(chat), options);
  const Example example = reader.read(row, "train.jsonl", 7);
  std::vector<tokenizer::TokenId> counted;
  for (std::size_t i = 0; i < example.ids.size(); ++i) {
    if (example.loss_mask[i] != 0) counted.push_back(example.ids[i]);
  }
  return {tokenizer.decode(example.ids), tokenizer.decode(counted)};
}

std::string error_of(const std::string& row) {
  try {
    read(row);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Columns, LeavesOutNullFieldsAtEveryDepth) {
  const Read found = read(R"({"text": null, "messages": [
      {"role": "user", "content": "Hi", "tool_calls": null},
      {"role": "assistant", "content": null, "tool_calls": [{"id": null, "function": {"name": "f"}}]}]})");
  EXPECT_THAT(found.text, HasSubstr("user\nHi<|im_end|>"));
  EXPECT_EQ(found.in_loss, "CALL f<|im_end|>\n");
}

TEST(Columns, ReadsShareGptConversations) {
  const Read found = read(R"({"system": "S", "conversations": [
      {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]})");
  EXPECT_EQ(found.text,
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello<|im_end|>\n");
  EXPECT_EQ(found.in_loss, "Hello<|im_end|>\n");
}

TEST(Columns, ReadsAlpacaWithItsOwnPrompt) {
  EXPECT_EQ(read(R"({"instruction": "Add.", "input": "1 2", "output": "3"})").text,
            "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3");
  const Read plain = read(R"({"instruction": "Sing.", "input": null, "output": "la"})");
  EXPECT_EQ(plain.text,
            "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nSing.\n\n### Response:\nla");
  EXPECT_EQ(plain.in_loss, "la");
}

TEST(Columns, ReadsDollyWithAlpacasPrompt) {
  const Read found = read(R"({"instruction": "Add.", "context": "1 2", "response": "3"})");
  EXPECT_THAT(found.text,
              HasSubstr("### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3"));
  EXPECT_EQ(found.in_loss, "3");
}

TEST(Columns, ReadsInputsAndTargets) {
  const Read found = read(R"({"inputs": "Is it so? ", "targets": "yes", "task": "x"})");
  EXPECT_EQ(found.text, "Is it so? yes");
  EXPECT_EQ(found.in_loss, "yes");
}

TEST(Columns, TakesTheBestRankedPathOfATree) {
  const Read found = read(R"({"message_tree_id": "1", "prompt": {"role": "prompter", "text": "Hi",
      "replies": [
        {"role": "assistant", "text": "worse", "rank": 1, "replies": []},
        {"role": "assistant", "text": "better", "rank": 0, "replies": [
          {"role": "prompter", "text": "And?", "replies": [
            {"role": "assistant", "text": "unranked"}, {"role": "assistant", "text": "late"}]},
          {"role": "prompter", "text": "Oh?", "rank": null}]}]}})");
  EXPECT_EQ(found.text,
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nbetter<|im_end|>\n"
            "<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\nunranked<|im_end|>\n");
  EXPECT_EQ(found.in_loss, "better<|im_end|>\nunranked<|im_end|>\n");
}

TEST(Columns, EndsATreesPathAtItsLastAnswer) {
  EXPECT_EQ(read(R"({"message_tree_id": "1", "prompt": {"role": "prompter", "text": "Hi",
      "replies": [{"role": "assistant", "text": "Yes", "replies": [
        {"role": "prompter", "text": "unanswered"}]}]}})")
                .text,
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes<|im_end|>\n");
  EXPECT_THAT(error_of(R"({"message_tree_id": "1", "prompt": {"role": "prompter", "text": "Hi"}})"),
              HasSubstr("prompt.replies: expected an answer, found none"));
  EXPECT_THAT(error_of(R"({"message_tree_id": "1", "prompt": {"role": "prompter", "text": "Hi",
      "replies": [{"role": "bot", "text": "Yes"}]}})"),
              HasSubstr("prompt.replies[0].role: expected prompter or assistant, found 'bot'"));
}

TEST(Columns, CountsTheAnswersOfGuanacosTexts) {
  const Read found =
      read(R"({"text": "### Human: Hi### Assistant: Hello.### Human: Why?### Assistant: So."})");
  EXPECT_EQ(found.text, "### Human: Hi### Assistant: Hello.### Human: Why?### Assistant: So.");
  EXPECT_THAT(found.in_loss, HasSubstr(" Hello."));
  EXPECT_THAT(found.in_loss, HasSubstr(" So."));
  EXPECT_THAT(found.in_loss, ::testing::Not(HasSubstr("Why")));
}

TEST(Columns, CountsOnlyTheCompletionOfAConversation) {
  const Read found = read(R"({"prompt": [{"role": "user", "content": "a"},
      {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
      "completion": [{"role": "assistant", "content": "d"}]})");
  EXPECT_THAT(found.text, HasSubstr("assistant\nb<|im_end|>"));
  EXPECT_EQ(found.in_loss, "d<|im_end|>\n");
}

TEST(Columns, FollowsWhatAMessageSaysOfTheLoss) {
  for (const char* flag : {R"("train": false)", R"("training": false)", R"("weight": 0)"}) {
    const Read found = read(R"({"messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", )" +
                            std::string(flag) + R"(}, {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d", "weight": 1}]})");
    EXPECT_EQ(found.in_loss, "d<|im_end|>\n") << flag;
  }
  EXPECT_THAT(error_of(R"({"messages": [{"role": "assistant", "content": "b", "weight": 0.5}]})"),
              HasSubstr("messages[0].weight: expected true, false, 0 or 1, found 0.5"));
}

TEST(Columns, LeavesOutThePartsOfAMessageThatSaySo) {
  const std::string row = R"({"messages": [{"role": "user", "content": "a"},
      {"role": "assistant", "content": " caf\u00e9 au lait ", "train_detail": [
        {"begin_offset": 0, "end_offset": 4, "train": true},
        {"begin_offset": 5, "end_offset": 8, "train": false},
        {"begin_offset": 9, "end_offset": 13, "train": true}]}]})";
  EXPECT_EQ(read(row).in_loss, " caf\u00e9lait <|im_end|>\n");
  const std::string stripping =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
      "{% endfor %}";
  EXPECT_EQ(read(row, stripping).in_loss, "<|im_start|>assistant\ncaf\u00e9lait<|im_end|>\n");
  // Such a message counts whatever its role, as in axolotl.
  EXPECT_EQ(read(R"({"messages": [{"role": "user", "content": "abc", "train_detail": [
      {"begin_offset": 1, "end_offset": 2, "train": false}]}]})")
                .in_loss,
            "a<|im_end|>\n");
  struct Case {
    const char* detail;
    const char* expected;
  };
  const Case cases[] = {
      {R"([{"begin_offset": 0, "end_offset": 3, "train": false}])",
       "messages[0].train_detail[0].end_offset: expected a character of the content, 0 to 2, "
       "found 3"},
      {R"([{"begin_offset": 2, "end_offset": 1, "train": false}])",
       "messages[0].train_detail[0].end_offset: expected 2 or more, found 1"},
      {R"([{"begin_offset": 0, "end_offset": 1}])",
       "messages[0].train_detail[0].train: expected true or false, found none"},
      {R"("all")", "messages[0].train_detail: expected an array of parts"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(
        error_of(R"({"messages": [{"role": "assistant", "content": "abc", "train_detail": )" +
                 std::string(c.detail) + "}]}"),
        HasSubstr(c.expected));
  }
}

TEST(Columns, CountsMessagesOfAnyRoleThatSaySo) {
  const std::string row = R"({"messages": [{"role": "system", "content": "one"},
      {"role": "user", "content": " one more ", "train": true},
      {"role": "assistant", "content": "b"}, {"role": "tool", "content": "c", "weight": 1},
      {"role": "assistant", "content": "d", "train": false}]})";
  EXPECT_EQ(read(row).in_loss, " one more <|im_end|>\nb<|im_end|>\nc<|im_end|>\n");
  // Blocks mark the assistant's words alone; what stands behind the others is found all the same.
  const std::string blocks =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
      "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content | trim }}"
      "{% endif %}<|im_end|>\n{% endfor %}";
  EXPECT_EQ(read(row, blocks).in_loss, "one more<|im_end|>\nbc<|im_end|>\n");
  EXPECT_THAT(error_of(R"({"messages": [{"role": "user", "content": "", "train": true}]})"),
              HasSubstr("messages[0]: the message counts in the loss, but the chat template does "
                        "not render its content"));
}

TEST(Columns, PassesAnEmptyListOfToolsOnAsTransformersDoes) {
  const std::string chat = "{{ tools is none }}{{ tools }}";
  EXPECT_EQ(read(R"({"tools": [], "messages": [{"role": "user", "content": "a"}]})", chat).text,
            "False[]");
  EXPECT_EQ(read(R"({"tools": null, "messages": [{"role": "user", "content": "a"}]})", chat).text,
            "TrueNone");
}

TEST(Columns, JoinsPartsWhereTheTemplateTakesTexts) {
  const std::string row = R"({"messages": [{"role": "user", "content": [
      {"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]})";
  EXPECT_EQ(read(row).text, "<|im_start|>user\none\ntwo<|im_end|>\n");
  EXPECT_EQ(read(row,
                 "{% for m in messages %}{% for p in m.content %}[{{ p.text }}]{% endfor %}"
                 "{% endfor %}")
                .text,
            "[one][two]");
  EXPECT_THAT(error_of(R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})"),
              HasSubstr("messages[0].content[0]: expected a part with a text"));
}

TEST(Columns, RefusesIdsBeyondTheEmbeddingWithFileAndLine) {
  const tokenizer::Tokenizer tokenizer = qwen();
  DataOptions options;
  options.vocabulary_size = *tokenizer.token_id("<|im_end|>");
  const ExampleReader reader(tokenizer, std::nullopt, options);
  try {
    reader.read(R"({"text": "a<|im_end|>"})", "train.jsonl", 7);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("train.jsonl: line 7: expected ids below"));
    EXPECT_THAT(error.what(), HasSubstr("<|im_end|>"));
  }
}

bool endless(const std::string& row, const std::string& chat, bool append = true) {
  DataOptions options;
  options.append_eos = append;
  return ExampleReader(qwen(), chat_template::ChatTemplate(chat), options)
      .read(row, "train.jsonl", 7)
      .endless;
}

TEST(Endless, IsWhatAModelLearnsNoEndFrom) {
  const std::string chat = R"({"messages": [{"role": "user", "content": "a"},
                                            {"role": "assistant", "content": "b"}]})";
  EXPECT_FALSE(endless(chat, kChatml));
  EXPECT_TRUE(endless(chat, "{% for m in messages %}{{ m.content }}\n{% endfor %}"));
  // The turn's end stands behind the block: it is no part of what is learned.
  EXPECT_TRUE(endless(chat,
                      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
                      "{{ m.content }}{% endgeneration %}{% endif %}<|im_end|>{% endfor %}"));
  EXPECT_FALSE(endless(R"({"text": "a"})", kChatml));
  EXPECT_FALSE(endless(R"({"text": "a"})", kChatml, false));
}

TEST(Endless, IsATextWithoutAnEndToken) {
  const test::TemporaryFolder folder;
  std::filesystem::copy_file(
      std::string(QLOFT_TEST_DATA) + "/golden/tokenizers/qwen2/tokenizer.json",
      folder / "tokenizer.json");
  const ExampleReader reader(tokenizer::Tokenizer::load(folder.path()), std::nullopt, {});
  EXPECT_TRUE(reader.read(R"({"text": "a"})", "train.jsonl", 7).endless);
  EXPECT_FALSE(reader.read(R"({"text": "a<|im_end|>"})", "train.jsonl", 7).endless);
}

TEST(KnownIds, AreExpectedOfATextWithLineAndToken) {
  const test::TemporaryFolder folder;
  const tokenizer::Tokenizer tokenizer = qwen();
  std::ofstream(folder / "text.txt") << "a\nb<|im_end|>";
  EXPECT_EQ(read_text_ids(folder / "text.txt", 0, tokenizer).size(), 4u);
  try {
    read_text_ids(folder / "text.txt", *tokenizer.token_id("<|im_end|>"), tokenizer);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("text.txt: line 2, token 4: expected ids below"));
  }
}

TEST(Omissions, NameFileLineAndCount) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "d.jsonl") << R"({"prompt": "a", "completion": " b"})"
                                    << "\n\n"
                                    << R"({"prompt": "a a a a a a", "completion": " b"})"
                                    << "\n";
  DataOptions options;
  options.max_length = 4;
  const DataSet data({folder / "d.jsonl"}, ExampleReader(qwen(), std::nullopt, options));
  Omissions omissions;
  for (std::int64_t i = 0; i < data.size(); ++i) omissions.add(data, i, data.get(i));
  EXPECT_EQ(omissions.truncated, 1);
  EXPECT_EQ(omissions.left_out, 1);
  EXPECT_THAT(omissions.notes(), ElementsAre(HasSubstr("1 of 2 examples were truncated"),
                                             HasSubstr("d.jsonl, line 3")));
}

TEST(EndTokens, AreOneForTrainingAndGeneration) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "config.json") << R"({"eos_token_id": [3, 4]})";
  const tokenizer::Tokenizer tokenizer = qwen();
  const EndTokens ends = end_tokens(folder.path(), tokenizer);
  EXPECT_THAT(ends.ids, ElementsAre(3, 4, *tokenizer.eos()));
  EXPECT_EQ(ends.appended, tokenizer.eos());
}

TEST(EndTokens, LeaveOutNumbersThatNoTokenHas) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "generation_config.json")
      << R"({"eos_token_id": [4294967299, -1, 3.5, 3, 18446744073709551615]})";
  const tokenizer::Tokenizer tokenizer = qwen();
  EXPECT_THAT(end_tokens(folder.path(), tokenizer).ids, ElementsAre(3, *tokenizer.eos()));
}

TEST(TurnEnd, IsWhatTheTemplatePutsBehindAnAnswer) {
  const tokenizer::Tokenizer tokenizer = qwen();
  EXPECT_EQ(turn_end(tokenizer, chat_template::ChatTemplate(kChatml)),
            tokenizer.token_id("<|im_end|>"));
  EXPECT_FALSE(turn_end(tokenizer, chat_template::ChatTemplate(
                                       "{% for m in messages %}{{ m.content }}\n{% endfor %}")));
}

}  // namespace
}  // namespace qloft::data
