#pragma once
// Settings as a generation_config.json has them.

#include <nlohmann/json.hpp>

#include "qloft/generate/settings.h"

namespace qloft::generate {

inline Settings from_file(const io::Json& members) {
  return settings_in(io::Field(members, "generation_config.json"));
}

}  // namespace qloft::generate
