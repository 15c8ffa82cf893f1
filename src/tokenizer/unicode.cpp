#include "unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <optional>
#include <vector>

namespace qloft::tokenizer {
namespace {

struct Addition {
  std::string_view name;
  std::string_view ranges;
};

#include "unicode_table.inc"

constexpr std::size_t kBlock = 256;
constexpr std::size_t kBlocks = 0x110000 / kBlock;

// Two levels: equal blocks are stored once.
struct ClassTable {
  std::array<std::uint16_t, kBlocks> block_of{};
  std::vector<std::array<std::uint16_t, kBlock>> blocks;

  ClassTable() {
    std::size_t run = 0;
    for (std::size_t b = 0; b < kBlocks; ++b) {
      std::array<std::uint16_t, kBlock> block{};
      for (std::size_t i = 0; i < kBlock; ++i) {
        const std::uint32_t code = static_cast<std::uint32_t>(b * kBlock + i);
        while (run + 1 < std::size(kRuns) && (kRuns[run + 1] >> kClassBits) <= code) ++run;
        block[i] = static_cast<std::uint16_t>(kRuns[run] & ((1u << kClassBits) - 1));
      }
      const auto found = std::find(blocks.begin(), blocks.end(), block);
      block_of[b] = static_cast<std::uint16_t>(found - blocks.begin());
      if (found == blocks.end()) blocks.push_back(block);
    }
  }
};

const ClassTable& class_table() {
  static const ClassTable table;
  return table;
}

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

// Length of the well-formed sequence at `bytes`; 0 if there is none, then `broken` is the length of
// the maximal part.
std::size_t well_formed(std::string_view bytes, std::size_t& broken) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  broken = 1;
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if ((first & 0xF0) == 0xE0) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (bytes.size() < 2 || at(1) < low || at(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    broken = i;
    if (bytes.size() <= i || !is_continuation(at(i))) return 0;
  }
  return length;
}

// Whether the tables of the normalizers that tokenizers uses have `code`.
bool known_to_normalizers(char32_t code) {
  const auto range = std::upper_bound(
      std::begin(kUnknownToNormalizers), std::end(kUnknownToNormalizers), code,
      [](char32_t value, const std::uint32_t(&entry)[2]) { return value < entry[0]; });
  return range == std::begin(kUnknownToNormalizers) || code > (*std::prev(range))[1];
}

// Bytes at the start of `text` that are ASCII, counted in words of eight.
std::size_t ascii_prefix(std::string_view text) {
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if (word & 0x8080808080808080u) break;
  }
  return i;
}

utf8proc_option_t options_of(NormalForm form) {
  const bool compose = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE |
                                        (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

// emit(code, first) for each part of each character, not yet ordered.
template <class Emit>
void decompose(std::string_view text, utf8proc_option_t options, Emit&& emit) {
  for (std::size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    i += c.size;
    std::array<utf8proc_int32_t, 32> parts;  // the longest decomposition has 18
    int boundary = 0;
    if (!known_to_normalizers(c.code)) {
      emit(static_cast<utf8proc_int32_t>(c.code), true);
      continue;
    }
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), options, &boundary);
    if (count <= 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
      emit(static_cast<utf8proc_int32_t>(c.code), true);
      continue;
    }
    for (utf8proc_ssize_t k = 0; k < count; ++k) emit(parts[static_cast<std::size_t>(k)], k == 0);
  }
}

int combining_order(utf8proc_int32_t code) {
  const int known = utf8proc_get_property(code)->combining_class;
  return known != 0 && known_to_normalizers(static_cast<char32_t>(code)) ? known : 0;
}

// Marks behind a character in the order of their classes; `code_of` an item.
// utf8proc_decompose would order them in quadratic time.
template <class Items, class CodeOf>
void order_marks(Items& items, CodeOf&& code_of) {
  const auto order = [&](const auto& item) { return combining_order(code_of(item)); };
  for (auto i = items.begin(); i != items.end();) {
    if (order(*i) == 0) {
      ++i;
      continue;
    }
    const auto end =
        std::find_if(i, items.end(), [&](const auto& item) { return order(item) == 0; });
    if (end - i > 1) {
      std::stable_sort(i, end, [&](const auto& a, const auto& b) { return order(a) < order(b); });
    }
    i = end;
  }
}

void normalize_run(std::string_view text, NormalForm form, std::string& result) {
  const auto options = options_of(form);
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  decompose(text, options, [&](utf8proc_int32_t code, bool) { codes.push_back(code); });
  order_marks(codes, [](utf8proc_int32_t code) { return code; });
  auto length = static_cast<utf8proc_ssize_t>(codes.size());
  if (options & UTF8PROC_COMPOSE) {
    length = utf8proc_normalize_utf32(codes.data(), length, options);
  }
  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    append_character(result, static_cast<char32_t>(codes[static_cast<std::size_t>(i)]));
  }
}

// The one character that both are; 0: there is none.
char32_t composed(char32_t first, char32_t second) {
  if (first < 0x80 && second < 0x80) return 0;
  utf8proc_int32_t pair[2] = {static_cast<utf8proc_int32_t>(first),
                              static_cast<utf8proc_int32_t>(second)};
  return utf8proc_normalize_utf32(pair, 2, options_of(NormalForm::nfc)) == 1
             ? static_cast<char32_t>(pair[0])
             : 0;
}

// Each mark joins the last character of class 0 unless one between them blocks it.
std::vector<Change> compose(const std::vector<Change>& parts) {
  std::vector<Change> result, marks;
  std::optional<Change> base;
  int last = -1;  // class of the last of the marks; -1: there is none
  const auto begin = [&](const Change& next) {
    result.push_back(*base);
    result.insert(result.end(), marks.begin(), marks.end());
    marks.clear();
    base = next;
    last = -1;
  };
  for (const Change& part : parts) {
    const int order = combining_order(static_cast<utf8proc_int32_t>(part.code));
    if (!base) {
      if (order != 0) {
        result.push_back(part);
      } else {
        base = part;
      }
      continue;
    }
    if (last < order || last < 0) {
      if (const char32_t whole = composed(base->code, part.code)) {
        base = Change{whole, base->change + part.change - 1};
        continue;
      }
    }
    if (order == 0) {
      begin(part);
    } else {
      marks.push_back(part);
      last = order;
    }
  }
  if (base) begin({});
  return result;
}

}  // namespace

bool is_valid_utf8(std::string_view bytes) {
  std::size_t i = 0, broken = 0;
  while (i < bytes.size()) {
    if (static_cast<unsigned char>(bytes[i]) < 0x80) {
      const std::size_t skipped = ascii_prefix(bytes.substr(i));
      i += skipped == 0 ? 1 : skipped;
      continue;
    }
    const std::size_t length = well_formed(bytes.substr(i), broken);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  while (!bytes.empty()) {
    std::size_t broken = 0;
    const std::size_t length = well_formed(bytes, broken);
    result += length == 0 ? kReplacementCharacter : bytes.substr(0, length);
    bytes.remove_prefix(length == 0 ? broken : length);
  }
  return result;
}

std::size_t unfinished_bytes(std::string_view bytes) {
  std::size_t back = 1;
  while (back < bytes.size() && back < 3 &&
         is_continuation(static_cast<unsigned char>(bytes[bytes.size() - back]))) {
    ++back;
  }
  if (back > bytes.size()) return 0;
  const std::string_view tail = bytes.substr(bytes.size() - back);
  // A lead byte that wants more than there is, and nothing wrong so far.
  const auto first = static_cast<unsigned char>(tail[0]);
  if (first < 0xC2 || first > 0xF4) return 0;
  std::size_t broken = 0;
  if (well_formed(tail, broken) != 0 || broken != tail.size()) return 0;
  const std::size_t wanted = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  return tail.size() < wanted ? tail.size() : 0;
}

Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[at + i]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4};
}

Character character_before(std::string_view text, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && is_continuation(static_cast<unsigned char>(text[begin]))) --begin;
  return character_at(text, begin);
}

void append_character(std::string& text, char32_t code) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::uint16_t character_class(char32_t code) {
  static const ClassTable& table = class_table();
  return code < 0x110000 ? table.blocks[table.block_of[code / kBlock]][code % kBlock] : 0;
}

std::string_view property_additions(std::string_view name) {
  for (const Addition& addition : kAdditions) {
    if (addition.name == name) return addition.ranges;
  }
  return {};
}

std::string normalize(std::string_view text, NormalForm form) {
  // Below U+0300 nothing composes with what is before it or is reordered; ASCII is the same in
  // every form. So only runs above such a bound, each with the character before it, are looked at.
  const unsigned char bound = form == NormalForm::nfc ? 0xCC : 0x80;
  const auto beyond = [&](std::size_t at) { return static_cast<unsigned char>(text[at]) >= bound; };
  std::string result;
  result.reserve(text.size());
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!beyond(at)) continue;
    const std::size_t begin = at > done ? at - character_before(text, at).size : at;
    while (at < text.size() && beyond(at)) at += character_at(text, at).size;
    result += text.substr(done, begin - done);
    normalize_run(text.substr(begin, at - begin), form, result);
    done = at;
  }
  result += text.substr(done);
  return result;
}

std::vector<Change> normalize_changes(std::string_view text, NormalForm form) {
  const auto options = options_of(form);
  std::vector<Change> parts;
  parts.reserve(text.size());
  decompose(text, options, [&](utf8proc_int32_t code, bool first) {
    parts.push_back({static_cast<char32_t>(code), first ? 0 : 1});
  });
  order_marks(parts, [](const Change& c) { return static_cast<utf8proc_int32_t>(c.code); });
  return options & UTF8PROC_COMPOSE ? compose(parts) : parts;
}

std::string lowercase(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    i += c.size;
    if (c.code == 0x130) {  // the only character whose lower case is two
      result += "i\xCC\x87";
    } else {
      append_character(
          result, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code))));
    }
  }
  return result;
}

}  // namespace qloft::tokenizer
