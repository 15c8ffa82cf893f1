// Lines of JSON to examples, with the golden tokenizers of each kind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/data.h"

namespace qloft::data {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr const char* kTokenizers[] = {"gpt2", "llama2", "llama3", "metaspace", "qwen2"};

tokenizer::Tokenizer tokenizer(const std::string& name) {
  return tokenizer::Tokenizer::load(std::string(QLOFT_TEST_DATA) + "/golden/tokenizers/" + name);
}

ExampleReader reader(const std::string& name,
                     std::optional<chat_template::ChatTemplate> chat = std::nullopt,
                     DataOptions options = {}) {
  return ExampleReader(tokenizer(name), std::move(chat), std::move(options));
}

Example read(const ExampleReader& from, const io::Json& line) {
  return from.read(line.dump(), "data.jsonl", 1);
}

std::string message_of(const std::string& line,
                       std::optional<chat_template::ChatTemplate> chat = std::nullopt) {
  try {
    reader("llama2", std::move(chat)).read(line, "data.jsonl", 7);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

// The text of each run of ids in the loss.
std::vector<std::string> parts_in_the_loss(const tokenizer::Tokenizer& with,
                                           const Example& example) {
  std::vector<std::string> parts;
  std::vector<tokenizer::TokenId> run;
  for (std::size_t i = 0; i <= example.ids.size(); ++i) {
    if (i < example.ids.size() && example.loss_mask[i] != 0) {
      run.push_back(example.ids[i]);
    } else if (!run.empty()) {
      parts.push_back(with.decode(run));
      run.clear();
    }
  }
  return parts;
}

bool starts_with(const std::vector<tokenizer::TokenId>& ids,
                 const std::vector<tokenizer::TokenId>& head) {
  return ids.size() >= head.size() && std::equal(head.begin(), head.end(), ids.begin());
}

TEST(ExampleReader, LearnsAllOfAText) {
  for (const std::string name : kTokenizers) {
    const tokenizer::Tokenizer with = tokenizer(name);
    const Example example = read(reader(name), {{"text", "Some text."}});
    std::vector<tokenizer::TokenId> expected = with.encode("Some text.");
    if (with.eos()) expected.push_back(*with.eos());
    EXPECT_EQ(example.ids, expected) << name;
    EXPECT_EQ(example.loss_mask.size(), example.ids.size());
    EXPECT_THAT(example.loss_mask, Each(1));
    EXPECT_FALSE(example.truncated);
  }
}

TEST(ExampleReader, AppendsTheEndOfTextOnceAndOnlyWhereAsked) {
  const tokenizer::Tokenizer with = tokenizer("llama2");
  EXPECT_EQ(read(reader("llama2"), {{"text", "a</s>"}}).ids, with.encode("a</s>"));
  DataOptions options;
  options.append_eos = false;
  EXPECT_EQ(read(reader("llama2", std::nullopt, options), {{"text", "a"}}).ids, with.encode("a"));
}

TEST(ExampleReader, KeepsThePromptsOwnIdsAndTheTextOfBothParts) {
  const std::pair<const char*, const char*> kPairs[] = {
      {"The answer is", " 42"},
      {"The answer is ", "42"},
      {"the qu", "estion"},
      {"Question:\n", "\nyes"},
      {"a", "\n"},
      {"", "all of it"},
      {"tokeniz", "ation of words"},
      {"x ", " y"},
      {"1", "2 3"},
      {"end", ""},
      {"\xe4\xbd\xa0", "\xe5\xa5\xbd"},
  };
  DataOptions options;
  options.append_eos = false;
  for (const std::string name : kTokenizers) {
    const tokenizer::Tokenizer with = tokenizer(name);
    const ExampleReader from = reader(name, std::nullopt, options);
    for (const auto& [prompt, completion] : kPairs) {
      const Example example = read(from, {{"prompt", prompt}, {"completion", completion}});
      const std::vector<tokenizer::TokenId> head = with.encode(prompt);
      ASSERT_TRUE(starts_with(example.ids, head)) << name << ": " << prompt << completion;
      EXPECT_EQ(with.decode(example.ids, true),
                with.decode(with.encode(std::string(prompt) + completion), true))
          << name << ": [" << prompt << "][" << completion << "]";
      for (std::size_t i = 0; i < example.ids.size(); ++i) {
        EXPECT_EQ(example.loss_mask[i], i >= head.size()) << name << " at " << i;
      }
    }
  }
}

TEST(ExampleReader, PutsQuestionsAndAnswersIntoOneForm) {
  const DataOptions options;
  EXPECT_EQ(question_prompt("Why?", options), "Question: Why?\nAnswer:");
  EXPECT_EQ(question_completion("So.", options), " So.");
  for (const std::string name : kTokenizers) {
    const tokenizer::Tokenizer with = tokenizer(name);
    const Example example = read(reader(name), {{"question", "Why?"}, {"answer", "So."}});
    const std::vector<tokenizer::TokenId> head = with.encode("Question: Why?\nAnswer:");
    ASSERT_TRUE(starts_with(example.ids, head)) << name;
    EXPECT_EQ(with.decode(example.ids, true), "Question: Why?\nAnswer: So.") << name;
    EXPECT_EQ(std::count(example.loss_mask.begin(), example.loss_mask.end(), 0),
              static_cast<std::ptrdiff_t>(head.size()));
  }
}

TEST(ExampleReader, CountsWhatItCutsOff) {
  DataOptions options;
  options.max_length = 5;
  const tokenizer::Tokenizer with = tokenizer("llama2");
  const std::string text = "a longer text than five ids";
  const Example example = read(reader("llama2", std::nullopt, options), {{"text", text}});
  EXPECT_EQ(example.ids.size(), 5u);
  EXPECT_EQ(example.loss_mask.size(), 5u);
  EXPECT_TRUE(example.truncated);
  EXPECT_EQ(example.dropped, static_cast<std::int64_t>(with.encode(text).size()) + 1 - 5);
  options.max_length = 0;
  EXPECT_THROW(reader("llama2", std::nullopt, options), InputError);
}

TEST(ExampleReader, PrefersTheFirstFormThatFits) {
  const ExampleReader from = reader("llama2");
  const Example pair = read(from, {{"prompt", "p"}, {"completion", "c"}});
  EXPECT_EQ(read(from, {{"text", "t"}, {"completion", "c"}, {"prompt", "p"}}).ids, pair.ids);
  EXPECT_EQ(read(from, {{"text", "t"}, {"prompt", "p"}}).ids, read(from, {{"text", "t"}}).ids);
}

TEST(ExampleReader, NamesFileLineAndFieldOfAWrongLine) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"{", "data.jsonl"},
      {"[1]", "data.jsonl: line 7: expected an object, found an array"},
      {"{}", "line 7: expected \"messages\""},
      {R"({"prompt": "a"})", "found none of them"},
      {R"({"text": 5})", "line 7: text: expected a string, found a number"},
      {R"({"prompt": "a", "completion": null})", "found none of them"},
      {R"({"question": [], "answer": ""})", "question: expected a string, found an array"},
      {R"({"messages": "hi"})", "messages: expected an array of messages, found a string"},
      {R"({"messages": []})", "found an empty one"},
      {R"({"messages": [5]})", "messages[0]: expected an object, found a number"},
      {R"({"messages": [{}]})", "messages[0]: expected a role"},
      {R"({"messages": [{"role": "user", "content": 5}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": "a"}]})", "the model has no chat template"},
  };
  for (const auto& [line, message] : kWrong) {
    EXPECT_THAT(message_of(line), HasSubstr(message)) << line;
  }
  EXPECT_THAT(message_of(R"({"messages": [{"role": "user", "content": "a"}]})",
                         chat_template::ChatTemplate("{{ raise_exception('not so') }}")),
              testing::AllOf(HasSubstr("line 7: messages"), HasSubstr("not so")));
}

const io::Json& golden() {
  static const io::Json json = io::read_json(std::string(QLOFT_TEST_DATA) + "/golden/chat.json");
  return json;
}

chat_template::ChatTemplate family(const std::string& name) {
  return chat_template::ChatTemplate(golden()["templates"][name].get<std::string>(), "<s>", "</s>");
}

io::Json conversation() {
  return {{"messages",
           {{{"role", "user"}, {"content", "one"}},
            {{"role", "assistant"}, {"content", "first answer"}},
            {{"role", "user"}, {"content", "two"}},
            {{"role", "assistant"}, {"content", "second answer"}}}}};
}

TEST(ExampleReader, LearnsOnlyTheAnswersOfAConversation) {
  struct Case {
    const char* family;
    std::vector<std::string> in_the_loss;
  };
  const Case kCases[] = {
      {"chatml", {"first answer<|im_end|>\n", "second answer<|im_end|>\n"}},
      {"zephyr", {"first answer</s>\n", "second answer</s>\n"}},
      {"gemma", {"first answer<end_of_turn>\n", "second answer<end_of_turn>\n"}},
      {"llama3", {"first answer<|eot_id|>", "second answer<|eot_id|>"}},
      {"mistral", {" first answer</s>", " second answer</s>"}},
      {"llama2", {" first answer </s>", " second answer </s>"}},
      // Reasoning is put before the last answer only, and the model is to produce it.
      {"qwen3", {"first answer<|im_end|>\n", "<think>\n\n</think>\n\nsecond answer<|im_end|>\n"}},
      {"phi3", {"first answer<|end|>\n", "second answer<|end|>\n"}},
      {"generation", {"first answer</s>", "second answer</s>"}},
  };
  const tokenizer::Tokenizer with = tokenizer("qwen2");
  for (const Case& one : kCases) {
    const chat_template::ChatTemplate chat = family(one.family);
    const Example example = read(reader("qwen2", chat), conversation());
    io::Json variables = conversation();
    variables.update(
        {{"tools", nullptr}, {"documents", nullptr}, {"add_generation_prompt", false}});
    EXPECT_EQ(example.ids, with.encode(chat.render(variables), false)) << one.family;
    EXPECT_EQ(parts_in_the_loss(with, example), one.in_the_loss) << one.family;
  }
}

TEST(ExampleReader, LeavesAConversationWithoutAnswersOutOfTheLoss) {
  const Example example = read(reader("qwen2", family("chatml")),
                               {{"messages", {{{"role", "user"}, {"content", "one"}}}}});
  EXPECT_GT(example.ids.size(), 0u);
  EXPECT_THAT(example.loss_mask, Each(0));
}

TEST(ExampleReader, LearnsToolCallsAndPassesTheTools) {
  io::Json line = golden()["conversations"]["tools"];
  const tokenizer::Tokenizer with = tokenizer("qwen2");
  const Example example = read(reader("qwen2", family("qwen3")), line);
  EXPECT_THAT(with.decode(example.ids), HasSubstr("# Tools"));
  EXPECT_THAT(parts_in_the_loss(with, example),
              testing::ElementsAre(HasSubstr("<tool_call>"), HasSubstr("20 degrees."),
                                   HasSubstr("Welcome")));
}

TEST(ExampleReader, FindsAnswersByTheirContentWhereNoBeginningCanBeRendered) {
  const tokenizer::Tokenizer with = tokenizer("qwen2");
  // Of no messages there is no first one; and the number of messages stands before them all.
  for (const char* source :
       {"{{ messages[0].role | length }}{% for m in messages %}<{{ m.content }}>{% endfor %}",
        "{{ messages | length }}{% for m in messages %}<{{ m.content }}>{% endfor %}"}) {
    const Example example = read(
        reader("qwen2", chat_template::ChatTemplate(source)),
        {{"messages",
          {{{"role", "assistant"}, {"content", "one"}}, {{"role", "user"}, {"content", "one"}}}}});
    const auto parts = parts_in_the_loss(with, example);
    ASSERT_EQ(parts.size(), 1u) << source;
    EXPECT_TRUE(parts[0].starts_with("one")) << parts[0];
  }
}

TEST(ExampleReader, RefusesATemplateWhoseAnswersCannotBeToldApart) {
  // The whole conversation changes with its length, and no content is printed.
  const chat_template::ChatTemplate chat(
      "{{ messages | length }}{% for m in messages %}<{{ m.content | length }}>{% endfor %}");
  EXPECT_THAT(message_of(conversation().dump(), chat),
              HasSubstr("messages[1]: the chat template renders this answer differently"));
}

}  // namespace
}  // namespace qloft::data
