#include "pipeline.h"

#include <algorithm>

#include "unicode.h"

namespace qloft::tokenizer {

void Pipeline::declare(const std::vector<AddedToken>& tokens) {
  for (const AddedToken& token : tokens) {
    if (!token.content.empty()) added.add(token, model.vocabulary());
  }
  added.build(normalizer);
}

std::vector<TokenId> Pipeline::encode(std::string_view text, bool special) const {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3 + 8);
  added.extract(
      text, normalizer, [&](TokenId id) { ids.push_back(id); },
      [&](const Piece& piece) { pre_tokenizer.run(piece, model, ids); });
  return post_processor.apply(std::move(ids), special);
}

const std::string* Pipeline::decoded(TokenId id, bool skip_special) const {
  const std::string* token = added.decoded(id);
  if (token == nullptr) token = model.vocabulary().token(id);
  return token != nullptr && skip_special && added.is_special(*token) ? nullptr : token;
}

std::string Pipeline::bytes(TokenId id, bool skip_special) const {
  const std::string* token = decoded(id, skip_special);
  return token == nullptr ? std::string() : decoder.bytes(*token);
}

std::string Pipeline::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    if (const std::string* token = decoded(id, skip_special)) tokens.push_back(*token);
  }
  return decoder.run(std::move(tokens));
}

std::optional<TokenId> Pipeline::find(std::string_view token) const {
  if (const auto id = added.find(token)) return id;
  return model.vocabulary().find(token);
}

const std::string* Pipeline::token(TokenId id) const {
  if (const AddedToken* token = added.token(id)) return &token->content;
  return model.vocabulary().token(id);
}

std::int64_t Pipeline::id_end() const {
  return std::max<std::int64_t>(added.id_end(),
                                static_cast<std::int64_t>(model.vocabulary().id_end()));
}

}  // namespace qloft::tokenizer
