#include "plan_file.h"

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/quantized.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr int kVersion = 1;

const io::Json& member(const io::Json& json, const char* name, const fs::path& file) {
  const auto it = json.find(name);
  if (it == json.end() || !it->is_object()) {
    throw InputError({file, name}, std::string("expected an object, found ") +
                                       (it == json.end() ? "none" : it->type_name()));
  }
  return *it;
}

void check_version(const io::Json& json, const fs::path& file) {
  const auto it = json.find("version");
  if (it == json.end()) throw InputError({file, "version"}, "expected 1, found none");
  if (*it != kVersion) {
    throw InputError({file, "version"},
                     "expected 1, found " + it->dump() + " (written by a newer program?)");
  }
}

std::vector<std::string> target_modules_of(const io::Json& json, const fs::path& file) {
  std::vector<std::string> out;
  const auto it = json.find("target_modules");
  if (it == json.end() || it->is_null()) return out;
  const auto refuse = [&] {
    throw InputError({file, "target_modules"}, "expected an array of names");
  };
  if (!it->is_array()) refuse();
  for (const io::Json& name : *it) {
    if (!name.is_string()) refuse();
    out.push_back(name.get<std::string>());
  }
  return out;
}

// "A", "A and B", "A, B and 5 more"
std::string shown(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 2;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i) {
    const bool last = i + 1 == names.size();
    text += (i == 0 ? "" : last ? " and " : ", ") + names[i];
  }
  if (names.size() > kShown) text += " and " + std::to_string(names.size() - kShown) + " more";
  return text;
}

}  // namespace

void add_formats(const std::vector<std::string>& target_modules,
                 const std::vector<QuantizeTarget>& targets, io::Json& json) {
  json["target_modules"] = target_modules;
  io::Json formats = io::Json::object(), matrices = io::Json::object();
  auto& members = matrices.get_ref<io::Json::object_t&>();
  for (const QuantizeTarget& target : targets) {
    const std::string description = target.format.describe();
    if (!formats.contains(description)) {
      formats[description] = quantized::format_to_json(target.format);
    }
    members.emplace_back(target.weight(), description);  // names of targets are distinct
  }
  json["formats"] = std::move(formats);
  json["matrices"] = std::move(matrices);
}

PlanFile read_plan(const fs::path& file) {
  const io::Json json = io::read_json(file);
  if (!json.is_object()) {
    throw InputError({file, {}}, std::string("expected a plan, found ") + json.type_name());
  }
  check_version(json, file);
  PlanFile plan;
  plan.target_modules = target_modules_of(json, file);
  std::map<std::string, quant::Format> formats;
  for (const auto& [name, format] : member(json, "formats", file).items()) {
    formats[name] = quantized::format_from_json(format, file, "formats." + name);
  }
  for (const auto& [name, reference] : member(json, "matrices", file).items()) {
    const ErrorLocation where{file, "matrices." + name};
    if (!reference.is_string()) {
      throw InputError(where, std::string("expected the name of one of the formats, found ") +
                                  reference.type_name());
    }
    const auto format = formats.find(reference.get<std::string>());
    if (format == formats.end()) {
      throw InputError(where, "expected the name of one of the formats, found '" +
                                  reference.get<std::string>() + "'");
    }
    plan.matrices[name] = format->second;
  }
  return plan;
}

std::vector<QuantizeTarget> targets_of(const PlanFile& plan, const fs::path& file,
                                       const architecture::Layout& layout) {
  std::vector<QuantizeTarget> targets =
      targets_of(plan.target_modules, layout, {file, "target_modules"});
  std::map<std::string, quant::Format> left = plan.matrices;
  std::vector<std::string> missing;
  for (QuantizeTarget& target : targets) {
    const auto found = left.find(target.weight());
    if (found == left.end()) {
      missing.push_back(target.weight());
      continue;
    }
    target.format = found->second;
    left.erase(found);
  }
  if (!left.empty()) {
    throw InputError({file, "matrices." + left.begin()->first},
                     "expected one of the model's matrices that are to be quantized, found no "
                     "such one in it");
  }
  if (!missing.empty()) {
    throw InputError({file, "matrices"},
                     "expected a format for every matrix, found none for " + shown(missing));
  }
  return targets;
}

}  // namespace qloft::pipeline
