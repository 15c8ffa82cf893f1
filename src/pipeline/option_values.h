#pragma once
// The text of an option as one of a few values.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/element.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"

namespace qloft::pipeline {

using Names = std::vector<std::string_view>;

// "one of A, B, C"
inline std::string one_of(const Names& names) {
  std::string list;
  for (const std::string_view name : names) {
    list += (list.empty() ? "one of " : ", ") + std::string(name);
  }
  return list;
}

// Names the nearest that is known, too.
[[noreturn]] inline void refuse_value(const std::string& text, const char* option,
                                      const Names& known) {
  throw InputError({{}, option}, "expected " + one_of(known) + ", found '" + text + "'" +
                                     suggestion(text, {known.begin(), known.end()}));
}

template <typename T>
T named(const std::string& text, const char* option,
        std::optional<T> (*from_name)(std::string_view), const Names& known) {
  const auto value = from_name(text);
  if (!value) refuse_value(text, option, known);
  return *value;
}

inline ElementType float_type(const std::string& text, const char* option, const Names& known) {
  const auto type = element_type_from_short_name(text);
  if (type &&
      (*type == ElementType::f32 || *type == ElementType::bf16 || *type == ElementType::f16)) {
    return *type;
  }
  refuse_value(text, option, known);
}

}  // namespace qloft::pipeline
