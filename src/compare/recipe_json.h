#pragma once
// Objects of a recipe, read with errors that name file and field.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/io/fields.h"

namespace qloft::compare {

// What a row says over what all rows share; null: none. A null within drops one option.
io::Json over(const io::Json& shared, const io::Json* own, const ErrorLocation& where);

// An object of the recipe, every member of which must be one of `names`.
class Members {
 public:
  Members(const io::Json& json, ErrorLocation where, const std::vector<std::string>& names);

  // Null where there is no such member.
  const io::Json* find(const std::string& name) const;
  std::string text(const std::string& name, const std::string& instead) const {
    return field_.string(name).value_or(instead);
  }

 private:
  io::Field field_;
};

}  // namespace qloft::compare
