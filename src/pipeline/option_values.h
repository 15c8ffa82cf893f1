#pragma once
// The text of an option as one of a few values.

#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/element.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"

namespace qloft::pipeline {

// `known` is "A, B or C", or as one_of() makes it: of so many the nearest is named too.
[[noreturn]] inline void refuse_value(const std::string& text, const char* option,
                                      const std::string& known) {
  std::vector<std::string> names;
  if (known.starts_with("one of ")) {
    std::istringstream words(known.substr(std::string_view("one of ").size()));
    for (std::string word; words >> word;) {
      if (word.ends_with(',')) word.pop_back();
      names.push_back(word);
    }
  }
  throw InputError({{}, option},
                   "expected " + known + ", found '" + text + "'" + suggestion(text, names));
}

template <typename T>
T named(const std::string& text, const char* option,
        std::optional<T> (*from_name)(std::string_view), const std::string& known) {
  const auto value = from_name(text);
  if (!value) refuse_value(text, option, known);
  return *value;
}

inline ElementType float_type(const std::string& text, const char* option,
                              const std::string& known) {
  const auto type = element_type_from_short_name(text);
  if (type &&
      (*type == ElementType::f32 || *type == ElementType::bf16 || *type == ElementType::f16)) {
    return *type;
  }
  refuse_value(text, option, known);
}

// "one of A, B, C"
template <typename Names>
std::string one_of(const Names& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "one of " : ", ") + std::string(name);
  return list;
}

}  // namespace qloft::pipeline
