#include "recipe_json.h"

#include <algorithm>

namespace qloft::compare {
namespace {

using io::Json;

std::string join(const std::string& field, const std::string& name) {
  return field.empty() ? name : field + "." + name;
}

}  // namespace

std::string shown(const io::Json& value) {
  constexpr std::size_t kLongest = 40;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

Json over(const Json& shared, const Json* own, const ErrorLocation& where) {
  if (own == nullptr) return shared;
  if (own->is_null()) return *own;
  if (!own->is_object()) {
    throw InputError(where, "expected an object of options or null, found " + shown(*own));
  }
  Json merged = shared.is_null() ? Json::object() : shared;
  for (const auto& [name, value] : own->items()) {
    if (value.is_null()) {
      merged.erase(name);
    } else {
      merged[name] = value;
    }
  }
  return merged;
}

Members::Members(const Json& json, ErrorLocation where, const std::vector<std::string>& names)
    : json_(json), where_(std::move(where)) {
  if (!json.is_object()) refuse("", "an object", json);
  for (const auto& [name, value] : json.items()) {
    if (std::ranges::find(names, name) != names.end()) continue;
    std::string known;
    for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
    throw InputError({where_.file, join(where_.field, name)},
                     "unknown field; expected one of " + known);
  }
}

const Json* Members::find(const std::string& name) const {
  const auto found = json_.find(name);
  return found == json_.end() ? nullptr : &*found;
}

std::string Members::text(const std::string& name, const std::string& instead) const {
  const Json* value = find(name);
  if (value == nullptr) return instead;
  if (!value->is_string()) refuse(name, "a text", *value);
  return value->get<std::string>();
}

void Members::refuse(const std::string& name, const std::string& expected,
                     const Json& found) const {
  throw InputError({where_.file, name.empty() ? where_.field : join(where_.field, name)},
                   "expected " + expected + ", found " + shown(found));
}

}  // namespace qloft::compare
