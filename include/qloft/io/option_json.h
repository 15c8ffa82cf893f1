#pragma once
// Visitors that write declared options (qloft/core/options.h) into a JSON object and read them from
// one, under their long names with '_' for '-'.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/options.h"
#include "qloft/io/field_json.h"
#include "qloft/io/fields.h"

namespace qloft::io {

class OptionEcho {
 public:
  explicit OptionEcho(Json& out) : out_(out) {}

  void group(const std::string&) {}

  template <typename T>
  void operator()(const std::string& flags, const T& field, const std::string&) {
    out_[option_name(flags)] = value_to_json(field);
  }
  template <typename T>
  void operator()(const std::string& flags, AtMost<T> bounded, const std::string& help) {
    (*this)(flags, bounded.field, help);
  }
  template <typename T>
  void operator()(const std::string& flags, Choice<T> c, const std::string&) {
    for (const auto& [name, value] : c.names) {
      if (value == c.field) out_[option_name(flags)] = name;
    }
  }

 private:
  Json& out_;
};

// Sets the fields that `in` names and leaves the others as they are; a null leaves one too. Throws
// InputError at `where` (its field as a prefix: "rows[2].quantize.bits") for a value of another
// type. finish() refuses what no option took.
class OptionReader {
 public:
  // `reserved`: options that the caller sets and a file may not.
  OptionReader(const Json& in, ErrorLocation where, std::set<std::string> reserved = {})
      : in_(in), where_(std::move(where)), reserved_(std::move(reserved)) {
    if (!in_.is_object()) {
      throw InputError(where_, "expected an object of options, found " + shown(in_));
    }
  }

  void group(const std::string&) {}

  template <typename T>
  void operator()(const std::string& flags, T& field, const std::string&) {
    if (const Json* found = take(option_name(flags))) read(*found, field, option_name(flags));
  }
  template <typename T>
  void operator()(const std::string& flags, AtMost<T> bounded, const std::string&) {
    const std::string name = option_name(flags);
    if (const Json* found = take(name)) read(*found, bounded.field, name, bounded.most);
  }
  template <typename T>
  void operator()(const std::string& flags, Choice<T> c, const std::string&) {
    const std::string name = option_name(flags);
    const Json* found = take(name);
    if (found == nullptr) return;
    std::string names;
    for (const auto& [choice, value] : c.names) {
      names += (names.empty() ? "" : ", ") + choice;
      if (*found == choice) {
        c.field = value;
        return;
      }
    }
    refuse(name, "one of " + names, *found);
  }

  // Throws InputError naming the first member that is no option.
  void finish() const {
    for (const auto& [name, value] : in_.items()) {
      if (known_.contains(name)) continue;
      std::string names;
      for (const std::string& one : known_) names += (names.empty() ? "" : ", ") + one;
      throw InputError(at(name), "unknown option; expected one of " + names);
    }
  }

 private:
  const Json* take(const std::string& name) {
    if (reserved_.contains(name)) return nullptr;
    known_.insert(name);
    const auto found = in_.find(name);
    return found == in_.end() || found->is_null() ? nullptr : &*found;
  }

  template <typename T>
  void read(const Json& value, T& field, const std::string& name,
            std::int64_t most = kMostOfAnOption) const {
    if constexpr (is_optional<T>) {
      typename T::value_type inner{};
      read(value, inner, name, most);
      field = std::move(inner);
    } else if constexpr (is_vector<T>) {
      if (!value.is_array()) refuse(name, "a list", value);
      T list;
      for (const Json& item : value) {
        typename T::value_type inner{};
        read(item, inner, name, most);
        list.push_back(std::move(inner));
      }
      field = std::move(list);
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) refuse(name, "true or false", value);
      field = value.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
      const bool fits =
          value.is_number_unsigned()
              ? std::in_range<T>(value.get<std::uint64_t>())
              : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
      if (!fits) refuse(name, "a whole number", value);
      if constexpr (std::is_signed_v<T>) {
        if (value.get<std::int64_t>() > most) {
          refuse(name, "at most " + std::to_string(most), value);
        }
      }
      field = value.get<T>();
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!value.is_number()) refuse(name, "a number", value);
      field = value.get<T>();
    } else {
      if (!value.is_string()) refuse(name, "a text", value);
      field = value.get<std::string>();
    }
  }

  ErrorLocation at(const std::string& name) const {
    return {where_.file, where_.field.empty() ? name : where_.field + "." + name};
  }
  [[noreturn]] void refuse(const std::string& name, const std::string& expected,
                           const Json& found) const {
    throw InputError(at(name), "expected " + expected + ", found " + shown(found));
  }

  const Json& in_;
  ErrorLocation where_;
  std::set<std::string> reserved_;
  std::set<std::string> known_;
};

}  // namespace qloft::io
