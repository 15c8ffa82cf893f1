#pragma once
// UTF-8 and the character classes that tokenizers ask for. Texts are valid UTF-8 unless said
// otherwise.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/tokenizer/lowercase.h"

namespace qloft::tokenizer {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";             // U+2581

struct Character {
  char32_t code = 0;
  std::uint8_t size = 1;  // bytes
};

bool is_valid_utf8(std::string_view bytes);
// Each maximal part of a broken sequence becomes one U+FFFD (Unicode 3.9, table 3-8).
std::string replace_invalid_utf8(std::string_view bytes);

// How many of the last of `bytes` begin a character that more bytes could complete: 0 to 3.
std::size_t unfinished_bytes(std::string_view bytes);

// The character that begins at text[at]; at < text.size().
Character character_at(std::string_view text, std::size_t at);
// The character that ends before text[end]; end > 0.
Character character_before(std::string_view text, std::size_t end);
void append_character(std::string& text, char32_t code);

// The classes of Hugging Face's tokenizers 0.23 (each from the library that it uses for the task).
enum CharacterClass : std::uint16_t {
  letter = 1,   // \p{L} in a regular expression
  number = 2,   // \p{N} in a regular expression
  numeric = 4,  // what Digits takes for one
  word = 8,     // \w of Whitespace and of single_word
  punctuation = 16,
  combining = 32,  // what StripAccents takes away
  space = 64,
  // What BertNormalizer takes away as text that is not clean, as accents, and sets spaces around.
  unclean = 128,
  accent = 256,
  ideograph = 512,
};

std::uint16_t character_class(char32_t code);
inline bool is_space(char32_t code) {
  return (character_class(code) & space) != 0;
}

// Ranges ("\x{...}-\x{...}...") that Oniguruma counts to property `name` ("L", "Nd", "w", ...)
// beyond Unicode 14.0; empty where there are none.
std::string_view property_additions(std::string_view name);

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);

// A character of a changed text, as tokenizers counts changes: 0: it stands for the next old
// character; 1: it is inserted; -n: it stands for the next old character and n more.
struct Change {
  char32_t code;
  std::int32_t change;
};
// The same text as normalize() gives, character by character.
std::vector<Change> normalize_changes(std::string_view text, NormalForm form);

}  // namespace qloft::tokenizer
