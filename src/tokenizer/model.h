#pragma once
// The model of tokenizer.json, one of three: pieces of text to ids.

#include <cstdint>
#include <utility>
#include <variant>

#include "bpe.h"
#include "piece.h"
#include "unigram.h"
#include "wordpiece.h"

namespace qloft::tokenizer {

class Model {
 public:
  using Kind = std::variant<Bpe, WordPiece, Unigram>;
  explicit Model(Kind kind);

  const Vocabulary& vocabulary() const;
  // Throws InputError where it needs an unknown token that the vocabulary lacks.
  void encode(const Piece& piece, const TokenSink& tokens) const;

 private:
  Kind kind_;
  std::uint32_t cache_key_;  // of words that are no Bpe's, which has its own
};

}  // namespace qloft::tokenizer
