// Any JSON is a recipe or an InputError; of one every row has a name and a place.

#include "recipe.h"

#include "qloft/core/error.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  try {
    const io::Json json = io::parse_json(fuzz::text(data, size), "input");
    const compare::Recipe recipe = compare::parse_recipe(json, "input");
    if (recipe.rows.empty()) __builtin_trap();
    for (const compare::RowSpec& row : recipe.rows) {
      if (row.name.empty() || row.slug.empty() || row.field.empty()) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  return 0;
}
