#pragma once
// adapter_config.json as PEFT writes and reads it (LoraConfig of PEFT 0.21).

#include <filesystem>
#include <string>
#include <vector>

#include "qloft/adapter.h"

namespace qloft::adapter {

// `modules`: the modules whose factors the folder holds. Ranks and alphas that the file gives by
// patterns are resolved to these names; so are target modules that it gives by an expression.
// Throws InputError naming `file` and the field.
Config config_from_json(const io::Json& json, const std::filesystem::path& file,
                        const std::vector<std::string>& modules);

io::Json config_to_json(const Config& config, const std::vector<std::string>& modules);

}  // namespace qloft::adapter
