#pragma once
// adapter_config.json as PEFT writes and reads it (LoraConfig of PEFT 0.21).

#include <filesystem>
#include <string>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/architecture/layout.h"

namespace qloft::adapter {

// `modules`: the modules whose factors the folder holds. Ranks and alphas that the file gives by
// patterns are resolved to these names; so are target modules that it gives by an expression.
// Throws InputError naming `file` and the field. `layout`: of the model; its head says which tasks
// the adapter may be for.
Config config_from_json(const io::Json& json, const std::filesystem::path& file,
                        const std::vector<std::string>& modules,
                        const architecture::Layout& layout);

// modules_to_save.
std::vector<std::string> saved_modules(const io::Json& json, const std::filesystem::path& file);
// What modules_to_save calls the part of a head that a parameter is in: "classifier" of
// "classifier.dense.weight".
std::string saved_module_of(const std::string& parameter, const architecture::Layout& layout);

// The parameters that are adapted as such, experts' that is: names, or their ends after a dot.
std::vector<std::string> target_parameters(const io::Json& json, const std::filesystem::path& file);

// `parameters`: target_parameters. `saved`: modules_to_save.
io::Json config_to_json(const Config& config, const std::vector<std::string>& modules,
                        const std::vector<std::string>& parameters,
                        const std::vector<std::string>& saved, architecture::HeadKind head);

}  // namespace qloft::adapter
