#pragma once
// What Python's str and re do to a text, which the official scripts are written in.

#include <string>
#include <string_view>

namespace qloft::metrics {

// Invalid UTF-8 becomes U+FFFD, a byte each.
std::u32string characters_of(std::string_view text);
std::string utf8_of(std::u32string_view text);

// str.lower(): one character for another, but for U+0130, which becomes two, and the capital sigma
// at the end of a word.
std::u32string lowercase(std::u32string_view text);
bool is_white_space(char32_t code);     // of str.split()
bool is_word_character(char32_t code);  // \w of re

}  // namespace qloft::metrics
