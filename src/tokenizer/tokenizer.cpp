#include "qloft/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "class_tokens.h"
#include "declared_tokens.h"
#include "folder_files.h"
#include "qloft/core/error.h"
#include "state.h"

namespace qloft::tokenizer {
namespace {

namespace fs = std::filesystem;

// A small JSON file of the folder that may be missing.
std::optional<io::Json> read_if_there(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  return io::read_json(file);
}

// What a SentencePiece model has around a text, by add_bos_token and add_eos_token of
// tokenizer_config.json; tokenizer.json has a post-processor of its own.
void set_ends(Pipeline& pipeline, const std::map<std::string, std::string>& named, bool bos,
              bool eos) {
  const auto ids = [&](bool wanted, const char* name) -> std::vector<TokenId> {
    const auto found = named.find(name);
    if (!wanted || found == named.end()) return {};
    const auto id = pipeline.find(found->second);
    return id ? std::vector<TokenId>{*id} : std::vector<TokenId>{};
  };
  pipeline.post_processor = PostProcessor(ids(bos, "bos_token"), ids(eos, "eos_token"));
}

}  // namespace

std::optional<std::string> Tokenizer::main_file(const fs::path& folder) {
  std::error_code error;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model", "spm.model",
                           "sentencepiece.bpe.model", "vocab.txt"}) {
    if (fs::is_regular_file(folder / name, error)) return name;
  }
  return std::nullopt;
}

Tokenizer Tokenizer::load(const fs::path& model_folder) {
  const fs::path config_file = model_folder / "tokenizer_config.json";
  const std::optional<io::Json> config_json = read_if_there(config_file);
  const auto config = config_json ? std::optional(Field(*config_json, config_file)) : std::nullopt;
  const auto main_name = main_file(model_folder);
  if (!main_name) {
    throw InputError({model_folder, {}},
                     "expected tokenizer.json, tokenizer.model, spiece.model, spm.model, "
                     "sentencepiece.bpe.model or vocab.txt, found none");
  }
  const fs::path file = model_folder / *main_name;
  const bool json = *main_name == "tokenizer.json";
  std::map<std::string, std::string> own_names;
  auto state = std::make_shared<State>(
      State{json ? read_tokenizer_json(file)
            : *main_name == "vocab.txt"
                ? make_pipeline(wordpiece_json(file, config), file)
                : read_sentencepiece(file, config, model_type_of(model_folder), own_names)});
  DeclaredTokens declared = read_declared_tokens(
      model_folder, config, json ? state->added.all() : std::map<TokenId, AddedToken>());
  state->declare(declared.tokens);
  state->named = std::move(declared.named);
  state->named.merge(own_names);
  for (const auto& [name, token] : class_tokens(model_folder, config)) {
    if (state->find(token)) state->named.try_emplace(name, token);
  }
  state->languages = read_languages(model_folder, config);
  const auto code = find_language(*state, state->languages.source);
  const auto end = state->named.find("eos_token");
  const auto end_id = end == state->named.end() ? std::nullopt : state->find(end->second);
  if (code && end_id) {
    state->post_processor = language_ends(state->languages.place, *code, *end_id);
  }
  state->added.set_split_special(config && config->boolean("split_special_tokens").value_or(false));
  if (!json && !state->post_processor.is_given()) {
    const auto flag = [&](std::string_view name) {
      return config && config->boolean(name).value_or(false);
    };
    set_ends(*state, state->named, flag("add_bos_token"), flag("add_eos_token"));
  }

  Tokenizer tokenizer;
  tokenizer.state_ = std::move(state);
  return tokenizer;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool special) const {
  return state_->encode(text, special);
}

Encoding Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return state_->encode(std::span(&text, 1), options);
}

Encoding Tokenizer::encode_pair(std::string_view first, std::string_view second,
                                const EncodeOptions& options) const {
  const std::string_view texts[] = {first, second};
  return state_->encode(texts, options);
}

std::string_view characters(std::string_view text, CharacterSpan span) {
  const auto byte_of = [&](std::size_t from, std::int32_t count) {
    for (; count > 0 && from < text.size(); --count) from += character_at(text, from).size;
    return std::min(from, text.size());
  };
  const std::size_t begin = byte_of(0, span.begin);
  return text.substr(begin, byte_of(begin, span.end - span.begin) - begin);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  return state_->decode(ids, skip_special);
}

std::int64_t Tokenizer::vocabulary_size() const {
  return state_->id_end();
}

std::optional<TokenId> Tokenizer::token_id(std::string_view token) const {
  return state_->find(token);
}

std::string Tokenizer::token(TokenId id) const {
  if (const std::string* token = state_->token(id)) return *token;
  throw InputError("expected the id of a token below " + std::to_string(vocabulary_size()) +
                   ", found " + std::to_string(id));
}

bool Tokenizer::is_special(TokenId id) const {
  const AddedToken* token = state_->added.token(id);
  return token != nullptr && token->special;
}

const std::map<std::string, std::string>& Tokenizer::special_tokens() const {
  return state_->named;
}

std::optional<TokenId> Tokenizer::named(const char* name) const {
  const auto found = state_->named.find(name);
  return found == state_->named.end() ? std::nullopt : state_->find(found->second);
}

}  // namespace qloft::tokenizer
