#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "conversation.h"
#include "open_assistant.h"
#include "qloft/core/error.h"
#include "qloft/data.h"
#include "qloft/data/known_ids.h"
#include "row.h"

namespace qloft::data {
namespace {

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

Example encode_text(const tokenizer::Tokenizer& tokenizer, const std::string& text) {
  Example example;
  example.ids = tokenizer.encode(text);
  example.loss_mask.assign(example.ids.size(), 1);
  return example;
}

Example encode_pair(const tokenizer::Tokenizer& tokenizer, const std::string& prompt,
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
  chat_takes_parts_ = chat_ && takes_parts(*chat_);
  end_ = options_.append_eos ? (options_.end_token ? options_.end_token : tokenizer_.eos())
                             : std::nullopt;
}

Example ExampleReader::encode(const RowContent& row, const RowLocation& at) const {
  Example example;
  if (const auto* conversation = std::get_if<Conversation>(&row.form)) {
    if (!chat_) at.fail("messages", "the model has no chat template to render them with");
    try {
      example =
          encode_marked(tokenizer_, render_conversation(*chat_, *conversation, chat_takes_parts_));
    } catch (const InputError& error) {
      at.fail("messages", error.what());
    }
    example.endless = !ends(example);
    return example;
  }
  if (const auto* pair = std::get_if<Pair>(&row.form)) {
    example = encode_pair(tokenizer_, pair->prompt, pair->completion);
  } else {
    const std::string& text = std::get<Text>(row.form).text;
    example = is_guanaco(text) ? encode_marked(tokenizer_, guanaco_turns(text))
                               : encode_text(tokenizer_, text);
  }
  if (end_ && (example.ids.empty() || example.ids.back() != *end_)) {
    example.ids.push_back(*end_);
    example.loss_mask.push_back(1);
  }
  example.endless = options_.append_eos && !ends(example);
  return example;
}

bool ExampleReader::ends(const Example& example) const {
  for (std::size_t i = example.ids.size(); i-- > 0;) {
    if (example.loss_mask[i] == 0) continue;
    const tokenizer::TokenId id = example.ids[i];
    if (tokenizer_.is_special(id) || id == end_ || id == tokenizer_.eos()) return true;
    // A template may put a line's end behind the turn's.
    const std::string text = tokenizer_.decode({&id, 1});
    if (text.find_first_not_of(" \t\r\n") != std::string::npos) return false;
  }
  return std::ranges::find(example.loss_mask, std::uint8_t{1}) == example.loss_mask.end();
}

Example ExampleReader::read(const std::string& text, const std::filesystem::path& file,
                            std::int64_t line_number) const {
  return read(io::parse_json(text, file, line_number),
              {file, "line " + std::to_string(line_number)});
}

Example ExampleReader::read(const io::Json& row, const ErrorLocation& where) const {
  const RowLocation at{where};
  Example example = encode(read_row(row, at, options_), at);
  const auto limit = static_cast<std::size_t>(options_.max_length);
  if (example.ids.size() > limit) {
    example.truncated = true;
    example.dropped = static_cast<std::int64_t>(example.ids.size() - limit);
    example.ids.resize(limit);
    example.loss_mask.resize(limit);
  }
  expect_known_ids(example.ids, options_.vocabulary_size, tokenizer_, where);
  return example;
}

}  // namespace qloft::data
