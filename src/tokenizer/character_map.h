#pragma once
// SentencePiece's compiled normalization rules (precompiled_charsmap): which characters stand for
// which, in a double-array trie.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fields.h"
#include "normalized_text.h"

namespace qloft::tokenizer {

class CharacterMap {
 public:
  // {"type": "Precompiled", "precompiled_charsmap": base64}. Throws InputError naming the field.
  static CharacterMap read(const Field& field);
  // The bytes themselves, named by `field` in errors: the trie's bytes as a little-endian u32, the
  // trie, and texts that end in a zero byte.
  static CharacterMap parse(std::string_view bytes, const Field& field);

  // Grapheme by grapheme where it has less than six bytes, else character by character, as
  // tokenizers does it: the shortest key that the grapheme begins with counts.
  void apply(NormalizedText& text) const;

 private:
  // What the shortest key at the start of `text` becomes; false: there is none.
  bool find(std::string_view text, std::string_view& replacement) const;

  std::vector<std::uint32_t> trie_;
  std::string texts_;
};

// Throws InputError naming the field for what is no base64.
std::string decode_base64(const Field& field);
std::string encode_base64(std::string_view bytes);

}  // namespace qloft::tokenizer
