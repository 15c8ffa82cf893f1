#pragma once
// The decoders of tokenizer.json: tokens to text.

#include <string>
#include <variant>
#include <vector>

#include "fields.h"
#include "pattern.h"

namespace qloft::tokenizer {

class Decoder {
 public:
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct ByteFallback {};
  struct Fuse {};
  struct Strip {
    char32_t content;
    std::int64_t start, stop;  // at most so many characters at either end of each token
  };
  struct ByteLevel {};
  struct Metaspace {
    char32_t replacement;
    bool drops_first;
  };
  struct Bpe {
    std::string suffix;
  };
  struct WordPiece {
    std::string prefix;
    bool cleanup;  // no space before punctuation and the like
  };

  // Joins the tokens with spaces, as tokenizers does without a decoder.
  Decoder() = default;
  // Throws InputError naming the field; an unknown type with the known ones.
  static Decoder read(const Field& field);

  std::string run(std::vector<std::string> tokens) const;
  // The bytes that a token stands for under ByteLevel or ByteFallback; else the token.
  std::string bytes(const std::string& token) const;

 private:
  using Step =
      std::variant<Replace, ByteFallback, Fuse, Strip, ByteLevel, Metaspace, Bpe, WordPiece>;
  void add(const Field& field);
  bool given_ = false;
  std::vector<Step> steps_;
};

}  // namespace qloft::tokenizer
