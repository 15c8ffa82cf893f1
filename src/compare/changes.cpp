// A recipe's file, and the changes that the command line makes to it.

#include "qloft/core/error.h"
#include "recipe.h"

namespace qloft::compare {

io::Json read_recipe(const std::filesystem::path& file, const std::vector<std::string>& set) {
  io::Json recipe = io::read_json(file);
  for (const std::string& change : set) {
    const std::size_t equals = change.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw InputError({{}, "set"}, "expected FIELD=VALUE, found '" + change + "'");
    }
    io::Json* at = &recipe;
    std::string path = change.substr(0, equals);
    for (std::size_t dot; (dot = path.find('.')) != std::string::npos; path.erase(0, dot + 1)) {
      at = at->is_object() || at->is_null() ? &(*at)[path.substr(0, dot)] : nullptr;
      if (at == nullptr) break;
    }
    if (at == nullptr || !(at->is_object() || at->is_null())) {
      throw InputError({file, change.substr(0, equals)}, "the recipe has no such field to set");
    }
    const std::string text = change.substr(equals + 1);
    io::Json value = io::Json::parse(text, nullptr, false);
    (*at)[path] = value.is_discarded() ? io::Json(text) : std::move(value);
  }
  return recipe;
}

}  // namespace qloft::compare
