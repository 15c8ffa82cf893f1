#pragma once
// What flows from normalizer to pre-tokenizers to model.

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "qloft/tokenizer/encoding.h"

namespace qloft::tokenizer {

struct Piece {
  std::string_view text;  // valid UTF-8
  // How many of its leading bytes stem from the first character of the whole input. Metaspace's
  // prepend_scheme "first" asks whether there are any.
  std::size_t first_bytes = 0;
  // Of each byte the characters of the whole input that it stems from; null: nobody asks.
  const CharacterSpan* source = nullptr;

  Piece part(std::size_t begin, std::size_t end) const {
    const std::size_t left = first_bytes > begin ? first_bytes - begin : 0;
    return {text.substr(begin, end - begin), left < end - begin ? left : end - begin,
            source == nullptr ? nullptr : source + begin};
  }
};

// Where tokens go: their ids, and their characters where they are asked for.
struct TokenSink {
  std::vector<TokenId>& ids;
  std::vector<CharacterSpan>* spans = nullptr;

  // A token of bytes [begin, end) of a piece that knows its source.
  void add_span(const Piece& piece, std::size_t begin, std::size_t end) const {
    end = std::min(end, piece.text.size());
    if (begin >= end) {
      spans->push_back({});
      return;
    }
    spans->push_back({piece.source[begin].begin, piece.source[end - 1].end});
  }
};

}  // namespace qloft::tokenizer
