#pragma once
// An option is declared once, as visitor("--max-tokens", field, "help"): the same declaration binds
// the flag, shows the default in --help and echoes the value into the JSON report as "max_tokens".
//
//   template <typename Visitor>
//   void visit(EvaluateOptions& o, Visitor& v) { v("--window", o.window, "tokens a window"); }

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "qloft/core/error.h"

namespace qloft::cli {

using Json = nlohmann::ordered_json;

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

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <typename T>
inline constexpr bool is_vector = false;
template <typename T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <typename T>
std::string metavar() {
  if constexpr (is_optional<T> || is_vector<T>) {
    return metavar<typename T::value_type>();
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return "PATH";
  } else if constexpr (std::is_floating_point_v<T>) {
    return "X";
  } else if constexpr (std::is_integral_v<T>) {
    return "N";
  } else {
    return "NAME";
  }
}

// Binds fields to the flags of a command.
class OptionBinder {
 public:
  explicit OptionBinder(CLI::App& app) : app_(app) {}

  // The options that follow stand under this heading in --help.
  void group(std::string name) { group_ = std::move(name); }

  template <typename T>
  CLI::Option* operator()(const std::string& flags, T& field, const std::string& help) {
    CLI::Option* option;
    if constexpr (std::is_same_v<T, bool>) {
      option = app_.add_flag(flags, field, help);
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      option = app_.add_option_function<std::string>(
          flags, [&field](const std::string& value) { field = value; }, help);
    } else if constexpr (std::is_same_v<T, std::optional<std::filesystem::path>>) {
      option = app_.add_option_function<std::string>(
          flags, [&field](const std::string& value) { field = std::filesystem::path(value); },
          help);
    } else if constexpr (std::is_same_v<T, std::vector<std::filesystem::path>>) {
      option = app_.add_option_function<std::vector<std::string>>(
          flags,
          [&field](const std::vector<std::string>& values) {
            field.assign(values.begin(), values.end());
          },
          help);
      option->expected(1, 1 << 20)->delimiter(',');
    } else if constexpr (is_optional<T>) {
      option = app_.add_option_function<typename T::value_type>(
          flags, [&field](const typename T::value_type& value) { field = value; }, help);
    } else if constexpr (is_vector<T>) {
      option = app_.add_option(flags, field, help);
      option->expected(1, 1 << 20)->delimiter(',');
    } else {
      option = app_.add_option(flags, field, help);
      if constexpr (std::is_same_v<T, std::string>) {
        if (!field.empty()) option->default_str(field);
      } else {
        option->capture_default_str();
      }
    }
    if constexpr (!std::is_same_v<T, bool>) option->type_name(metavar<T>());
    if (!group_.empty()) option->group(group_);
    return option;
  }

  template <typename T>
  CLI::Option* operator()(const std::string& flags, Choice<T> c, const std::string& help) {
    std::string names, current;
    for (const auto& [name, value] : c.names) {
      names += (names.empty() ? "" : "|") + name;
      if (value == c.field) current = name;
    }
    CLI::Option* option = app_.add_option_function<std::string>(
        flags,
        [c, flags, names](const std::string& given) {
          for (const auto& [name, value] : c.names) {
            if (name == given) {
              c.field = value;
              return;
            }
          }
          throw InputError({{}, flags}, "expected one of " + names + ", found '" + given + "'");
        },
        help);
    option->type_name(names);
    if (!current.empty()) option->default_str(current);
    if (!group_.empty()) option->group(group_);
    return option;
  }

 private:
  CLI::App& app_;
  std::string group_;
};

// Writes the fields into a JSON object under their long names, '-' as '_'.
class OptionEcho {
 public:
  explicit OptionEcho(Json& out) : out_(out) {}

  void group(const std::string&) {}

  template <typename T>
  void operator()(const std::string& flags, const T& field, const std::string&) {
    out_[json_name(flags)] = value(field);
  }
  template <typename T>
  void operator()(const std::string& flags, Choice<T> c, const std::string&) {
    for (const auto& [name, value] : c.names) {
      if (value == c.field) out_[json_name(flags)] = name;
    }
  }

 private:
  template <typename T>
  static Json value(const T& field) {
    if constexpr (std::is_same_v<T, std::filesystem::path>) {
      return field.string();
    } else if constexpr (is_optional<T>) {
      return field ? value(*field) : Json(nullptr);
    } else if constexpr (is_vector<T>) {
      Json list = Json::array();
      for (const auto& item : field) list.push_back(value(item));
      return list;
    } else {
      return field;
    }
  }

  // "-o,--output" -> "output".
  static std::string json_name(const std::string& flags) {
    const std::size_t dashes = flags.find("--");
    std::string name = dashes == std::string::npos ? flags : flags.substr(dashes + 2);
    name = name.substr(0, name.find(','));
    for (char& c : name) {
      if (c == '-') c = '_';
    }
    return name;
  }

  Json& out_;
};

}  // namespace qloft::cli
