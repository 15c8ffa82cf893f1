#include "conversation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "qloft/core/error.h"

namespace qloft::data {
namespace {

constexpr const char* kProbe = "a text to look for";

// The texts of the parts of a content, a line each.
std::string joined(const io::Json& parts) {
  std::string text;
  for (const io::Json& part : parts) {
    if (!text.empty()) text += '\n';
    text += part.is_string() ? part.get<std::string>() : part.at("text").get<std::string>();
  }
  return text;
}

// A template with {% generation %} blocks has one for each of the assistant's messages; those of
// messages that do not count are taken out.
void keep_counted(const Conversation& conversation, MarkedText& marked) {
  const io::Json& messages = conversation.variables.at("messages");
  std::vector<bool> counts;
  bool all = true;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].at("role") != "assistant") continue;
    counts.push_back(conversation.in_loss[i]);
    all = all && conversation.in_loss[i];
  }
  if (all) return;
  if (counts.size() != marked.answers.size()) {
    throw InputError({{}, "messages"},
                     "some answers do not count in the loss, but the chat template has " +
                         std::to_string(marked.answers.size()) + " {% generation %} blocks for " +
                         std::to_string(counts.size()) + " answers: they cannot be told apart");
  }
  decltype(marked.answers) kept;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i]) kept.push_back(marked.answers[i]);
  }
  marked.answers = std::move(kept);
}

// The first `count` messages; nullopt where the template refuses such a beginning (it may want a
// user's turn, or turns that alternate).
std::optional<std::string> render_beginning(const chat_template::ChatTemplate& chat,
                                            io::Json variables, std::size_t count,
                                            bool add_generation_prompt) {
  io::Json& messages = variables["messages"];
  messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(count), messages.end());
  variables["add_generation_prompt"] = add_generation_prompt;
  try {
    return chat.render(variables);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

// The length of the longest beginning of `text` that `candidate` ends with (Knuth, Morris, Pratt).
std::size_t longest_shared_edge(std::string_view text, std::string_view candidate) {
  std::vector<std::size_t> border(text.size(), 0);
  for (std::size_t i = 1, k = 0; i < text.size(); ++i) {
    while (k > 0 && text[i] != text[k]) k = border[k - 1];
    if (text[i] == text[k]) ++k;
    border[i] = k;
  }
  std::size_t matched = 0;
  for (const char c : candidate) {
    while (matched > 0 && (matched == text.size() || text[matched] != c)) {
      matched = border[matched - 1];
    }
    if (matched < text.size() && text[matched] == c) ++matched;
  }
  return matched;
}

// Where the answer messages[index] begins in `whole`.
std::optional<std::size_t> answer_start(const chat_template::ChatTemplate& chat,
                                        const io::Json& variables, std::size_t index,
                                        std::string_view whole) {
  for (const bool prompt : {true, false}) {
    const std::optional<std::string> before = render_beginning(chat, variables, index, prompt);
    if (before && whole.starts_with(*before)) return before->size();
  }
  return std::nullopt;
}

// Where it ends. Some templates drop an earlier answer's reasoning once another turn follows; what
// is left of the answer is then the longest end of its own rendering that stands at `start`.
std::optional<std::size_t> answer_end(const chat_template::ChatTemplate& chat,
                                      const io::Json& variables, std::size_t index,
                                      std::size_t start, std::string_view whole) {
  const std::optional<std::string> upto = render_beginning(chat, variables, index + 1, false);
  if (!upto) return std::nullopt;
  if (whole.starts_with(*upto)) return upto->size();
  if (!upto->starts_with(whole.substr(0, start))) return std::nullopt;
  const std::size_t kept =
      longest_shared_edge(whole.substr(start), std::string_view(*upto).substr(start));
  if (kept == 0) return std::nullopt;
  return start + kept;
}

}  // namespace

bool takes_parts(const chat_template::ChatTemplate& chat) {
  const io::Json part = {{"type", "text"}, {"text", kProbe}};
  const io::Json message = {{"role", "user"}, {"content", io::Json::array({part})}};
  try {
    const std::string text = chat.render(io::Json{{"messages", io::Json::array({message})},
                                                  {"tools", nullptr},
                                                  {"documents", nullptr},
                                                  {"add_generation_prompt", false}});
    return text.find(kProbe) != text.npos &&
           text.find('\'' + std::string(kProbe) + '\'') == text.npos;
  } catch (const InputError&) {
    return false;
  }
}

MarkedText render_conversation(const chat_template::ChatTemplate& chat,
                               const Conversation& conversation, bool parts) {
  io::Json variables = conversation.variables;
  for (io::Json& message : variables["messages"]) {
    const auto content = message.find("content");
    if (!parts && content != message.end() && content->is_array()) *content = joined(*content);
  }
  variables["add_generation_prompt"] = false;
  chat_template::Rendering whole = chat.render_marked(variables);
  MarkedText marked{std::move(whole.text), std::move(whole.generated)};
  if (chat.marks_generation()) {
    keep_counted(conversation, marked);
    return marked;
  }

  const io::Json& messages = variables["messages"];
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!conversation.in_loss[i]) continue;
    const std::optional<std::size_t> start = answer_start(chat, variables, i, marked.text);
    std::optional<std::size_t> end;
    if (start && i + 1 == messages.size()) {
      end = marked.text.size();
    } else if (start) {
      end = answer_end(chat, variables, i, *start, marked.text);
    }
    if (!end || *end < *start) {
      throw InputError({{}, "messages[" + std::to_string(i) + "]"},
                       "the chat template renders this answer differently once more messages "
                       "follow, and has no {% generation %} blocks: the answer cannot be told "
                       "apart for the loss");
    }
    const bool joined = !marked.answers.empty() && *start <= marked.answers.back().second;
    if (joined) {
      marked.answers.back().second = std::max(marked.answers.back().second, *end);
    } else {
      marked.answers.emplace_back(*start, *end);
    }
  }
  return marked;
}

Example encode_marked(const tokenizer::Tokenizer& tokenizer, const MarkedText& marked) {
  Example example;
  example.ids = tokenizer.encode(marked.text, false);
  example.loss_mask.assign(example.ids.size(), 0);
  // How many ids of the whole are those of its first `bytes` bytes alone.
  const auto ids_before = [&](std::size_t bytes) {
    if (bytes >= marked.text.size()) return example.ids.size();
    const std::vector<tokenizer::TokenId> head =
        tokenizer.encode(std::string_view(marked.text).substr(0, bytes), false);
    const auto differs =
        std::mismatch(head.begin(), head.end(), example.ids.begin(), example.ids.end());
    return static_cast<std::size_t>(differs.first - head.begin());
  };
  for (const auto& [first, second] : marked.answers) {
    const std::size_t begin = ids_before(first);
    const std::size_t end = std::max(begin, ids_before(second));
    std::fill(example.loss_mask.begin() + static_cast<std::ptrdiff_t>(begin),
              example.loss_mask.begin() + static_cast<std::ptrdiff_t>(end), std::uint8_t{1});
  }
  return example;
}

}  // namespace qloft::data
