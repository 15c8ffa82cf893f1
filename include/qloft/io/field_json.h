#pragma once
// Visitors that write declared fields (qloft/core/fields.h) into a JSON object and read them back.
// Empty optionals are null; a field that has fields of its own is an object.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "qloft/core/fields.h"
#include "qloft/core/options.h"

namespace qloft::io {

using Json = nlohmann::ordered_json;

class FieldWriter;
class FieldReader;

template <typename T>
concept HasFields = requires(T& value, FieldWriter& visitor) {
  visit_fields(value, visitor);
};

template <typename T>
Json fields_to_json(T value);
template <typename T>
T fields_from_json(const Json& json);

// The value of a field or of an option.
template <typename T>
Json value_to_json(const T& field) {
  if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return field.string();
  } else if constexpr (is_optional<T>) {
    return field ? value_to_json(*field) : Json(nullptr);
  } else if constexpr (is_vector<T>) {
    Json list = Json::array();
    for (const auto& item : field) list.push_back(value_to_json(item));
    return list;
  } else if constexpr (HasFields<T>) {
    return fields_to_json(field);
  } else {
    return field;
  }
}

class FieldWriter {
 public:
  explicit FieldWriter(Json& out) : out_(out) {}

  template <typename T>
  void operator()(const std::string& key, const T& field, const Shown& = {}) {
    out_[key] = value_to_json(field);
  }

 private:
  Json& out_;
};

// Throws Json::exception for a field that is missing or of another type.
class FieldReader {
 public:
  explicit FieldReader(const Json& in) : in_(in) {}

  template <typename T>
  void operator()(const std::string& key, T& field, const Shown& = {}) {
    read(in_.at(key), field);
  }

 private:
  template <typename T>
  static void read(const Json& json, T& field) {
    if constexpr (std::is_same_v<T, std::filesystem::path>) {
      field = json.get<std::string>();
    } else if constexpr (is_optional<T>) {
      if (json.is_null()) {
        field.reset();
      } else {
        read(json, field.emplace());
      }
    } else if constexpr (is_vector<T>) {
      field.clear();
      for (const Json& item : json) read(item, field.emplace_back());
    } else if constexpr (HasFields<T>) {
      field = fields_from_json<T>(json);
    } else {
      field = json.get<T>();
    }
  }

  const Json& in_;
};

template <typename T>
Json fields_to_json(T value) {
  Json json = Json::object();
  FieldWriter writer(json);
  visit_fields(value, writer);
  return json;
}

template <typename T>
T fields_from_json(const Json& json) {
  T value{};
  FieldReader reader(json);
  visit_fields(value, reader);
  return value;
}

}  // namespace qloft::io
