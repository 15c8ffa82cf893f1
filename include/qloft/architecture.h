#pragma once
// architecture: config.json to a Layout. Needs no torch, so that quantizing starts at once.

#include <filesystem>
#include <string_view>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/io.h"

namespace qloft::architecture {

// The values of config.json's model_type that read_layout knows.
std::vector<std::string_view> families();

// Reads config.json with the fields and defaults that transformers has for its family. Fields that
// transformers has a default for may be missing, sizes may not. Throws InputError naming file and
// field; an unknown model_type lists the known ones.
Layout read_layout(const io::Json& config, const std::filesystem::path& file);

}  // namespace qloft::architecture
