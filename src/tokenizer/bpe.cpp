#include "bpe.h"

#include <atomic>

#include "merge_symbols.h"
#include "qloft/core/error.h"
#include "unicode.h"
#include "word_cache.h"

namespace qloft::tokenizer {
namespace {

// The bytes that a byte-level token stands for; false if it holds any other character.
bool raw_bytes_of(std::string_view token, std::string& bytes) {
  bytes.clear();
  for (std::size_t i = 0; i < token.size();) {
    const Character c = character_at(token, i);
    const int byte = byte_of_character(c.code);
    if (byte < 0) return false;
    bytes += static_cast<char>(byte);
    i += c.size;
  }
  return true;
}

// Whether U+2581 stands behind another character somewhere in `token`.
bool has_inner_metaspace(std::string_view token) {
  std::size_t at = 0;
  while (token.substr(at).starts_with(kMetaspace)) at += kMetaspace.size();
  return token.find(kMetaspace, at) != std::string_view::npos;
}

}  // namespace

std::string byte_token(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

char32_t byte_level_character(unsigned char byte) {
  const auto stands_for_itself = [](unsigned b) {
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
  };
  if (stands_for_itself(byte)) return byte;
  char32_t code = 0x100;
  for (unsigned b = 0; b < byte; ++b) code += stands_for_itself(b) ? 0 : 1;
  return code;
}

int byte_of_character(char32_t character) {
  static const std::array<std::int16_t, 0x144> table = [] {
    std::array<std::int16_t, 0x144> bytes;
    bytes.fill(-1);
    for (int b = 0; b < 256; ++b) {
      bytes[byte_level_character(static_cast<unsigned char>(b))] = static_cast<std::int16_t>(b);
    }
    return bytes;
  }();
  return character < table.size() ? table[character] : -1;
}

std::uint32_t WordCache::new_owner() {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

Bpe::Bpe(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
         BpeOptions options)
    : vocabulary_(std::move(vocabulary)),
      options_(std::move(options)),
      cache_key_(WordCache::new_owner()) {
  if (!options_.unknown.empty()) unknown_ = vocabulary_.find(options_.unknown).value_or(-1);
  add_merges(merges);
  byte_ids_.fill(-1);
  ascii_ids_.fill(-1);
  if (options_.raw_bytes) {
    raw_.reserve(vocabulary_.size());
    std::string bytes;
    for (std::size_t id = 0; id < vocabulary_.id_end(); ++id) {
      const std::string* token = vocabulary_.token(static_cast<TokenId>(id));
      if (token == nullptr || !raw_bytes_of(*token, bytes)) continue;
      const TokenId found = *vocabulary_.find(*token);
      raw_.add(bytes, found);
      if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = found;
    }
    return;
  }
  for (unsigned byte = 0; byte < 256 && options_.byte_fallback; ++byte) {
    byte_ids_[byte] = vocabulary_.find(byte_token(byte)).value_or(-1);
  }
  for (unsigned c = 0; c < 128; ++c) {
    const char character = static_cast<char>(c);
    ascii_ids_[c] = vocabulary_.find({&character, 1}).value_or(-1);
  }
}

void Bpe::add_merges(const std::vector<std::pair<std::string, std::string>>& merges) {
  merges_.reserve(merges.size());
  // Where no merge makes a token with U+2581 behind another character, no merge reaches across such
  // a place, and a long text falls apart into words there.
  metaspace_starts_words_ = !options_.raw_bytes && !options_.ignore_merges &&
                            options_.continuing_prefix.empty() && options_.end_suffix.empty() &&
                            vocabulary_.find(kMetaspace).has_value();
  std::string joined;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const auto token_of = [&](const std::string& token) {
      const auto id = vocabulary_.find(token);
      if (!id) {
        throw InputError({{}, "model.merges[" + std::to_string(rank) + "]"},
                         "expected tokens of model.vocab, found \"" + token + "\"");
      }
      return *id;
    };
    const TokenId left_id = token_of(left), right_id = token_of(right);
    joined = left;
    joined +=
        std::string_view(right).substr(std::min(options_.continuing_prefix.size(), right.size()));
    merges_.add(left_id, right_id, {static_cast<std::uint32_t>(rank), token_of(joined)});
    if (metaspace_starts_words_ && has_inner_metaspace(joined)) metaspace_starts_words_ = false;
  }
}

// A run of U+2581 and what follows it is one word.
template <class Word>
void Bpe::each_word(std::string_view piece, Word&& word) const {
  if (piece.empty()) return;
  std::size_t begin = 0;
  std::size_t at = 0;
  while (metaspace_starts_words_ && (at = piece.find(kMetaspace, at)) != std::string_view::npos) {
    if (at > begin) {
      word(piece.substr(begin, at - begin));
      begin = at;
    }
    while (piece.substr(at).starts_with(kMetaspace)) at += kMetaspace.size();
  }
  word(piece.substr(begin));
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  each_word(piece, [&](std::string_view word) {
    encode_cached(cache_key_, word, ids, [&] { encode_uncached(word, ids); });
  });
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& ids,
                 std::vector<std::uint32_t>& lengths) const {
  std::vector<TokenId> symbols;
  std::vector<std::uint32_t> bytes;
  each_word(piece, [&](std::string_view word) {
    symbols.clear();
    bytes.clear();
    merge_word(word, {symbols, &bytes});
    ids.insert(ids.end(), symbols.begin(), symbols.end());
    lengths.insert(lengths.end(), bytes.begin(), bytes.end());
  });
}

void Bpe::encode_uncached(std::string_view word, std::vector<TokenId>& ids) const {
  thread_local std::vector<TokenId> symbols;
  symbols.clear();
  merge_word(word, {symbols});
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Bpe::merge_word(std::string_view word, const Symbols& symbols) const {
  if (options_.ignore_merges) {
    if (const auto id = (options_.raw_bytes ? raw_ : vocabulary_).find(word)) {
      symbols.add(*id, word.size());
      return;
    }
  }
  options_.raw_bytes ? byte_symbols(word, symbols) : character_symbols(word, symbols);
  merge_symbols(symbols.ids, merges_, symbols.lengths);
}

void Bpe::byte_symbols(std::string_view word, const Symbols& symbols) const {
  bool after_unknown = false;
  for (const char byte : word) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id >= 0) {
      symbols.add(id, 1);
    } else if (after_unknown && options_.fuse_unknown && !options_.unknown.empty()) {
      if (symbols.lengths != nullptr) ++symbols.lengths->back();
    } else if (!options_.unknown.empty()) {
      symbols.add(unknown(), 1);
    }
    after_unknown = id < 0;
  }
}

TokenId Bpe::unknown() const {
  if (unknown_ >= 0) return unknown_;
  throw InputError(
      {{}, "model.unk_token"},
      "expected a token of model.vocab for text that has none, found \"" + options_.unknown + "\"");
}

TokenId Bpe::symbol(std::string_view character, bool first, bool last) const {
  const bool prefixed = !first && !options_.continuing_prefix.empty();
  const bool suffixed = last && !options_.end_suffix.empty();
  if (!prefixed && !suffixed) {
    if (character.size() == 1) return ascii_ids_[static_cast<unsigned char>(character[0])];
    return vocabulary_.find(character).value_or(-1);
  }
  std::string token = prefixed ? options_.continuing_prefix : std::string();
  token += character;
  if (suffixed) token += options_.end_suffix;
  return vocabulary_.find(token).value_or(-1);
}

void Bpe::character_symbols(std::string_view word, const Symbols& symbols) const {
  std::size_t unknown_bytes = 0;  // of one that is written in front of the next known character
  const auto flush = [&] {
    if (unknown_bytes > 0) symbols.add(unknown(), unknown_bytes);
    unknown_bytes = 0;
  };
  for (std::size_t i = 0; i < word.size();) {
    const std::size_t size = character_at(word, i).size;
    const std::string_view character = word.substr(i, size);
    const bool first = i == 0, last = i + size == word.size();
    i += size;
    const TokenId id = symbol(character, first, last);
    if (id >= 0) {
      flush();
      symbols.add(id, size);
      continue;
    }
    if (options_.byte_fallback) {
      std::string text = !first ? options_.continuing_prefix : std::string();
      text += character;
      if (last) text += options_.end_suffix;
      bool complete = true;
      for (const char byte : text) complete &= byte_ids_[static_cast<unsigned char>(byte)] >= 0;
      if (complete) {  // an unknown that waits comes behind these bytes, as in tokenizers
        for (const char byte : text) symbols.add(byte_ids_[static_cast<unsigned char>(byte)], 1);
        continue;
      }
    }
    if (options_.unknown.empty()) continue;
    if (!options_.fuse_unknown) flush();
    unknown_bytes += size;
  }
  flush();
}

}  // namespace qloft::tokenizer
