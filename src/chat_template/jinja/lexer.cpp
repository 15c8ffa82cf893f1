#include "jinja/lexer.h"

#include <algorithm>
#include <cctype>

#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

bool is_word(char c) {
  // Letters beyond ASCII are taken as parts of names.
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is_digit_in(char c, int base) {
  if (base == 16) return std::isxdigit(static_cast<unsigned char>(c)) != 0;
  return c >= '0' && c < '0' + base;
}

// Line ends as \n, and without the last one.
std::string normalize(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
      continue;
    }
    text += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalize(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const std::size_t tag = next_tag();
      const char kind = tag < text_.size() ? text_[tag + 1] : '\0';
      if (kind == '\0') {
        add_data(std::string_view(text_).substr(at_));
        move_to(text_.size());
        break;
      }
      const char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
      add_data(before_tag(tag, sign, kind != '{'));
      move_to(tag);
      tag_line_ = line_;
      tag_column_ = column();
      if (kind == '%' && raw_begin()) continue;
      const std::size_t skipped = sign == '-' || sign == '+' ? 3 : 2;
      if (kind == '#') {
        comment(skipped);
        continue;
      }
      const bool block = kind == '%';
      add(block ? TokenKind::block_begin : TokenKind::variable_begin, {});
      move_to(tag + skipped);
      inside_tag(block);
    }
    add(TokenKind::end, {});
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  int column() const { return static_cast<int>(at_ - line_start_) + 1; }

  [[noreturn]] void fail(std::string message) const {
    throw SyntaxFailure{line_, column(), std::move(message)};
  }
  [[noreturn]] void fail_at_tag(std::string message) const {
    throw SyntaxFailure{tag_line_, tag_column_, std::move(message)};
  }

  void add(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_, column()});
  }
  void add_data(std::string_view data) {
    if (!data.empty()) add(TokenKind::data, std::string(data));
  }

  void move_to(std::size_t to) {
    for (; at_ < to; ++at_) {
      if (text_[at_] != '\n') continue;
      ++line_;
      line_start_ = at_ + 1;
    }
  }

  void skip_space() {
    const std::string_view stripped = strip(rest(), Side::left);
    move_to(text_.size() - stripped.size());
  }

  // Where the next {{, {% or {# stands.
  std::size_t next_tag() const {
    for (std::size_t i = text_.find('{', at_); i != std::string::npos; i = text_.find('{', i + 1)) {
      const char next = i + 1 < text_.size() ? text_[i + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return i;
    }
    return text_.size();
  }

  // The data before the tag at `tag`, less what the tag takes away.
  std::string_view before_tag(std::size_t tag, char sign, bool strips_its_line) const {
    const std::string_view data = std::string_view(text_).substr(at_, tag - at_);
    if (sign == '-') return strip(data, Side::right);
    if (sign == '+' || !strips_its_line) return data;
    const std::size_t newline = data.rfind('\n');
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    const bool at_line_start = begin > 0 || at_ == 0 || text_[at_ - 1] == '\n';
    if (!at_line_start || !strip(data.substr(begin)).empty()) return data;
    return data.substr(0, begin);
  }

  // Behind the end of a block or comment: `-` takes all space, else one newline goes, unless `+`.
  void after_block(char sign) {
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && rest().starts_with('\n')) {
      move_to(at_ + 1);
    }
  }

  void comment(std::size_t skipped) {
    const std::size_t end = text_.find("#}", at_ + skipped);
    if (end == std::string::npos) fail("expected the end of the comment: #}");
    const char last = end > at_ + skipped ? text_[end - 1] : '\0';
    move_to(end + 2);
    after_block(last);
  }

  // {% raw %}...{% endraw %}: all that stands between is data.
  bool raw_begin() {
    std::size_t i = at_;
    if (!raw_tag(i, "raw")) return false;
    const bool strips = text_[i - 3] == '-';
    move_to(i);
    if (strips) skip_space();
    for (std::size_t end = text_.find("{%", at_); end != std::string::npos;
         end = text_.find("{%", end + 1)) {
      std::size_t behind = end;
      if (!raw_tag(behind, "endraw")) continue;
      add_data(before_tag(end, text_[end + 2], true));
      move_to(behind);
      after_block(text_[behind - 3]);
      return true;
    }
    fail_at_tag("expected {% endraw %}");
  }

  // True if the tag at `i` is {% name %}; i moves behind it.
  bool raw_tag(std::size_t& i, std::string_view name) const {
    std::string_view tag = std::string_view(text_).substr(i + 2);
    if (tag.starts_with('-') || tag.starts_with('+')) tag.remove_prefix(1);
    tag = strip(tag, Side::left);
    if (!tag.starts_with(name)) return false;
    tag = strip(tag.substr(name.size()), Side::left);
    if (!tag.starts_with("%}")) {
      if (tag.empty() || (tag[0] != '-' && tag[0] != '+') || !tag.substr(1).starts_with("%}")) {
        return false;
      }
      tag.remove_prefix(1);
    }
    i = text_.size() - tag.size() + 2;
    return true;
  }

  bool end_of_tag(bool block) {
    const std::string_view now = rest();
    const std::string_view mark = block ? "%}" : "}}";
    const bool strips = now.starts_with('-') && now.substr(1).starts_with(mark);
    const bool keeps = block && now.starts_with('+') && now.substr(1).starts_with(mark);
    if (!strips && !keeps && !now.starts_with(mark)) return false;
    add(block ? TokenKind::block_end : TokenKind::variable_end, {});
    move_to(at_ + (strips || keeps ? 3 : 2));
    if (block) {
      after_block(strips ? '-' : keeps ? '+' : ' ');
    } else if (strips) {
      skip_space();
    }
    return true;
  }

  void inside_tag(bool block) {
    std::string open;  // the brackets that wait for their end
    for (;;) {
      skip_space();
      if (at_ >= text_.size()) {
        fail_at_tag(block ? "expected the end of the tag: %}" : "expected the end of the tag: }}");
      }
      if (open.empty() && end_of_tag(block)) return;
      const char c = text_[at_];
      if (c >= '0' && c <= '9') {
        number();
      } else if (is_word(c)) {
        std::size_t end = at_;
        while (end < text_.size() && is_word(text_[end])) ++end;
        add(TokenKind::name, text_.substr(at_, end - at_));
        move_to(end);
      } else if (c == '\'' || c == '"') {
        string(c);
      } else {
        symbol(open);
      }
    }
  }

  void number() {
    std::size_t end = at_;
    std::string digits;
    const auto take = [&](int base) {
      const std::size_t begin = end;
      while (end < text_.size() &&
             (is_digit_in(text_[end], base) ||
              (text_[end] == '_' && end + 1 < text_.size() && is_digit_in(text_[end + 1], base)))) {
        if (text_[end] != '_') digits += text_[end];
        ++end;
      }
      return end > begin;
    };
    const char prefix = at_ + 1 < text_.size() && text_[at_] == '0'
                            ? static_cast<char>(std::tolower(text_[at_ + 1]))
                            : '\0';
    const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    if (base != 10) {
      digits = std::string("0") + prefix;
      end += 2;
      if (!take(base)) fail("expected digits");
      add(TokenKind::integer, digits);
      move_to(end);
      return;
    }
    take(10);
    bool real = false;
    // In x.0.1 the numbers are subscripts.
    const bool subscript = at_ > 0 && text_[at_ - 1] == '.';
    if (!subscript && end + 1 < text_.size() && text_[end] == '.' &&
        is_digit_in(text_[end + 1], 10)) {
      real = true;
      digits += '.';
      ++end;
      take(10);
    }
    if (!subscript && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      std::size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (exponent < text_.size() && is_digit_in(text_[exponent], 10)) {
        real = true;
        digits += text_.substr(end, exponent - end);
        end = exponent;
        take(10);
      }
    }
    add(real ? TokenKind::real : TokenKind::integer, digits);
    move_to(end);
  }

  void string(char quote) {
    std::string value;
    std::size_t i = at_ + 1;
    for (;; ++i) {
      if (i >= text_.size()) fail("expected the end of the string");
      if (text_[i] == quote) break;
      if (text_[i] != '\\') {
        value += text_[i];
        continue;
      }
      if (++i >= text_.size()) fail("expected the end of the string");
      escape(value, i);
    }
    add(TokenKind::string, std::move(value));
    move_to(i + 1);
  }

  // text_[i] follows a backslash; i stays on the last character of the escape.
  void escape(std::string& value, std::size_t& i) {
    constexpr std::string_view kLetters = "abfnrtv\\'\"\n";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const char c = text_[i];
    const std::size_t row = kLetters.find(c);
    if (row < kMeanings.size()) {
      value += kMeanings[row];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      char32_t code = hexadecimal(i + 1, digits);
      i += digits;
      const bool pair = code >= 0xd800 && code < 0xdc00 && text_.compare(i + 1, 2, "\\u") == 0;
      if (pair) {
        const char32_t low = hexadecimal(i + 3, 4);
        if (low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          i += 6;
        }
      }
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        fail("the string holds a code that is no character");
      }
      append_utf8(value, code);
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      std::size_t last = i;
      for (std::size_t k = i; k < std::min(i + 3, text_.size()) && is_digit_in(text_[k], 8); ++k) {
        code = code * 8 + static_cast<char32_t>(text_[k] - '0');
        last = k;
      }
      i = last;
      append_utf8(value, code);
    } else if (c == 'N') {
      fail("the string names a character; write \\u and its code");
    } else if (c != '\n') {  // a backslash at the end of a line joins the lines
      value += '\\';
      value += c;
    }
  }

  char32_t hexadecimal(std::size_t begin, std::size_t digits) const {
    char32_t code = 0;
    for (std::size_t k = begin; k < begin + digits; ++k) {
      if (k >= text_.size() || !is_digit_in(text_[k], 16)) fail("the string holds a broken escape");
      const int c = std::tolower(static_cast<unsigned char>(text_[k]));
      code = code * 16 + static_cast<char32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return code;
  }

  void symbol(std::string& open) {
    constexpr std::string_view kTwo[] = {"==", "!=", "<=", ">=", "//", "**"};
    constexpr std::string_view kOne = "+-*/%~()[]{}|,.:=<>";
    for (const std::string_view two : kTwo) {
      if (!rest().starts_with(two)) continue;
      add(TokenKind::symbol, std::string(two));
      move_to(at_ + 2);
      return;
    }
    const char c = text_[at_];
    if (kOne.find(c) == std::string_view::npos)
      fail(std::string("unexpected character '") + c + "'");
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) fail(std::string("unexpected '") + c + "'");
      if (open.back() != c) {
        fail(std::string("expected '") + open.back() + "', found '" + c + "'");
      }
      open.pop_back();
    }
    add(TokenKind::symbol, std::string(1, c));
    move_to(at_ + 1);
  }

  std::string text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::size_t line_start_ = 0;
  int tag_line_ = 1;
  int tag_column_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace qloft::chat_template::jinja
