#pragma once
// An option is declared once, as visitor("--max-tokens", field, "help") in a function template
// visit_options(OPTIONS&, visitor&) beside its struct. The same declaration binds the flag of the
// command line, shows the default in --help, echoes the value into the JSON report as "max_tokens"
// and reads it from a recipe (qloft/io/option_json.h).
//
//   template <typename Visitor>
//   void visit_options(EvaluateOptions& o, Visitor& v) {
//     v("--window", o.window, "tokens a window");
//   }
//
// v("--window", at_most(o.window, 1 << 20), "help") bounds an integer.
// v.group("Format") begins a heading of --help.

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace qloft {

// A field that takes one of a few named values.
template <typename T>
struct Choice {
  T& field;
  std::vector<std::pair<std::string, T>> names;
};
template <typename T>
Choice<T> choice(T& field, std::type_identity_t<std::vector<std::pair<std::string, T>>> names) {
  return {field, std::move(names)};
}

// What an integer option takes at most where its declaration says no less: products of two fit.
inline constexpr std::int64_t kMostOfAnOption = std::int64_t{1} << 30;

// An integer field that takes at most `most`.
template <typename T>
struct AtMost {
  T& field;
  std::int64_t most;
};
template <typename T>
AtMost<T> at_most(T& field, std::int64_t most) {
  return {field, most};
}

// "-o,--output" -> "output", "--max-tokens" -> "max_tokens".
inline std::string option_name(const std::string& flags) {
  const std::size_t dashes = flags.find("--");
  std::string name = dashes == std::string::npos ? flags : flags.substr(dashes + 2);
  name = name.substr(0, name.find(','));
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <typename T>
inline constexpr bool is_vector = false;
template <typename T>
inline constexpr bool is_vector<std::vector<T>> = true;

}  // namespace qloft
