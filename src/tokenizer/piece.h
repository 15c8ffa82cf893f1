#pragma once
// What flows from normalizer to pre-tokenizers to model.

#include <cstddef>
#include <string_view>

namespace qloft::tokenizer {

struct Piece {
  std::string_view text;  // valid UTF-8
  // How many of its leading bytes stem from the first character of the whole input. Metaspace's
  // prepend_scheme "first" asks whether there are any.
  std::size_t first_bytes = 0;

  Piece part(std::size_t begin, std::size_t end) const {
    const std::size_t left = first_bytes > begin ? first_bytes - begin : 0;
    return {text.substr(begin, end - begin), left < end - begin ? left : end - begin};
  }
};

}  // namespace qloft::tokenizer
