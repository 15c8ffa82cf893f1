#include "qloft/evaluate/final_number.h"

#include <optional>
#include <string>

namespace qloft::evaluate {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// "1,200.50" -> "1200.5", "18." -> "18", "007" -> "7", "-0" -> "0".
std::string normalise(std::string_view number) {
  std::string digits;
  for (const char c : number) {
    if (c != ',') digits += c;
  }
  if (digits.find('.') != std::string::npos) {
    while (digits.ends_with('0')) digits.pop_back();
    if (digits.ends_with('.')) digits.pop_back();
  }
  const bool negative = digits.starts_with('-');
  std::size_t first = negative ? 1 : 0;
  while (first + 1 < digits.size() && digits[first] == '0' && is_digit(digits[first + 1])) ++first;
  digits = digits.substr(first);
  if (digits.empty() || digits.starts_with('.')) digits.insert(0, "0");
  return negative && digits != "0" ? "-" + digits : digits;
}

// The number that begins at `at` (a minus sign or a digit); its end is returned in `end`.
// Commas count only between digits, a point only before one.
std::string number_at(std::string_view text, std::size_t at, std::size_t& end) {
  end = at;
  if (text[end] == '-') ++end;
  bool point = false;
  while (end < text.size()) {
    const bool digit_follows = end + 1 < text.size() && is_digit(text[end + 1]);
    const bool mark_within = (text[end] == ',' || text[end] == '.') && !point && digit_follows;
    if (!is_digit(text[end]) && !mark_within) break;
    point = point || text[end] == '.';
    ++end;
  }
  return normalise(text.substr(at, end - at));
}

bool begins_number(std::string_view text, std::size_t at) {
  if (is_digit(text[at])) return true;
  return text[at] == '-' && at + 1 < text.size() && is_digit(text[at + 1]);
}

}  // namespace

std::optional<std::string> final_number(std::string_view text, AnswerRule rule) {
  if (rule == AnswerRule::hashes) {
    const std::size_t mark = text.find("####");
    if (mark == std::string_view::npos) return std::nullopt;
    std::size_t at = mark + 4;
    while (at < text.size() && (text[at] == ' ' || text[at] == '$')) ++at;
    if (at >= text.size() || !begins_number(text, at)) return std::nullopt;
    std::size_t end;
    return number_at(text, at, end);
  }
  std::optional<std::string> last;
  for (std::size_t at = 0; at < text.size();) {
    if (!begins_number(text, at)) {
      ++at;
      continue;
    }
    // "5-3": the sign after a digit is a subtraction.
    if (text[at] == '-' && at > 0 && is_digit(text[at - 1])) ++at;
    last = number_at(text, at, at);
  }
  return last;
}

}  // namespace qloft::evaluate
