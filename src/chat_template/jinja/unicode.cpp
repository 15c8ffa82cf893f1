#include "jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>

namespace qloft::chat_template::jinja {
namespace {

// Characters whose capital form is longer than one (Unicode's SpecialCasing.txt, the common part).
struct Expansion {
  char32_t code;
  const char* upper;
  const char* title;
};
constexpr Expansion kExpansions[] = {
    {0xdf, "SS", "Ss"},
    {0x149, "\xca\xbcN", "\xca\xbcN"},
    {0x1f0, "J\xcc\x8c", "J\xcc\x8c"},
    {0xfb00, "FF", "Ff"},
    {0xfb01, "FI", "Fi"},
    {0xfb02, "FL", "Fl"},
    {0xfb03, "FFI", "Ffi"},
    {0xfb04, "FFL", "Ffl"},
    {0xfb05, "ST", "St"},
    {0xfb06, "ST", "St"},
};
constexpr char32_t kSigma = 0x3a3;
constexpr char32_t kFinalSigma = 0x3c2;
constexpr char32_t kDottedI = 0x130;

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

const Expansion* find_expansion(char32_t code) {
  const auto* found = std::find_if(std::begin(kExpansions), std::end(kExpansions),
                                   [&](const Expansion& row) { return row.code == code; });
  return found == std::end(kExpansions) ? nullptr : found;
}

// A stray byte is copied, not turned into U+FFFD.
template <typename Map>
std::string map_characters(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Character c = first_character(text.substr(at));
    if (c.code == 0xfffd) {
      out += text.substr(at, c.bytes);
    } else {
      map(out, c.code, at);
    }
    at += c.bytes;
  }
  return out;
}

void append_upper(std::string& out, char32_t code) {
  if (const Expansion* row = find_expansion(code)) {
    out += row->upper;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_title(std::string& out, char32_t code) {
  if (const Expansion* row = find_expansion(code)) {
    out += row->title;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))));
  }
}

// `code` stands at `at` in `text`: a sigma at the end of a word has a form of its own.
void append_lower(std::string& out, char32_t code, std::string_view text, std::size_t at) {
  if (code == kDottedI) {
    out += "i\xcc\x87";
    return;
  }
  if (code == kSigma) {
    const std::string_view before = text.substr(0, at);
    const std::string_view after = text.substr(at + 2);
    const bool follows = !before.empty() && is_cased(last_character(before).code);
    const bool ends = after.empty() || !is_cased(first_character(after).code);
    append_utf8(out, follows && ends ? kFinalSigma : kSigma + 0x20);
    return;
  }
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
}

template <typename Test>
std::string_view strip_where(std::string_view text, Side side, Test test) {
  while (side != Side::right && !text.empty()) {
    const Character c = first_character(text);
    if (!test(c.code, text.substr(0, c.bytes))) break;
    text.remove_prefix(c.bytes);
  }
  while (side != Side::left && !text.empty()) {
    const Character c = last_character(text);
    if (!test(c.code, text.substr(text.size() - c.bytes))) break;
    text.remove_suffix(c.bytes);
  }
  return text;
}

}  // namespace

Character first_character(std::string_view text) {
  utf8proc_int32_t code = 0;
  const utf8proc_ssize_t bytes =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                       static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size(), 4)), &code);
  if (bytes <= 0) return {0xfffd, 1};
  return {static_cast<char32_t>(code), static_cast<std::size_t>(bytes)};
}

Character last_character(std::string_view text) {
  for (std::size_t bytes = 1; bytes <= std::min<std::size_t>(text.size(), 4); ++bytes) {
    const std::string_view tail = text.substr(text.size() - bytes);
    if ((static_cast<unsigned char>(tail.front()) & 0xc0) == 0x80) continue;
    const Character c = first_character(tail);
    if (c.bytes == bytes) return c;
    break;
  }
  return {0xfffd, 1};
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> parts;
  parts.reserve(text.size());
  while (!text.empty()) {
    const std::size_t bytes = first_character(text).bytes;
    parts.push_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return parts;
}

std::size_t character_count(std::string_view text) {
  std::size_t count = 0;
  while (!text.empty()) {
    const bool ascii = static_cast<unsigned char>(text.front()) < 0x80;
    text.remove_prefix(ascii ? 1 : first_character(text).bytes);
    ++count;
  }
  return count;
}

void append_utf8(std::string& out, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

bool is_space(char32_t code) {
  if (code < 0x80)
    return code == ' ' || (code >= 0x9 && code <= 0xd) || (code >= 0x1c && code <= 0x1f);
  const utf8proc_category_t c = category(code);
  return code == 0x85 || c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL ||
         c == UTF8PROC_CATEGORY_ZP;
}

bool is_printable(char32_t code) {
  if (code < 0x80) return code >= 0x20 && code != 0x7f;
  switch (category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

bool is_upper(char32_t code) {
  const auto c = static_cast<utf8proc_int32_t>(code);
  return category(code) == UTF8PROC_CATEGORY_LU || utf8proc_isupper(c) != 0;
}

bool is_lower(char32_t code) {
  const auto c = static_cast<utf8proc_int32_t>(code);
  return category(code) == UTF8PROC_CATEGORY_LL || utf8proc_islower(c) != 0;
}

bool is_cased(char32_t code) {
  return is_upper(code) || is_lower(code) || category(code) == UTF8PROC_CATEGORY_LT;
}

bool is_alphabetic(char32_t code) {
  const utf8proc_category_t c = category(code);
  return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT ||
         c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_ND;
}

std::string upper(std::string_view text) {
  return map_characters(
      text, [](std::string& out, char32_t code, std::size_t) { append_upper(out, code); });
}

std::string lower(std::string_view text) {
  return map_characters(text, [&](std::string& out, char32_t code, std::size_t at) {
    append_lower(out, code, text, at);
  });
}

std::string capitalize(std::string_view text) {
  return map_characters(text, [&](std::string& out, char32_t code, std::size_t at) {
    if (at == 0) {
      append_title(out, code);
    } else {
      append_lower(out, code, text, at);
    }
  });
}

std::string title(std::string_view text) {
  bool inside = false;
  return map_characters(text, [&](std::string& out, char32_t code, std::size_t at) {
    if (inside) {
      append_lower(out, code, text, at);
    } else {
      append_title(out, code);
    }
    inside = is_cased(code);
  });
}

std::string_view strip(std::string_view text, Side side) {
  return strip_where(text, side, [](char32_t code, std::string_view) { return is_space(code); });
}

std::string_view strip(std::string_view text, std::string_view set, Side side) {
  const std::vector<std::string_view> members = characters(set);
  return strip_where(text, side, [&](char32_t, std::string_view character) {
    return std::find(members.begin(), members.end(), character) != members.end();
  });
}

}  // namespace qloft::chat_template::jinja
