#include "sources.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"

namespace qloft::chat_template {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefault = "default";
constexpr const char* kMoreTemplates = "additional_chat_templates";

// chat_template as a string, a list of {"name", "template"}, or an object of names.
std::vector<Source> sources_of(const fs::path& file) {
  const io::Json json = io::read_json(file);
  if (!json.is_object()) throw InputError({file, {}}, "expected an object");
  const auto found = json.find("chat_template");
  if (found == json.end() || found->is_null()) return {};
  if (found->is_string()) return {{kDefault, found->get<std::string>(), file}};
  const ErrorLocation where{file, "chat_template"};
  std::vector<Source> sources;
  if (found->is_object()) {
    for (const auto& [name, text] : found->items()) {
      if (!text.is_string()) throw InputError(where, "expected a text under each name");
      sources.push_back({name, text.get<std::string>(), file});
    }
    return sources;
  }
  if (!found->is_array()) throw InputError(where, "expected a string or a list of templates");
  for (const io::Json& entry : *found) {
    const bool fits = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                      entry.contains("template") && entry["template"].is_string();
    if (!fits) throw InputError(where, "expected entries with a name and a template");
    sources.push_back(
        {entry["name"].get<std::string>(), entry["template"].get<std::string>(), file});
  }
  return sources;
}

std::vector<fs::path> more_templates(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / kMoreTemplates, error)) {
    if (entry.path().extension() == ".jinja" && entry.is_regular_file(error)) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::vector<Source> find_sources(const fs::path& folder) {
  std::vector<Source> sources;
  const fs::path own = folder / "chat_template.jinja";
  if (fs::is_regular_file(own)) sources.push_back({kDefault, read_file(own), own});
  for (const fs::path& file : more_templates(folder)) {
    const std::string name = file.stem().string();
    std::erase_if(sources, [&](const Source& source) { return source.name == name; });
    sources.push_back({name, read_file(file), file});
  }
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    if (sources.empty() && fs::is_regular_file(folder / name)) sources = sources_of(folder / name);
  }
  return sources;
}

std::vector<Source> read_sources(const fs::path& file) {
  if (!fs::is_regular_file(file))
    throw InputError({file, {}}, "expected a chat template, found no such file");
  if (file.extension() != ".json") return {{kDefault, read_file(file), file}};
  std::vector<Source> sources = sources_of(file);
  if (sources.empty()) throw InputError({file, "chat_template"}, "expected a template, found none");
  return sources;
}

}  // namespace qloft::chat_template
