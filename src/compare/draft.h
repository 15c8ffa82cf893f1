#pragma once
// A row of a recipe before its options are read.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/io.h"
#include "recipe_json.h"

namespace qloft::compare {

// Of a recipe, in all.
inline constexpr std::size_t kMostRows = 10'000;

struct Draft {
  std::string name, group;
  io::Json quantize, plan, calibrate, recover, tune;  // null: none
};

// What the rows share.
struct Shared {
  io::Json quantize, plan, calibrate, recover, tune;
};

// The row at `field` of the recipe over what all rows share.
Draft draft_of(const Members& row, const Shared& shared, const std::string& field,
               const std::filesystem::path& file);

// A draft of every value of the row's "vary", or combination of values.
std::vector<Draft> vary(const Draft& draft, const io::Json& varied, const ErrorLocation& where);

}  // namespace qloft::compare
