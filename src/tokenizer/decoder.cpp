#include "decoder.h"

#include <charconv>

#include "bpe.h"
#include "qloft/core/error.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

// How far all steps may lengthen tokens: times the bytes, and bytes on top.
constexpr std::size_t kGrowth = 64;
constexpr std::size_t kFreeGrowth = 1024;
constexpr std::size_t kMaximumSteps = 64;

using Tokens = std::vector<std::string>;

std::size_t bytes_in(const Tokens& tokens) {
  std::size_t total = 0;
  for (const std::string& token : tokens) total += token.size();
  return total;
}

void step_run(const Decoder::Replace& step, Tokens& tokens) {
  for (std::string& token : tokens) {
    std::string changed;
    std::size_t copied = 0;
    const std::size_t limit = kGrowth * token.size() + kFreeGrowth;
    bool found = false;
    // No match in an empty token, whatever the pattern.
    if (token.empty()) continue;
    step.pattern.for_each(token, [&](std::size_t begin, std::size_t end) {
      changed.append(token, copied, begin - copied);
      changed += step.content;
      copied = end;
      found = true;
      if (changed.size() > limit) throw InputError("a decoder makes the text too long");
    });
    if (!found) continue;
    changed.append(token, copied);
    token = std::move(changed);
  }
}

// "<0x41>" as a byte; -1 if the token is no such.
int byte_of(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  // Rust's from_str_radix takes a plus sign.
  const char* first = token.data() + (token[3] == '+' ? 4 : 3);
  unsigned value = 0;
  const auto [end, error] = std::from_chars(first, token.data() + 5, value, 16);
  return error == std::errc() && end == token.data() + 5 ? static_cast<int>(value) : -1;
}

// A run of bytes that is no UTF-8 as a whole gives one U+FFFD a byte.
void step_run(const Decoder::ByteFallback&, Tokens& tokens) {
  Tokens result;
  result.reserve(tokens.size());
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (is_valid_utf8(bytes)) {
      result.push_back(bytes);
    } else {
      result.insert(result.end(), bytes.size(), std::string(kReplacementCharacter));
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const int byte = byte_of(token); byte >= 0) {
      bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    result.push_back(std::move(token));
  }
  flush();
  tokens = std::move(result);
}

std::string joined(const Tokens& tokens, std::string_view between) {
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) text += between;
    text += tokens[i];
  }
  return text;
}

void step_run(const Decoder::Fuse&, Tokens& tokens) {
  tokens = {joined(tokens, "")};
}

void step_run(const Decoder::Strip& step, Tokens& tokens) {
  std::string content;
  append_character(content, step.content);
  for (std::string& token : tokens) {
    std::string_view text = token;
    for (std::int64_t i = 0; i < step.start && text.starts_with(content); ++i) {
      text.remove_prefix(content.size());
    }
    for (std::int64_t i = 0; i < step.stop && text.ends_with(content); ++i) {
      text.remove_suffix(content.size());
    }
    if (text.size() != token.size()) token = std::string(text);
  }
}

void append_byte_level(const std::string& token, std::string& bytes) {
  const std::size_t before = bytes.size();
  for (std::size_t i = 0; i < token.size();) {
    const Character c = character_at(token, i);
    const int byte = byte_of_character(c.code);
    if (byte < 0) {  // an added token: it stands for itself
      bytes.resize(before);
      bytes += token;
      return;
    }
    bytes += static_cast<char>(byte);
    i += c.size;
  }
}

void step_run(const Decoder::ByteLevel&, Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) append_byte_level(token, bytes);
  tokens = {is_valid_utf8(bytes) ? std::move(bytes) : replace_invalid_utf8(bytes)};
}

void step_run(const Decoder::Metaspace& step, Tokens& tokens) {
  std::string mark;
  append_character(mark, step.replacement);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::string text;
    for (std::size_t at = 0; at < tokens[i].size();) {
      if (std::string_view(tokens[i]).substr(at).starts_with(mark)) {
        if (i > 0 || !step.drops_first) text += ' ';
        at += mark.size();
      } else {
        text += tokens[i][at++];
      }
    }
    tokens[i] = std::move(text);
  }
}

void step_run(const Decoder::Bpe& step, Tokens& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::string text;
    std::size_t copied = 0;
    const Pattern pattern(step.suffix);
    pattern.for_each(tokens[i], [&](std::size_t begin, std::size_t end) {
      text.append(tokens[i], copied, begin - copied);
      if (i + 1 < tokens.size()) text += ' ';
      copied = end;
    });
    text.append(tokens[i], copied);
    tokens[i] = std::move(text);
  }
}

// tokenizers' clean-up, each within one token.
std::string cleaned(std::string text) {
  static constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
      text.replace(at, from.size(), to);
    }
  }
  return text;
}

void step_run(const Decoder::WordPiece& step, Tokens& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) {
      if (tokens[i].starts_with(step.prefix)) {
        tokens[i].erase(0, step.prefix.size());
      } else {
        tokens[i].insert(0, " ");
      }
    }
    if (step.cleanup) tokens[i] = cleaned(std::move(tokens[i]));
  }
}

}  // namespace

Decoder Decoder::read(const Field& field) {
  Decoder decoder;
  decoder.given_ = true;
  decoder.add(field);
  return decoder;
}

void Decoder::add(const Field& field) {
  if (steps_.size() >= kMaximumSteps) field.fail("expected fewer decoders");
  switch (field.at("type").choice({"Sequence", "Replace", "ByteFallback", "Fuse", "Strip",
                                   "ByteLevel", "Metaspace", "BPEDecoder", "WordPiece"})) {
    case 0:
      for (const Field& part : field.at("decoders").elements()) add(part);
      return;
    case 1:
      steps_.push_back(Replace{Pattern::read(field.at("pattern")), field.at("content").string()});
      return;
    case 2:
      steps_.push_back(ByteFallback{});
      return;
    case 3:
      steps_.push_back(Fuse{});
      return;
    case 4:
      steps_.push_back(Strip{character_of(field.at("content")), field.at("start").integer(),
                             field.at("stop").integer()});
      return;
    case 5:
      steps_.push_back(ByteLevel{});
      return;
    case 6: {
      bool drops_first = field.boolean("add_prefix_space").value_or(true);
      if (const auto scheme = field.find("prepend_scheme")) {
        drops_first = scheme->choice({"first", "never", "always"}) != 1;
      }
      steps_.push_back(Metaspace{character_of(field.at("replacement")), drops_first});
      return;
    }
    case 7:
      steps_.push_back(Bpe{field.at("suffix").string()});
      return;
    default:
      steps_.push_back(WordPiece{field.string("prefix").value_or("##"),
                                 field.boolean("cleanup").value_or(true)});
  }
}

std::string Decoder::bytes(const std::string& token) const {
  std::string result;
  for (const Step& step : steps_) {
    if (std::holds_alternative<ByteLevel>(step)) {
      append_byte_level(token, result);
      return result;
    }
    if (std::holds_alternative<ByteFallback>(step)) {
      const int byte = byte_of(token);
      if (byte >= 0) return std::string(1, static_cast<char>(byte));
    }
  }
  return token;
}

std::string Decoder::run(std::vector<std::string> tokens) const {
  if (tokens.empty()) return {};
  if (!given_) return joined(tokens, " ");
  const std::size_t limit = kGrowth * bytes_in(tokens) + kFreeGrowth;
  for (const Step& step : steps_) {
    std::visit([&](const auto& kind) { step_run(kind, tokens); }, step);
    if (bytes_in(tokens) > limit) throw InputError("a decoder makes the text too long");
  }
  return joined(tokens, "");
}

}  // namespace qloft::tokenizer
