#pragma once
// Modules as options and errors spell them.

#include <string>

#include "qloft/core/text.h"

namespace qloft::pipeline {

// What stands after the last dot.
inline std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

}  // namespace qloft::pipeline
