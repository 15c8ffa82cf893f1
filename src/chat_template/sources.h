#pragma once
// Where the text of a chat template stands: in files of its own, or in a field of a JSON file.

#include <filesystem>
#include <string>
#include <vector>

namespace qloft::chat_template {

struct Source {
  std::string name;  // "default", "tool_use", ...
  std::string text;
  std::filesystem::path file;
};

// chat_template.jinja (the default) with additional_chat_templates/NAME.jinja, else
// chat_template.json, else tokenizer_config.json; empty where none holds a template.
std::vector<Source> find_sources(const std::filesystem::path& folder);

// A .json file with a field chat_template, or a template itself. Throws InputError where the file
// is missing or has no such field.
std::vector<Source> read_sources(const std::filesystem::path& file);

}  // namespace qloft::chat_template
