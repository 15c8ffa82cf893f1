#include "conversation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "qloft/core/error.h"
#include "train_detail.h"

namespace qloft::data {
namespace {

using Range = std::pair<std::size_t, std::size_t>;

constexpr const char* kBlanks = " \t\r\n";
constexpr const char* kProbe = "a text to look for";
// Contents that begin with different letters.
constexpr const char* kOtherContents[] = {"one content", "another"};

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
  std::vector<Range> kept;
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

// The answer messages[index], and what the template puts behind it.
std::optional<Range> answer_range(const chat_template::ChatTemplate& chat,
                                  const io::Json& variables, std::size_t index,
                                  std::string_view whole) {
  const std::optional<std::size_t> start = answer_start(chat, variables, index, whole);
  if (!start) return std::nullopt;
  if (index + 1 == variables["messages"].size()) return Range{*start, whole.size()};
  const std::optional<std::size_t> end = answer_end(chat, variables, index, *start, whole);
  return end ? std::optional(Range{*start, *end}) : std::nullopt;
}

// The text of a content, which may be in parts.
std::string content_text(const io::Json& message) {
  const auto content = message.find("content");
  if (content == message.end()) return {};
  return content->is_string() ? content->get<std::string>() : joined(*content);
}

// The content of messages[index], of any role, and what the template puts behind it, found by
// putting another content in its place. nullopt where the template does not print it as it is.
std::optional<Range> content_range(const chat_template::ChatTemplate& chat,
                                   const io::Json& variables, std::size_t index,
                                   std::string_view whole) {
  const std::string text = content_text(variables["messages"][index]);
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return std::nullopt;
  io::Json changed = variables;
  io::Json& content = changed["messages"][index]["content"];
  const std::string other_content = kOtherContents[text[first] == kOtherContents[0][0] ? 1 : 0];
  if (content.is_array()) {
    content = io::Json::array({{{"type", "text"}, {"text", other_content}}});
  } else {
    content = other_content;
  }
  const std::string other = chat.render(changed);
  const auto differs = std::mismatch(whole.begin(), whole.end(), other.begin(), other.end());
  const auto start = static_cast<std::size_t>(differs.first - whole.begin());
  const auto ends = std::mismatch(whole.rbegin(), whole.rend(), other.rbegin(), other.rend());
  const std::size_t shared =
      std::min(static_cast<std::size_t>(ends.first - whole.rbegin()), whole.size() - start);
  const std::string_view found = whole.substr(start);
  const std::string_view word =
      std::string_view(text).substr(first, text.find_first_of(kBlanks, first) - first);
  if (!found.substr(std::min(found.find_first_not_of(kBlanks), found.size())).starts_with(word)) {
    return std::nullopt;
  }
  const std::optional<std::string> upto = render_beginning(chat, variables, index + 1, false);
  const bool ended = upto && whole.starts_with(*upto) && upto->size() >= whole.size() - shared;
  return Range{start, ended ? upto->size() : whole.size() - shared};
}

// What of messages[index] does not count (train_detail), in `whole`.
std::vector<Range> ranges_left_out(const chat_template::ChatTemplate& chat,
                                   const io::Json& variables, std::size_t index,
                                   std::string_view whole) {
  const io::Json& message = variables["messages"][index];
  const std::string field = "messages[" + std::to_string(index) + "]";
  std::vector<Range> ranges = parts_left_out(message, field);
  if (ranges.empty()) return ranges;
  const std::string text = content_text(message);
  const std::optional<Range> content = content_range(chat, variables, index, whole);
  // A template may strip the content.
  const std::size_t first = text.find_first_not_of(kBlanks);
  std::size_t stripped = 0;
  std::string_view printed = text;
  if (content && !whole.substr(content->first).starts_with(printed)) {
    stripped = first;
    printed = printed.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
  }
  if (!content || !whole.substr(content->first).starts_with(printed)) {
    throw InputError({{}, field + ".train_detail"},
                     "the chat template does not render the content as it is: parts of it cannot "
                     "be told apart");
  }
  for (auto& [begin, end] : ranges) {
    const auto place = [&](std::size_t at) {
      return content->first + std::min(std::max(at, stripped) - stripped, printed.size());
    };
    begin = place(begin);
    end = place(end);
  }
  return ranges;
}

// `ranges` without what lies in `taken`; both ascending.
std::vector<Range> without(const std::vector<Range>& ranges, const std::vector<Range>& taken) {
  std::vector<Range> out;
  for (const auto& [first, second] : ranges) {
    std::size_t begin = first;
    for (const auto& [from, to] : taken) {
      if (to <= begin || from >= second) continue;
      if (from > begin) out.emplace_back(begin, from);
      begin = std::max(begin, std::min(to, second));
    }
    if (begin < second) out.emplace_back(begin, second);
  }
  return out;
}

// Ascending, with those that touch as one.
void join_ranges(std::vector<Range>& ranges) {
  std::ranges::sort(ranges);
  std::vector<Range> apart;
  for (const Range& range : ranges) {
    if (!apart.empty() && range.first <= apart.back().second) {
      apart.back().second = std::max(apart.back().second, range.second);
    } else {
      apart.push_back(range);
    }
  }
  ranges = std::move(apart);
}

// Which bytes of the text each id stands for: a character that several ids make up belongs to each
// of them. nullopt where the ids' texts are not the text (spaces that are added, normal forms).
std::optional<std::vector<Range>> ranges_of(const tokenizer::Tokenizer& tokenizer,
                                            const std::vector<tokenizer::TokenId>& ids,
                                            std::string_view text) {
  tokenizer::StreamDecoder decoder(tokenizer, false);
  std::vector<Range> ranges;
  std::string decoded;
  std::size_t held = 0;  // ids before this one whose character is not whole
  const auto take = [&](const std::string& piece) {
    const Range range{decoded.size(), decoded.size() + piece.size()};
    decoded += piece;
    for (std::size_t i = ranges.size() - held; i < ranges.size(); ++i) ranges[i] = range;
    if (!piece.empty()) held = 0;
  };
  for (const tokenizer::TokenId id : ids) {
    const std::string piece = decoder.push(id);
    ranges.emplace_back();
    ++held;
    take(piece);
  }
  take(decoder.finish());
  return decoded == text ? std::optional(std::move(ranges)) : std::nullopt;
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
    return text.find(kProbe) != std::string::npos &&
           text.find('\'' + std::string(kProbe) + '\'') == std::string::npos;
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
  const bool blocks = chat.marks_generation(variables);
  if (blocks) keep_counted(conversation, marked);
  const io::Json& messages = variables["messages"];
  std::vector<Range> left_out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const bool assistant = messages[i].at("role") == "assistant";
    if (conversation.in_loss[i]) {
      for (const Range& range : ranges_left_out(chat, variables, i, marked.text)) {
        left_out.push_back(range);
      }
    }
    if (!conversation.in_loss[i] || (assistant && blocks)) continue;
    std::optional<Range> range;
    if (assistant) range = answer_range(chat, variables, i, marked.text);
    if (!range || range->second < range->first) {
      range = content_range(chat, variables, i, marked.text);
    }
    if (!range) {
      throw InputError(
          {{}, "messages[" + std::to_string(i) + "]"},
          assistant ? "the chat template renders this answer differently once more messages "
                      "follow, and has no {% generation %} blocks: the answer cannot be told "
                      "apart for the loss"
                    : "the message counts in the loss, but the chat template does not render "
                      "its content");
    }
    marked.answers.push_back(*range);
  }
  join_ranges(marked.answers);
  join_ranges(left_out);
  marked.answers = without(marked.answers, left_out);
  return marked;
}

Example encode_marked(const tokenizer::Tokenizer& tokenizer, const MarkedText& marked) {
  Example example;
  example.ids = tokenizer.encode(marked.text, false);
  example.loss_mask.assign(example.ids.size(), 0);
  const auto ranges = ranges_of(tokenizer, example.ids, marked.text);
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
    if (first == second) continue;
    if (ranges) {
      for (std::size_t i = 0; i < ranges->size(); ++i) {
        const auto& [begin, end] = (*ranges)[i];
        if (begin < second && end > first) example.loss_mask[i] = 1;
      }
      continue;
    }
    const std::size_t begin = ids_before(first);
    const std::size_t end = std::max(begin, ids_before(second));
    std::fill(example.loss_mask.begin() + static_cast<std::ptrdiff_t>(begin),
              example.loss_mask.begin() + static_cast<std::ptrdiff_t>(end), std::uint8_t{1});
  }
  return example;
}

}  // namespace qloft::data
