#include "qloft/tokenizer.h"

#include <nlohmann/json.hpp>

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

// "<s>" or {"content": "<s>", ...}.
std::optional<std::string> token_text(const io::Json& json, const fs::path& file,
                                      std::string_view name) {
  const auto field = Field(json, file).find(name);
  if (!field) return std::nullopt;
  return field->json().is_object() ? field->at("content").string() : field->string();
}

}  // namespace

Tokenizer Tokenizer::load(const fs::path& model_folder) {
  const fs::path config_file = model_folder / "tokenizer_config.json";
  const fs::path map_file = model_folder / "special_tokens_map.json";
  const fs::path json_file = model_folder / "tokenizer.json";
  const fs::path model_file = model_folder / "tokenizer.model";
  const std::optional<io::Json> config = read_if_there(config_file);
  const std::optional<io::Json> map = read_if_there(map_file);

  std::error_code error;
  auto state = [&]() -> std::shared_ptr<State> {
    if (fs::exists(json_file, error)) {
      return std::make_shared<State>(State{read_tokenizer_json(json_file)});
    }
    if (fs::exists(model_file, error)) {
      const auto field = config ? std::optional(Field(*config, config_file)) : std::nullopt;
      return std::make_shared<State>(State{read_sentencepiece(model_file, field)});
    }
    throw InputError({model_folder, {}},
                     "expected tokenizer.json or tokenizer.model, found neither");
  }();

  const auto named = [&](std::string_view name, std::optional<TokenId>& id) {
    std::optional<std::string> text;
    if (config) text = token_text(*config, config_file, name);
    if (!text && map) text = token_text(*map, map_file, name);
    if (text) id = state->find(*text);
  };
  named("bos_token", state->bos);
  named("eos_token", state->eos);
  named("pad_token", state->pad);

  Tokenizer tokenizer;
  tokenizer.state_ = std::move(state);
  return tokenizer;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool special) const {
  return state_->encode(text, special);
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

std::optional<TokenId> Tokenizer::bos() const {
  return state_->bos;
}
std::optional<TokenId> Tokenizer::eos() const {
  return state_->eos;
}
std::optional<TokenId> Tokenizer::pad() const {
  return state_->pad;
}

}  // namespace qloft::tokenizer
