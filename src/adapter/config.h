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

// The parameters that are adapted as such, experts' that is: names, or their ends after a dot.
std::vector<std::string> target_parameters(const io::Json& json, const std::filesystem::path& file);

// `parameters`: target_parameters.
io::Json config_to_json(const Config& config, const std::vector<std::string>& modules,
                        const std::vector<std::string>& parameters);

}  // namespace qloft::adapter
