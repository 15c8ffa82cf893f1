#pragma once
// The text of an option as one of a few values.

#include <optional>
#include <string>
#include <string_view>

#include "qloft/core/element.h"
#include "qloft/core/error.h"

namespace qloft::pipeline {

template <typename T>
T named(const std::string& text, const char* option,
        std::optional<T> (*from_name)(std::string_view), const std::string& known) {
  const auto value = from_name(text);
  if (!value) throw InputError({{}, option}, "expected " + known + ", found '" + text + "'");
  return *value;
}

inline ElementType float_type(const std::string& text, const char* option,
                              const std::string& known) {
  const auto type = element_type_from_short_name(text);
  if (type &&
      (*type == ElementType::f32 || *type == ElementType::bf16 || *type == ElementType::f16)) {
    return *type;
  }
  throw InputError({{}, option}, "expected " + known + ", found '" + text + "'");
}

// "one of A, B, C"
template <typename Names>
std::string one_of(const Names& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "one of " : ", ") + std::string(name);
  return list;
}

}  // namespace qloft::pipeline
