#pragma once
// The families: the build makes a row of every file families/NAME.cpp, which defines
//   Layout NAME(const io::Field& config);
// for config.json's model_type NAME.

#include <span>
#include <string_view>

#include "qloft/architecture/layout.h"
#include "qloft/io/fields.h"

namespace qloft::architecture {

struct Family {
  std::string_view name;
  Layout (*read)(const io::Field& config);
};
std::span<const Family> family_table();

}  // namespace qloft::architecture
