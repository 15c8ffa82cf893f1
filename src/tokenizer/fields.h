#pragma once
// The fields of tokenizer files.

#include "qloft/io/fields.h"
#include "unicode.h"

namespace qloft::tokenizer {

using io::Field;

// A string of one character.
inline char32_t character_of(const Field& field) {
  const std::string text = field.string();
  if (text.empty() || character_at(text, 0).size != text.size()) field.refuse("one character");
  return character_at(text, 0).code;
}

}  // namespace qloft::tokenizer
