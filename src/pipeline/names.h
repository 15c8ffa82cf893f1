#pragma once
// Modules and shapes as options and errors spell them.

#include <cstdint>
#include <string>
#include <vector>

namespace qloft::pipeline {

// What stands after the last dot.
inline std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

// "[2048, 5632]"
inline std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  }
  return text + "]";
}

}  // namespace qloft::pipeline
