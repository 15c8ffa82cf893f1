#pragma once
// The unigram language model: of all ways to cut a piece into tokens the likeliest, by Viterbi's
// search (Kudo 2018; the details are those of tokenizers' Unigram).

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "prefix_tree.h"
#include "vocabulary.h"

namespace qloft::tokenizer {

// Immutable once built; encode() may run in many threads.
class Unigram {
 public:
  // scores: of each id, the logarithm of its probability. `byte_fallback`: "<0xE2>" ... for what
  // has no token.
  Unigram(Vocabulary vocabulary, std::vector<double> scores, std::optional<TokenId> unknown,
          bool byte_fallback);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  // Appends the ids of `piece`, valid UTF-8; `ends`, where given, gets the bytes [begin, end) of
  // each. Characters without a token that follow each other are one unknown. Throws InputError
  // where it needs an unknown token and none is named.
  void encode(std::string_view piece, std::vector<TokenId>& ids,
              std::vector<ByteSpan>* bytes) const;

 private:
  Vocabulary vocabulary_;
  PrefixTree tree_;
  std::vector<double> scores_;
  std::optional<TokenId> unknown_;
  double unknown_score_ = 0;
  std::vector<TokenId> byte_ids_;  // 256, -1 where there is none; empty: no fallback
};

}  // namespace qloft::tokenizer
