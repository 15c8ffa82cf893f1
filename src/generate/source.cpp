// The sources of encoder-decoders, and how their targets begin.
#include "source.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "qloft/core/error.h"
#include "qloft/io/fields.h"
#include "qloft/tokenizer/language.h"

namespace qloft::generate {

using tokenizer::TokenId;

void check_source(const Request& request, const architecture::Layout& layout) {
  const auto& source = request.source;
  if (!layout.encoder) {
    if (source.empty()) return;
    throw InputError({{}, "source"}, "expected none: " + layout.family + " is no encoder-decoder");
  }
  if (source.empty()) {
    throw InputError({{}, "source"}, "expected at least one token, found none");
  }
  const auto unknown = std::ranges::find_if(
      source, [&](TokenId id) { return id < 0 || id >= layout.vocabulary_size; });
  if (unknown != source.end()) {
    throw InputError({{}, "source"}, "token " + std::to_string(*unknown) +
                                         " is outside the model's vocabulary of " +
                                         std::to_string(layout.vocabulary_size));
  }
  if (layout.max_positions > 0 && std::ssize(source) > layout.max_positions) {
    throw InputError({{}, "source"},
                     "expected at most the model's " + std::to_string(layout.max_positions) +
                         " positions, found " + std::to_string(source.size()) + " tokens");
  }
}

TokenId target_start(const checkpoint::Checkpoint& source, const architecture::Layout& layout) {
  const auto file = source.folder() / "generation_config.json";
  io::Json json = io::Json::object();
  if (std::filesystem::is_regular_file(file)) json = io::read_json(file);
  const io::Field settings(json, file);
  const auto named = [&](const char* key) -> std::optional<TokenId> {
    const auto id = settings.integer(key, 0, layout.vocabulary_size - 1);
    return id ? std::optional(static_cast<TokenId>(*id)) : std::nullopt;
  };
  constexpr const char* kStart = "decoder_start_token_id";
  if (const auto start = named(kStart)) return *start;
  const io::Json& config = source.config();
  const auto own = io::Field(config, source.folder() / "config.json")
                       .integer(kStart, 0, layout.vocabulary_size - 1);
  if (own) return static_cast<TokenId>(*own);
  if (layout.encoder->start_token >= 0) return static_cast<TokenId>(layout.encoder->start_token);
  if (const auto bos = named("bos_token_id")) return *bos;
  settings.fail(kStart, "expected the token that targets begin with, found none");
}

TargetStart target_start_in(const std::string& language, const checkpoint::Checkpoint& source,
                            const architecture::Layout& layout,
                            const tokenizer::Tokenizer& tokenizer) {
  if (language.empty()) return {target_start(source, layout)};
  const auto found = tokenizer::language_of(tokenizer, language, "target_language");
  if (!found.before) return {found.code};
  return {target_start(source, layout), found.code};
}

}  // namespace qloft::generate
