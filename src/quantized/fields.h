#pragma once
// The members of one JSON object, each an InputError with its place where it is not as expected.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "qloft/core/error.h"
#include "qloft/io.h"

namespace qloft::quantized {

class Fields {
 public:
  Fields(const io::Json& json, ErrorLocation where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) {
      throw InputError(where_, std::string("expected an object, found ") + json.type_name());
    }
  }

  // nullptr: missing or null.
  const io::Json* find(const char* name) const {
    const auto it = json_.find(name);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  const io::Json& get(const char* name) const {
    const io::Json* value = find(name);
    if (value == nullptr) throw InputError(place(name), "expected a value, found none");
    return *value;
  }
  // From 0 to `most`.
  std::int64_t integer(const char* name, std::int64_t most) const {
    return integer_of(get(name), name, most);
  }
  std::int64_t integer_of(const io::Json& value, const std::string& name, std::int64_t most) const {
    const bool fits = value.is_number_unsigned()
                          ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                          : value.is_number_integer() && value.get<std::int64_t>() >= 0 &&
                                value.get<std::int64_t>() <= most;
    if (!fits) {
      throw InputError(place(name), "expected a whole number from 0 to " + std::to_string(most) +
                                        ", found " + shown(value));
    }
    return value.get<std::int64_t>();
  }
  const std::string& text(const char* name) const {
    const io::Json& value = get(name);
    if (!value.is_string()) {
      throw InputError(place(name), "expected a string, found " + shown(value));
    }
    return value.get_ref<const std::string&>();
  }
  template <typename T>
  T named(const char* name, std::optional<T> (*from_name)(std::string_view)) const {
    const auto value = from_name(text(name));
    if (!value) throw InputError(place(name), "expected a known name, found " + shown(get(name)));
    return *value;
  }
  ErrorLocation place(const std::string& name) const {
    return {where_.file, where_.field + "." + name};
  }

 private:
  static std::string shown(const io::Json& value) {
    std::string text = value.dump(-1, ' ', true, io::Json::error_handler_t::replace);
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
  }

  const io::Json& json_;
  ErrorLocation where_;
};

}  // namespace qloft::quantized
