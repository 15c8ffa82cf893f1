#include "pipeline.h"

#include <algorithm>

#include "qloft/core/error.h"
#include "unicode.h"
#include "windows.h"

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
  if (!text.empty()) {
    added.extract(
        Piece{text, character_at(text, 0).size}, normalizer,
        [&](TokenId id, const Piece&) { ids.push_back(id); },
        [&](const Piece& piece) { pre_tokenizer.run(piece, model, {ids}); });
  }
  return post_processor.apply(std::move(ids), special);
}

// `number`: 0 or 1, of a pair.
Encoding Pipeline::encode_text(std::string_view text, std::int32_t number) const {
  Encoding encoding;
  std::vector<CharacterSpan> source;
  source.reserve(text.size());
  std::int32_t character = 0;
  for (std::size_t i = 0; i < text.size(); ++character) {
    const std::size_t size = character_at(text, i).size;
    source.insert(source.end(), size, {character, character + 1});
    i += size;
  }
  const TokenSink tokens{encoding.ids, &encoding.offsets};
  if (!text.empty()) {
    added.extract(
        Piece{text, character_at(text, 0).size, source.data()}, normalizer,
        [&](TokenId id, const Piece& piece) {
          encoding.ids.push_back(id);
          tokens.add_span(piece, 0, piece.text.size());
        },
        [&](const Piece& piece) { pre_tokenizer.run(piece, model, tokens); });
  }
  encoding.type_ids.assign(encoding.ids.size(), number);
  encoding.special.assign(encoding.ids.size(), 0);
  encoding.sequence.assign(encoding.ids.size(), static_cast<std::int8_t>(number));
  return encoding;
}

Encoding Pipeline::encode(std::span<const std::string_view> texts,
                          const EncodeOptions& options) const {
  std::vector<Encoding> encodings;
  std::vector<std::string> repaired;
  for (const std::string_view text : texts) {
    repaired.push_back(is_valid_utf8(text) ? std::string(text) : replace_invalid_utf8(text));
    encodings.push_back(encode_text(repaired.back(), static_cast<std::int32_t>(encodings.size())));
  }
  if (options.truncation != Truncation::none) {
    const std::int64_t added_ids = options.special ? post_processor.added(texts.size() > 1) : 0;
    if (options.max_length < std::max<std::int64_t>(added_ids, 0)) {
      throw InputError({{}, "max_length"}, "expected at least the " + std::to_string(added_ids) +
                                               " ids that are added around the texts, found " +
                                               std::to_string(options.max_length));
    }
    truncate(encodings, options.max_length - added_ids, options);
  }
  // Added tokens are found with the spaces that they take.
  const auto found = [&](const Encoding& encoding, std::size_t i) -> std::string_view {
    if (added.token(encoding.ids[i]) != nullptr && encoding.sequence[i] >= 0) {
      return characters(repaired[static_cast<std::size_t>(encoding.sequence[i])],
                        encoding.offsets[i]);
    }
    const std::string* string = token(encoding.ids[i]);
    return string == nullptr ? std::string_view() : *string;
  };
  return post_processor.apply(std::move(encodings), options.special, found);
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
