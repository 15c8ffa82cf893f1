#pragma once
// WordPiece: a word as the longest tokens that it begins with, one after the other (Schuster and
// Nakajima 2012; the details are those of tokenizers' WordPiece).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace qloft::tokenizer {

// Immutable once built; encode() may run in many threads.
class WordPiece {
 public:
  struct Options {
    std::string unknown = "[UNK]";
    std::string continuing_prefix = "##";  // on every token but a word's first
    std::int64_t longest_word = 100;       // characters; a longer word is unknown
  };
  WordPiece(Vocabulary vocabulary, Options options);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  // Appends the ids of `word`, valid UTF-8; `lengths`, where given, get their bytes of it. Throws
  // InputError where it needs an unknown token that the vocabulary lacks.
  void encode(std::string_view word, std::vector<TokenId>& ids,
              std::vector<std::uint32_t>* lengths) const;

 private:
  Vocabulary vocabulary_;
  Options options_;
  std::size_t longest_token_ = 0;  // bytes
};

}  // namespace qloft::tokenizer
