#pragma once
// Byte pair encoding of one piece of text (Sennrich 2016; the details are those of tokenizers'
// BPE).

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "merges.h"
#include "vocabulary.h"

namespace qloft::tokenizer {

struct BpeOptions {
  std::string unknown;            // empty: unknown characters vanish
  std::string continuing_prefix;  // on every symbol but a piece's first
  std::string end_suffix;         // on a piece's last symbol
  bool fuse_unknown = false;      // one unknown token for a run of unknown characters
  bool byte_fallback = false;     // "<0xE2>" ... for a character that is not in the vocabulary
  bool ignore_merges = false;     // a piece that is a token is that token
  // Pieces come as raw bytes and stand for their byte-level characters (GPT-2). Not together with a
  // prefix, a suffix or byte_fallback.
  bool raw_bytes = false;
};

// Immutable once built; encode() may run in many threads.
class Bpe {
 public:
  // `merges` in order of preference. Throws InputError naming the field of tokenizer.json that
  // holds a merge of what is no token.
  Bpe(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
      BpeOptions options);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  // Appends the ids of `piece`, which is valid UTF-8. Throws InputError where it needs an unknown
  // token that the vocabulary lacks.
  void encode(std::string_view piece, std::vector<TokenId>& ids) const;
  // The same, and how many bytes of the piece each id stands for, one behind the other. Of a symbol
  // that is left out nothing counts, as in tokenizers.
  void encode(std::string_view piece, std::vector<TokenId>& ids,
              std::vector<std::uint32_t>& lengths) const;

 private:
  // One symbol behind the other, and their lengths where they are asked for.
  struct Symbols {
    std::vector<TokenId>& ids;
    std::vector<std::uint32_t>* lengths = nullptr;
    void add(TokenId id, std::size_t bytes) const {
      ids.push_back(id);
      if (lengths != nullptr) lengths->push_back(static_cast<std::uint32_t>(bytes));
    }
  };
  void add_merges(const std::vector<std::pair<std::string, std::string>>& merges);
  void encode_uncached(std::string_view word, std::vector<TokenId>& ids) const;
  void merge_word(std::string_view word, const Symbols& symbols) const;
  void byte_symbols(std::string_view word, const Symbols& symbols) const;
  void character_symbols(std::string_view word, const Symbols& symbols) const;
  template <class Word>
  void each_word(std::string_view piece, Word&& word) const;
  TokenId unknown() const;  // throws InputError if the vocabulary lacks it
  // The id of one character, with prefix and suffix where they apply; -1: not a token.
  TokenId symbol(std::string_view character, bool first, bool last) const;

  Vocabulary vocabulary_;
  Vocabulary raw_;  // raw_bytes: the tokens as the bytes that they stand for
  MergeTable merges_;
  BpeOptions options_;
  TokenId unknown_ = -1;
  std::array<TokenId, 256> byte_ids_{};   // raw_bytes: of each byte; byte_fallback: of "<0x..>"
  std::array<TokenId, 128> ascii_ids_{};  // of each ASCII character without prefix and suffix
  bool metaspace_starts_words_ = false;
  std::uint32_t cache_key_ = 0;
};

// "<0xE2>"
std::string byte_token(unsigned byte);
// The character that stands for `byte` in byte-level vocabularies (GPT-2's bytes_to_unicode).
char32_t byte_level_character(unsigned char byte);
// The other way round; -1: no such byte.
int byte_of_character(char32_t character);

}  // namespace qloft::tokenizer
