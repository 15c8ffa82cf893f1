#pragma once
// A text on its way through the normalizers.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "qloft/tokenizer/encoding.h"
#include "unicode.h"

namespace qloft::tokenizer {

// Text and how many of its leading bytes stem from the first character of the whole input.
struct NormalizedText {
  std::string text;
  std::size_t first_bytes = 0;
  // Of each byte the characters of the whole input that it stems from; empty: nobody asks.
  std::vector<CharacterSpan> source = {};

  bool tracked() const { return !source.empty(); }
  // Where what is put before the text stems from.
  CharacterSpan origin() const { return {source.front().begin, source.front().begin}; }
};

// Changes of the whole text, behind its first `removed` characters (tokenizers'
// NormalizedString::transform): an inserted character stems from where the one before it does.
void apply_changes(NormalizedText& in, std::span<const Change> changes, std::size_t removed = 0);

}  // namespace qloft::tokenizer
