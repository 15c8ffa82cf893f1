#include "finetune_adapter.h"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

#include "names.h"
#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "qloft/core/random.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

using architecture::Layout;
using architecture::Parameter;
using architecture::ParameterId;

std::vector<std::string> names_of(const Layout& layout, const std::vector<ParameterId>& matrices) {
  std::vector<std::string> names;
  for (const ParameterId id : matrices) {
    const std::string name = last_part(layout.parameter(id).module());
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

// The matrices that a fresh adapter of these options is for.
std::vector<ParameterId> targets_of(const Layout& layout, const adapter::Config& config) {
  const std::vector<ParameterId> matrices = architecture::adaptable(layout);
  const std::vector<std::string> known = names_of(layout, matrices);
  const auto& targets = config.target_modules;
  for (const std::string& target : targets) {
    if (std::find(known.begin(), known.end(), target) != known.end()) continue;
    std::string names;
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    throw InputError({{}, "target_modules"},
                     "the model has no module '" + target + "', only " + names);
  }
  std::vector<ParameterId> out;
  for (const ParameterId id : matrices) {
    const Parameter& matrix = layout.parameter(id);
    if (matrix.role == architecture::Role::head) continue;  // trained whole
    const std::string module = matrix.module();
    if (std::find(targets.begin(), targets.end(), last_part(module)) == targets.end()) continue;
    const std::int64_t most = std::min(matrix.rows(), matrix.columns());
    if (config.rank > most) {
      throw InputError({{}, "rank"}, "expected at most " + std::to_string(most) + ", the rank of " +
                                         module + ", found " + std::to_string(config.rank));
    }
    out.push_back(id);
  }
  return out;
}

adapter::Config fresh_config(const Layout& layout, const FinetuneOptions& options) {
  adapter::Config config;
  config.rank = options.rank.value_or(16);
  config.alpha = options.alpha.value_or(static_cast<double>(config.rank));
  config.rslora = options.rslora;
  config.target_modules = options.target_modules.empty()
                              ? names_of(layout, architecture::linear_layers(layout))
                              : options.target_modules;
  return config;
}

}  // namespace

adapter::Adapter fresh_adapter(const Layout& layout, const FinetuneOptions& options) {
  adapter::Adapter adapter;
  adapter.config = fresh_config(layout, options);
  const std::int64_t rank = adapter.config.rank;
  Random random(options.train.seed);
  for (const ParameterId id : targets_of(layout, adapter.config)) {
    const Parameter& matrix = layout.parameter(id);
    const std::string module = matrix.module();
    adapter::Factors factors{Matrix(rank, matrix.columns()), Matrix(matrix.rows(), rank)};
    if (matrix.role == architecture::Role::token_embedding) {
      random.fill_normal(factors.a.values(), 0.f, 1.f);  // as PEFT begins
      adapter.modules.emplace(module, std::move(factors));
      continue;
    }
    const double bound = 1 / std::sqrt(static_cast<double>(matrix.columns()));
    for (float& value : factors.a.values()) {
      value = static_cast<float>(bound * (2 * random.uniform() - 1));
    }
    adapter.modules.emplace(module, std::move(factors));
  }
  return adapter;
}

void expect_as_continued(const adapter::Config& config, const FinetuneOptions& options,
                         const fs::path& folder) {
  const auto differs = [&](const char* field) {
    throw InputError({folder, field},
                     "the adapter that is continued has another value than the one asked for; a "
                     "fresh one (--fresh) takes any");
  };
  if (options.rank && *options.rank != config.rank) differs("rank");
  if (options.alpha && *options.alpha != config.alpha) differs("alpha");
  if (options.rslora && !config.rslora) differs("rslora");
  if (!options.target_modules.empty()) {
    std::vector<std::string> wanted = options.target_modules, found = config.target_modules;
    std::sort(wanted.begin(), wanted.end());
    std::sort(found.begin(), found.end());
    if (wanted != found) differs("target_modules");
  }
}

void check_fresh_adapter(const Layout& layout, const FinetuneOptions& options) {
  targets_of(layout, fresh_config(layout, options));
}

ModelOptions adapter_options(const FinetuneOptions& options) {
  ModelOptions where;
  where.bare = options.fresh;
  where.any_base = options.any_base;
  if (options.adapter) where.adapter = options.adapter->string();
  return where;
}

adapter::Adapter first_adapter(const quantized::ModelFiles& files, const FinetuneOptions& options) {
  std::optional<adapter::Adapter> found = find_adapter(files, adapter_options(options));
  if (found) {
    expect_as_continued(found->config, options,
                        options.adapter.value_or(files.folder() / "adapter"));
  } else {
    found = fresh_adapter(files.layout(), options);
  }
  if (options.dropout) found->config.dropout = *options.dropout;
  std::error_code error;
  const fs::path absolute = fs::canonical(options.model, error);
  found->config.base_model = error ? options.model : absolute.string();
  return *std::move(found);
}

}  // namespace qloft::pipeline
