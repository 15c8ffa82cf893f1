#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "conversation.h"
#include "qloft/core/error.h"
#include "qloft/data.h"

namespace qloft::data {
namespace {

// The one line that is read: names itself in every error.
struct Line {
  const std::filesystem::path& file;
  std::int64_t number;

  [[noreturn]] void fail(std::string_view field, std::string_view message) const {
    std::string where = "line " + std::to_string(number);
    if (!field.empty()) where += ": " + std::string(field);
    throw InputError({file, where}, message);
  }
};

std::string kind(const io::Json& value) {
  switch (value.type()) {
    case io::Json::value_t::null:
      return "null";
    case io::Json::value_t::object:
      return "an object";
    case io::Json::value_t::array:
      return "an array";
    case io::Json::value_t::string:
      return "a string";
    case io::Json::value_t::boolean:
      return "a boolean";
    default:
      return "a number";
  }
}

const std::string& text_of(const io::Json& object, const char* field, const Line& line) {
  const io::Json& value = object.at(field);
  if (!value.is_string()) line.fail(field, "expected a string, found " + kind(value));
  return value.get_ref<const std::string&>();
}

void check_messages(const io::Json& messages, const Line& line) {
  if (!messages.is_array() || messages.empty()) {
    line.fail("messages", "expected an array of messages, found " +
                              (messages.is_array() ? "an empty one" : kind(messages)));
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string name = "messages[" + std::to_string(i) + "]";
    const io::Json& message = messages[i];
    if (!message.is_object()) line.fail(name, "expected an object, found " + kind(message));
    const auto role = message.find("role");
    if (role == message.end()) line.fail(name, "expected a role, found none");
    if (!role->is_string()) line.fail(name + ".role", "expected a string, found " + kind(*role));
    const auto content = message.find("content");
    if (content != message.end() && !content->is_string() && !content->is_array() &&
        !content->is_null()) {
      line.fail(name + ".content", "expected a string, found " + kind(*content));
    }
  }
}

bool starts_with(const std::vector<tokenizer::TokenId>& ids,
                 const std::vector<tokenizer::TokenId>& head) {
  return ids.size() >= head.size() && std::equal(head.begin(), head.end(), ids.begin());
}

// True for tokenizers of SentencePiece's kind, which put a space before whatever they are given.
bool adds_a_space(const tokenizer::Tokenizer& tokenizer) {
  const std::vector<tokenizer::TokenId> ids = tokenizer.encode("a", false);
  if (ids.empty()) return false;
  const std::string first = tokenizer.token(ids.front());
  return first.starts_with("\xe2\x96\x81") || first.starts_with("\xc4\xa0");
}

// `text` as it is tokenized in the middle of a text: without an added space before it.
std::vector<tokenizer::TokenId> encode_continuation(const tokenizer::Tokenizer& tokenizer,
                                                    std::string_view text) {
  if (text.empty()) return {};
  if (!adds_a_space(tokenizer)) return tokenizer.encode(text, false);
  if (text.starts_with(' ')) return tokenizer.encode(text.substr(1), false);
  // Behind something whose ids stay as they are, a text has the ids of the middle of a text.
  for (const char* anchor : {"\n", ".", "a", "0"}) {
    const std::vector<tokenizer::TokenId> head = tokenizer.encode(anchor, false);
    const std::vector<tokenizer::TokenId> both =
        tokenizer.encode(anchor + std::string(text), false);
    if (!starts_with(both, head)) continue;
    return {both.begin() + static_cast<std::ptrdiff_t>(head.size()), both.end()};
  }
  return tokenizer.encode(text, false);
}

Example read_text(const tokenizer::Tokenizer& tokenizer, const std::string& text) {
  Example example;
  example.ids = tokenizer.encode(text);
  example.loss_mask.assign(example.ids.size(), 1);
  return example;
}

Example read_pair(const tokenizer::Tokenizer& tokenizer, const std::string& prompt,
                  const std::string& completion) {
  Example example;
  example.ids = tokenizer.encode(prompt);
  const std::size_t prompt_size = example.ids.size();
  std::vector<tokenizer::TokenId> both = tokenizer.encode(prompt + completion);
  if (starts_with(both, example.ids)) {
    example.ids = std::move(both);
  } else {
    const std::vector<tokenizer::TokenId> rest = encode_continuation(tokenizer, completion);
    example.ids.insert(example.ids.end(), rest.begin(), rest.end());
  }
  example.loss_mask.assign(example.ids.size(), 1);
  std::fill_n(example.loss_mask.begin(), prompt_size, std::uint8_t{0});
  return example;
}

}  // namespace

std::string question_prompt(const std::string& question, const DataOptions& options) {
  return options.question_prefix + question + options.answer_prefix;
}

std::string question_completion(const std::string& answer, const DataOptions& options) {
  return options.answer_separator + answer;
}

ExampleReader::ExampleReader(tokenizer::Tokenizer tokenizer,
                             std::optional<chat_template::ChatTemplate> chat, DataOptions options)
    : tokenizer_(std::move(tokenizer)), chat_(std::move(chat)), options_(std::move(options)) {
  if (options_.max_length < 1) {
    throw InputError({{}, "max length"},
                     "expected at least 1, found " + std::to_string(options_.max_length));
  }
}

Example ExampleReader::read(const std::string& text, const std::filesystem::path& file,
                            std::int64_t line_number) const {
  const Line line{file, line_number};
  const io::Json json = io::parse_json(text, file, line_number);
  if (!json.is_object()) line.fail({}, "expected an object, found " + kind(json));
  Example example;
  bool ends = options_.append_eos;
  if (json.contains("messages")) {
    check_messages(json.at("messages"), line);
    if (!chat_) line.fail("messages", "the model has no chat template to render them with");
    ends = false;
    try {
      example = encode_marked(tokenizer_, render_conversation(*chat_, json));
    } catch (const InputError& error) {
      line.fail("messages", error.what());
    }
  } else if (json.contains("prompt") && json.contains("completion")) {
    example =
        read_pair(tokenizer_, text_of(json, "prompt", line), text_of(json, "completion", line));
  } else if (json.contains("question") && json.contains("answer")) {
    example = read_pair(tokenizer_, question_prompt(text_of(json, "question", line), options_),
                        question_completion(text_of(json, "answer", line), options_));
  } else if (json.contains("text")) {
    example = read_text(tokenizer_, text_of(json, "text", line));
  } else {
    line.fail({},
              "expected \"messages\", \"prompt\" and \"completion\", \"question\" and \"answer\", "
              "or \"text\"; found none of them");
  }
  const std::optional<tokenizer::TokenId> eos = tokenizer_.eos();
  if (ends && eos && (example.ids.empty() || example.ids.back() != *eos)) {
    example.ids.push_back(*eos);
    example.loss_mask.push_back(1);
  }
  const auto limit = static_cast<std::size_t>(options_.max_length);
  if (example.ids.size() > limit) {
    example.truncated = true;
    example.dropped = static_cast<std::int64_t>(example.ids.size() - limit);
    example.ids.resize(limit);
    example.loss_mask.resize(limit);
  }
  return example;
}

}  // namespace qloft::data
