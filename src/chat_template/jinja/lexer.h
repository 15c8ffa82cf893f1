#pragma once
// A template's source to tokens, with jinja2's whitespace control (trim_blocks and lstrip_blocks
// on, a last newline dropped).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qloft::chat_template::jinja {

// A template that cannot be parsed. Lines and columns count from 1, columns in bytes.
struct SyntaxFailure {
  int line = 1;
  int column = 1;
  std::string message;
};

enum class TokenKind : std::uint8_t {
  data,  // text: what stands outside of tags
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,   // text: unescaped
  integer,  // text: digits as written, without _
  real,     // text: the same
  symbol,   // text: an operator or a bracket
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  int line = 1;
  int column = 1;

  bool is(TokenKind wanted, std::string_view wanted_text) const {
    return kind == wanted && text == wanted_text;
  }
};

// Ends with an `end` token. Throws SyntaxFailure.
std::vector<Token> tokenize(std::string_view source);

}  // namespace qloft::chat_template::jinja
