#pragma once
// Regular expressions as Hugging Face's tokenizers writes them (Oniguruma, Ruby syntax), run by
// PCRE2 with its just-in-time compiler.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace qloft::tokenizer {

// The same expression in PCRE2's syntax. Differences that matter: \s, \w, \h and \p{...} are
// spelled out or completed to Oniguruma's Unicode version, (?m) is PCRE's (?s), X{n,m}+ is not
// possessive,
// {,n} counts from 0, scripts are not script extensions. Throws InputError (no location) on what
// has no counterpart.
std::string translate_regex(std::string_view ruby);

// Compiled; immutable, usable from many threads.
class Regex {
 public:
  // Throws InputError (no location) if the expression is broken.
  explicit Regex(std::string_view ruby);

  // What the searches through one text have taken. An expression may look far ahead from every
  // place: its work is then quadratic, and no limit of PCRE2 counts it.
  struct Spent {
    double seconds = 0;
  };

  // The leftmost match at or after `from`, as [begin, end) in bytes. Throws InputError where the
  // search exceeds PCRE2's match limits, or `spent` what a text of that length may take.
  std::optional<std::pair<std::size_t, std::size_t>> find(std::string_view text, std::size_t from,
                                                          Spent& spent) const;

 private:
  int match(std::string_view text, std::size_t from, Spent& spent) const;

  std::shared_ptr<void> code_;
  std::string source_;
};

// Calls emit(begin, end) for each match in order, as Oniguruma's find_iter does: an empty match
// right behind the last match is skipped.
template <class Emit>
void for_each_match(const Regex& regex, std::string_view text, Emit&& emit) {
  Regex::Spent spent;
  std::size_t from = 0;
  std::size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    const auto match = regex.find(text, from, spent);
    if (!match) return;
    const auto [begin, end] = *match;
    if (begin == end && end == last_end) {
      ++from;  // one character
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
      continue;
    }
    from = last_end = end;
    emit(begin, end);
  }
}

}  // namespace qloft::tokenizer
