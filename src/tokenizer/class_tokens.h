#pragma once
// Named tokens that no file of a folder names, because transformers' class for the model has them.

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "fields.h"

namespace qloft::tokenizer {

// By model_type of config.json and tokenizer_class of tokenizer_config.json (`config`), as
// transformers 5 chooses the class: "eos_token" -> "<|endoftext|>" for a bare GPT-2. Empty where
// its general class is taken.
std::map<std::string, std::string> class_tokens(const std::filesystem::path& folder,
                                                const std::optional<Field>& config);

// model_type of the folder's config.json; empty where there is none.
std::string model_type_of(const std::filesystem::path& folder);

}  // namespace qloft::tokenizer
