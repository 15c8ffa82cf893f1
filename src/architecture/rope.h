#pragma once
// The rotary embedding's part of config.json.

#include <cstdint>

#include "fields.h"
#include "qloft/architecture.h"

namespace qloft::model {

// From "rope_parameters", or "rope_theta" and "rope_scaling" beside it. `config` is the whole file.
Rope parse_rope(const Fields& config, std::int64_t max_positions);

}  // namespace qloft::model
