#include "plan_file.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/io/fields.h"
#include "qloft/quantized.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr int kVersion = 1;

void check_version(const io::Field& root) {
  const io::Field version = root.at("version");
  if (version.json() == kVersion) return;
  version.fail("expected 1, found " + io::shown(version.json()) + " (written by a newer program?)");
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
    if (target.rank) json["ranks"][target.weight()] = *target.rank;
  }
  json["formats"] = std::move(formats);
  json["matrices"] = std::move(matrices);
}

PlanFile read_plan(const fs::path& file) {
  const io::Json json = io::read_json(file);
  const io::Field root(json, file);
  check_version(root);
  PlanFile plan;
  if (const auto names = root.find("target_modules")) plan.target_modules = names->strings();
  std::map<std::string, quant::Format> formats;
  for (const auto& [name, format] : root.at("formats").members()) {
    formats[name] = quantized::format_from_json(format.json(), file, format.path());
  }
  for (const auto& [name, reference] : root.at("matrices").members()) {
    const auto format = formats.find(reference.string());
    if (format == formats.end()) reference.refuse("the name of one of the formats");
    plan.matrices[name] = format->second;
  }
  if (const auto ranks = root.find("ranks")) {
    for (const auto& [name, rank] : ranks->members()) {
      if (!plan.matrices.contains(name)) rank.refuse("one of the plan's matrices");
      plan.ranks[name] = rank.integer(0, std::numeric_limits<std::int32_t>::max());
    }
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
    if (plan.ranks.empty() || !target.adapted) continue;
    const auto rank = plan.ranks.find(target.weight());
    if (rank == plan.ranks.end()) {
      throw InputError({file, "ranks"},
                       "expected a rank for every matrix that has factors, found "
                       "none for " +
                           target.weight());
    }
    target.rank = rank->second;
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
