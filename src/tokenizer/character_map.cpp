#include "character_map.h"

#include <utf8proc.h>

#include <cstring>
#include <optional>

namespace qloft::tokenizer {
namespace {

constexpr std::size_t kLongestGrapheme = 6;  // bytes; those that are shorter are looked up whole
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::int32_t characters_in(std::string_view text) {
  std::int32_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

// tokenizers' bookkeeping: what is added counts as inserted at the end, what is taken away belongs
// to the last character so far.
void replace(std::vector<Change>& changes, std::string_view old, std::string_view now) {
  for (std::size_t i = 0; i < now.size();) {
    const Character c = character_at(now, i);
    changes.push_back({c.code, 0});
    i += c.size;
  }
  const std::int32_t more = characters_in(now) - characters_in(old);
  for (auto i = changes.rbegin(); i - changes.rbegin() < more; ++i) i->change = 1;
  if (more < 0 && !changes.empty()) changes.back().change += more;
}

// Where the grapheme that begins at text[at] ends.
std::size_t grapheme_end(std::string_view text, std::size_t at) {
  Character c = character_at(text, at);
  std::size_t end = at + c.size;
  utf8proc_int32_t state = 0;
  while (end < text.size()) {
    const Character next = character_at(text, end);
    if (c.code < 0x80 && next.code < 0x80 && (c.code != '\r' || next.code != '\n')) break;
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state)) {
      break;
    }
    end += next.size;
    c = next;
  }
  return end;
}

}  // namespace

std::string decode_base64(const Field& field) {
  const std::string text = field.string();
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  std::size_t length = text.size();
  while (length > 0 && text[length - 1] == '=' && text.size() - length < 2) --length;
  for (std::size_t i = 0; i < length; ++i) {
    const std::size_t digit = kDigits.find(text[i]);
    if (digit == std::string_view::npos) field.refuse("base64");
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if (i % 4 != 0) bytes += static_cast<char>(bits >> (6 - 2 * (i % 4)) & 0xFF);
  }
  if (length % 4 == 1) field.refuse("base64");
  return bytes;
}

std::string encode_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](std::size_t k) -> std::uint32_t {
      return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0;
    };
    const std::uint32_t bits = at(0) << 16 | at(1) << 8 | at(2);
    for (std::size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? kDigits[bits >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

CharacterMap CharacterMap::read(const Field& field) {
  const Field member = field.at("precompiled_charsmap");
  return parse(decode_base64(member), member);
}

CharacterMap CharacterMap::parse(std::string_view bytes, const Field& field) {
  CharacterMap map;
  if (bytes.empty()) return map;
  std::uint32_t size = 0;
  if (bytes.size() < sizeof(size)) field.fail("expected a compiled character map, found a cut one");
  std::memcpy(&size, bytes.data(), sizeof(size));
  bytes.remove_prefix(sizeof(size));
  if (size % sizeof(std::uint32_t) != 0 || size > bytes.size()) {
    field.fail("expected a trie of at most " + std::to_string(bytes.size()) + " bytes, found " +
               std::to_string(size));
  }
  map.trie_.resize(size / sizeof(std::uint32_t));
  std::memcpy(map.trie_.data(), bytes.data(), size);
  map.texts_ = bytes.substr(size);
  if (!is_valid_utf8(map.texts_)) field.fail("expected UTF-8 in its texts, found other bytes");
  return map;
}

bool CharacterMap::find(std::string_view text, std::string_view& replacement) const {
  const auto unit_at = [&](std::size_t at) -> std::optional<std::uint32_t> {
    return at < trie_.size() ? std::optional(trie_[at]) : std::nullopt;
  };
  const auto offset = [](std::uint32_t unit) -> std::size_t {
    return static_cast<std::size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6);
  };
  auto unit = unit_at(0);
  if (!unit) return false;
  std::size_t at = offset(*unit);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return false;
    at ^= byte;
    unit = unit_at(at);
    if (!unit || (*unit & (1u << 31 | 0xFF)) != byte) return false;
    at ^= offset(*unit);
    if ((*unit >> 8 & 1) == 0) continue;
    const auto leaf = unit_at(at);
    if (!leaf) return false;
    const std::size_t begin = *leaf & ~(1u << 31);
    if (begin > texts_.size()) return false;
    replacement = std::string_view(texts_).substr(begin);
    replacement = replacement.substr(0, replacement.find('\0'));
    // Never within a character.
    return replacement.empty() || (static_cast<unsigned char>(replacement[0]) & 0xC0) != 0x80;
  }
  return false;
}

void CharacterMap::apply(NormalizedText& in) const {
  std::vector<Change> changes;
  changes.reserve(in.text.size());
  bool modified = false;
  const std::string_view text = in.text;
  std::string_view replacement;
  const auto try_replace = [&](std::string_view part) {
    if (!find(part, replacement)) return false;
    modified = true;
    replace(changes, part, replacement);
    return true;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = grapheme_end(text, at);
    if (end - at < kLongestGrapheme && try_replace(text.substr(at, end - at))) {
      at = end;
      continue;
    }
    while (at < end) {
      const Character c = character_at(text, at);
      if (!try_replace(text.substr(at, c.size))) changes.push_back({c.code, 0});
      at += c.size;
    }
  }
  if (modified) apply_changes(in, changes);
}

}  // namespace qloft::tokenizer
