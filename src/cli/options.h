#pragma once
// Declared options (qloft/core/options.h) as flags of a command.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "numbers.h"
#include "qloft/core/error.h"
#include "qloft/core/options.h"
#include "qloft/io/option_json.h"

namespace qloft::cli {

using Json = nlohmann::ordered_json;
using io::OptionEcho;

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

// What an option holds, once or many times.
template <typename T>
struct ValueOf {
  using type = T;
};
template <typename T>
struct ValueOf<std::optional<T>> : ValueOf<T> {};
template <typename T>
struct ValueOf<std::vector<T>> : ValueOf<T> {};

// Refuses texts that are no such value. `most` bounds integers but for seeds, which are unsigned.
template <typename Value>
void expect_value(CLI::Option& option, std::int64_t most) {
  std::function<std::string(std::string&)> check;
  if constexpr (std::is_same_v<Value, bool>) {
    check = [](const std::string& text) -> std::string {
      bool value = false;
      if (CLI::detail::lexical_cast(text, value)) return {};
      return "expected true or false, found '" + text + "'";
    };
  } else if constexpr (std::is_floating_point_v<Value>) {
    check = check_real;
  } else if constexpr (std::is_unsigned_v<Value>) {
    check = check_seed;
  } else if constexpr (std::is_integral_v<Value>) {
    most = std::min<std::int64_t>(most, std::numeric_limits<Value>::max());
    check = [most](std::string& text) {
      return check_whole(text, std::numeric_limits<Value>::min(), most);
    };
  } else if constexpr (std::is_same_v<Value, std::filesystem::path>) {
    check = [](const std::string& text) -> std::string {
      return text.empty() ? "expected a path, found none" : "";
    };
  }
  if (check) option.transform(CLI::Validator(std::move(check), ""));
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
    expect_value<typename ValueOf<T>::type>(*option, most_);
    if (!group_.empty()) option->group(group_);
    return option;
  }

  template <typename T>
  CLI::Option* operator()(const std::string& flags, AtMost<T> bounded, const std::string& help) {
    most_ = bounded.most;
    CLI::Option* option = (*this)(flags, bounded.field, help);
    most_ = kMostOfAnOption;
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
  std::int64_t most_ = kMostOfAnOption;  // of the option that is bound
};

}  // namespace qloft::cli
