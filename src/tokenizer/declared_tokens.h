#pragma once
// Tokens that are declared beside tokenizer.json or tokenizer.model, where transformers 5 looks for
// them: added_tokens_decoder, the named tokens (bos_token, ..., any NAME_token) and
// extra_special_tokens or additional_special_tokens of tokenizer_config.json; and, where that has
// no added_tokens_decoder, added_tokens.json and special_tokens_map.json too.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"
#include "fields.h"

namespace qloft::tokenizer {

struct DeclaredTokens {
  // In the order in which ids go to those that no vocabulary holds: by their declared ids, then the
  // named ones, then the extra ones.
  std::vector<AddedToken> tokens;
  std::map<std::string, std::string> named;  // "eos_token" -> "</s>"
};

// `config` is tokenizer_config.json, where there is one; `in_tokenizer` are the tokens that
// tokenizer.json declares, by id: they win over added_tokens.json. Throws InputError naming file
// and field.
DeclaredTokens read_declared_tokens(const std::filesystem::path& folder,
                                    const std::optional<Field>& config,
                                    const std::map<TokenId, AddedToken>& in_tokenizer);

// An entry of tokenizer.json's added_tokens or of added_tokens_decoder.
AddedToken read_added_token(const Field& field);

}  // namespace qloft::tokenizer
