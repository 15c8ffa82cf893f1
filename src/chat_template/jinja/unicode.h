#pragma once
// What Python's str knows of characters. Text is UTF-8; a byte that is no valid UTF-8 stands for
// itself as one character.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qloft::chat_template::jinja {

struct Character {
  char32_t code = 0;  // U+FFFD for a stray byte
  std::size_t bytes = 1;
};

// text must not be empty.
Character first_character(std::string_view text);
Character last_character(std::string_view text);
std::vector<std::string_view> characters(std::string_view text);
std::size_t character_count(std::string_view text);
void append_utf8(std::string& out, char32_t code);

bool is_space(char32_t code);      // str.isspace
bool is_printable(char32_t code);  // str.isprintable
bool is_upper(char32_t code);
bool is_lower(char32_t code);
bool is_cased(char32_t code);
bool is_alphabetic(char32_t code);
bool is_digit(char32_t code);  // a decimal digit

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);  // first letter in title case, the rest lower
std::string title(std::string_view text);       // str.title: each run of letters

enum class Side { left, right, both };
std::string_view strip(std::string_view text, Side side = Side::both);
// Without any of the characters of `set`.
std::string_view strip(std::string_view text, std::string_view set, Side side);

}  // namespace qloft::chat_template::jinja
