#include "languages.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <utility>

#include "class_tokens.h"
#include "qloft/core/error.h"
#include "qloft/tokenizer/language.h"
#include "state.h"

namespace qloft::tokenizer {
namespace {

constexpr const char* kDefaultLanguage = "en_XX";

// "en_XX"
bool is_language(std::string_view token) {
  const auto bar = token.find('_');
  if (bar < 2 || bar > 3 || token.size() != bar + 3) return false;
  const auto all = [](std::string_view part, int (*test)(int)) {
    return std::ranges::all_of(part, [&](unsigned char c) { return test(c) != 0; });
  };
  return all(token.substr(0, bar), std::islower) && all(token.substr(bar + 1), std::isupper);
}

}  // namespace

Languages read_languages(const std::filesystem::path& folder, const std::optional<Field>& config) {
  std::string name = config ? config->string("tokenizer_class").value_or("") : std::string();
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name.empty() && model_type_of(folder) == "mbart") name = "MBartTokenizer";
  Languages out;
  if (name == "MBartTokenizer") out.place = Languages::Place::behind;
  if (name == "MBart50Tokenizer") out.place = Languages::Place::before;
  if (out.place == Languages::Place::none) return out;
  out.source = kDefaultLanguage;
  if (!config) return out;
  out.source = config->string("src_lang").value_or(out.source);
  out.target = config->string("tgt_lang").value_or("");
  return out;
}

std::optional<TokenId> find_language(const Pipeline& pipeline, std::string_view code) {
  return is_language(code) ? pipeline.find(code) : std::nullopt;
}

PostProcessor language_ends(Languages::Place place, TokenId code, TokenId end) {
  if (place == Languages::Place::before) return PostProcessor::around({code}, {end});
  return PostProcessor::around({}, {end, code});
}

Language language_of(const Tokenizer& tokenizer, std::string_view code, const char* option) {
  const Tokenizer::State& state = *tokenizer.state_;
  if (state.languages.place == Languages::Place::none) {
    throw InputError({{}, option}, "expected none: the model's tokenizer has no languages");
  }
  if (const auto id = find_language(state, code)) {
    return {*id, state.languages.place == Languages::Place::before};
  }
  std::string known;
  for (const auto& [id, token] : state.added.all()) {
    if (is_language(token.content)) known += (known.empty() ? "" : ", ") + token.content;
  }
  throw InputError({{}, option},
                   "expected one of " + known + ", found \"" + std::string(code) + "\"");
}

Tokenizer in_language(const Tokenizer& tokenizer, std::string_view code, const char* option) {
  if (code.empty()) return tokenizer;
  const Language language = language_of(tokenizer, code, option);
  auto state = std::make_shared<Tokenizer::State>(*tokenizer.state_);
  const auto end = tokenizer.eos();
  if (!end) throw InputError({{}, option}, "expected a tokenizer with a token that ends a text");
  state->post_processor = language_ends(state->languages.place, language.code, *end);
  Tokenizer out;
  out.state_ = std::move(state);
  return out;
}

Tokenizer for_targets(const Tokenizer& tokenizer, std::string_view code, const char* option) {
  if (!code.empty()) return in_language(tokenizer, code, option);
  return in_language(tokenizer, tokenizer.state_->languages.target, option);
}

}  // namespace qloft::tokenizer
