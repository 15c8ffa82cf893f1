#include "recipe_json.h"

#include <algorithm>

namespace qloft::compare {

using io::Json;

Json over(const Json& shared, const Json* own, const ErrorLocation& where) {
  if (own == nullptr) return shared;
  if (own->is_null()) return *own;
  if (!own->is_object()) {
    throw InputError(where, "expected an object of options or null, found " + io::shown(*own));
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
    : field_(json, std::move(where)) {
  for (const auto& [name, value] : field_.members()) {
    if (std::ranges::find(names, name) != names.end()) continue;
    std::string known;
    for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
    value.fail("unknown field; expected one of " + known);
  }
}

const Json* Members::find(const std::string& name) const {
  const auto found = field_.json().find(name);
  return found == field_.json().end() ? nullptr : &*found;
}

}  // namespace qloft::compare
