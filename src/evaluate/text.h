#pragma once
// What prompts do to texts.

#include <string>
#include <string_view>

namespace qloft::evaluate {

// Without white space (ASCII's) at either end.
inline std::string stripped(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\r\f\v";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin));
}

}  // namespace qloft::evaluate
